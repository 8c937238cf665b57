"""Several processes, one network: gradients and numbers shared between them, checkpoints of any number of processes.

Every run goes through here, also one of a single process, so that there is one path to test. Started plainly it is
a group of one, or of those that `launch` starts; under `torchrun` it is the group that torchrun describes in the
environment.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import HashStore  # type: ignore[attr-defined]
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load as load_state
from torch.distributed.checkpoint.state_dict_saver import save as save_state
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor

from toraeval.types import UserError

PREFIX = "step-"


class Told(NamedTuple):
    """What all processes agree on after a step: clips of all, the first one's seconds, whether to stop and to save."""

    clips: int
    seconds: float
    stop: bool
    save: bool


@dataclass(frozen=True)
class World:
    """The processes of a run."""

    rank: int  # number of this process
    size: int  # number of processes
    device: torch.device  # where this process computes
    mesh: DeviceMesh  # all processes in one row
    parent: int | None = None  # process that started this one for the run, if it did

    @property
    def first(self) -> bool:
        """Whether this process is the one that logs and writes single files."""
        return self.rank == 0

    @property
    def orphaned(self) -> bool:
        """Whether the process that started this one is gone; it would otherwise train for hours unseen."""
        return self.parent is not None and os.getppid() != self.parent

    def sum(self, *values: float) -> list[float]:
        """Return sums over the processes, the same in all of them."""
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def agree(self, clips: int, seconds: float, stop: bool, save: bool) -> Told:
        """Add up the clips of a step; stop if any process wants to; take time and saving from the first."""
        mine = (seconds, save) if self.first else (0.0, False)
        total, clock, stops, saves = self.sum(clips, mine[0], stop, mine[1])
        return Told(round(total), clock, stops > 0, saves > 0)

    def from_first(self, value: Any) -> Any:
        """Return the picklable value of the first process in all of them."""
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Wait for the other processes."""
        self.sum(0.0)


@contextmanager
def processes(device: str, meeting: str | None = None, parent: int | None = None) -> Iterator[World]:
    """Join the processes of this run; the environment says which one this is, as torchrun and `launch` set it.

    Args:
        device: `cpu` (gloo) or `cuda` (nccl; each process takes the GPU of its local rank).
        meeting: file where processes meet that `launch` started.
        parent: the process in which it did.

    Raises:
        UserError: more processes on this machine than it has GPUs.
    """
    backend = "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl"
    number = int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device(device)
    if device == "cuda":
        if number >= torch.cuda.device_count():
            raise UserError(
                f"train: process {number} of this machine has no GPU; allowed: torchrun --nproc-per-node="
                f"{torch.cuda.device_count()} at most"
            )
        place = torch.device("cuda", number)
        torch.cuda.set_device(place)
    if meeting is not None:
        size = int(os.environ["WORLD_SIZE"])
        dist.init_process_group(backend, init_method=f"file://{meeting}", rank=number, world_size=size)
    elif "WORLD_SIZE" in os.environ:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
    try:
        size = dist.get_world_size()
        yield World(dist.get_rank(), size, place, init_device_mesh(device, (size,)), parent)
    finally:
        dist.destroy_process_group()


def average_gradients(weights: Iterable[nn.Parameter], world: World) -> None:
    """Replace the gradients by their mean over the processes; those of sharded weights are averaged already."""
    gradients = [p.grad for p in weights if p.grad is not None]
    if world.size == 1 or not gradients or isinstance(gradients[0], DTensor):
        return
    joined = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(joined)
    joined /= world.size
    for gradient, mean in zip(gradients, joined.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


@contextmanager
def joint_statistics(model: nn.Module, batches: int) -> Iterator[Callable[[], None]]:
    """Move the running statistics of batch norms once per step, by the mean over all batches of the step.

    Left alone, each process would follow its own batches, and two small batches in a row would move the statistics
    further than the same two in two processes. With one batch per step this is ordinary batch norm.

    Yields:
        what is called after each backward pass: it notes what the forward pass did to the statistics and takes it back.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    moving = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]
    counts = [m.num_batches_tracked for m in norms if m.num_batches_tracked is not None]
    before, counted = [b.clone() for b in moving], [c.clone() for c in counts]
    sums = [torch.zeros_like(b, dtype=torch.float64) for b in moving]

    def note() -> None:
        for buffer, old, total in zip(moving, before, sums, strict=True):
            total += buffer - old
            buffer.copy_(old)

    yield note
    if not moving:
        return
    joined = torch.cat([s.flatten() for s in sums])
    dist.all_reduce(joined)
    for buffer, old, change in zip(moving, before, joined.split([b.numel() for b in before]), strict=True):
        buffer.copy_(old + (change / batches).to(old.dtype))
    for count, old_count in zip(counts, counted, strict=True):
        count.copy_(old_count + 1)


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gather(tensors: Mapping[str, Tensor], world: World) -> dict[str, Tensor]:
    """Return whole tensors on the CPU, in the first process only; every process has to take part."""
    whole = {}
    for name, tensor in tensors.items():
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if world.first:
            whole[name] = full.detach().cpu().contiguous()
    return whole


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Clip sharded gradients so that their norm over all processes is at most `limit`; return it before clipping."""
    norm = nn.utils.clip_grad_norm_(parameters, limit)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return (step, path) of the whole checkpoints in a folder, oldest first."""
    found = [p for p in folder.glob(f"{PREFIX}*") if p.name.removeprefix(PREFIX).isdigit()]
    return sorted((int(p.name.removeprefix(PREFIX)), p) for p in found)


def save(folder: Path, step: int, state: dict[str, Any], world: World, keep: int = 2) -> None:
    """Write a checkpoint from all processes; it carries its name only once it is whole.

    Of a folder's checkpoints the last `keep` stay; `state` is nested dicts of tensors.

    Raises:
        UserError: the checkpoint cannot be written, e.g. because the disk is full.
    """
    target = folder / f"{PREFIX}{step:08d}"
    unfinished = target.with_name(f"{target.name}.tmp")
    if world.first:
        shutil.rmtree(unfinished, ignore_errors=True)
    world.wait()
    try:
        save_state(state, storage_writer=FileSystemWriter(unfinished))
    except (OSError, CheckpointException) as error:
        raise UserError(
            f"train: checkpoint {target} cannot be written ({_first_line(error)}); make room or choose another folder"
        ) from error
    world.wait()
    if world.first:
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        for _, old in checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    world.wait()


def load(path: Path, state: dict[str, Any]) -> None:
    """Read a checkpoint into the tensors of `state`; the number of processes may differ from that at writing.

    Raises:
        UserError: the checkpoint is incomplete or of another network.
    """
    try:
        load_state(state, storage_reader=FileSystemReader(path))
    except (OSError, ValueError, RuntimeError, CheckpointException) as error:
        raise UserError(
            f"train: checkpoint {path} cannot be read ({_first_line(error)}); remove it to resume from the one before"
        ) from error


def _first_line(error: BaseException) -> str:
    failures = getattr(error, "failures", {})  # per process, of a CheckpointException
    cause = next((pair[0] for pair in failures.values()), error)
    return f"{type(cause).__name__}: {cause}".splitlines()[0][:200]
