"""Several processes, one network: FSDP2 shards, numbers agreed between processes, checkpoints of any world size.

Every run goes through here, also one of a single process, so that there is one path to test. Started plainly it is
a group of one; under `torchrun` it is the group that torchrun describes in the environment.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import HashStore  # type: ignore[attr-defined]
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load as load_state
from torch.distributed.checkpoint.state_dict_saver import save as save_state
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from toraeval.models.tora.network.model import Tora
from toraeval.training.engine.network import GuidedNetwork
from toraeval.types import UserError

PREFIX = "step-"
PRECISIONS = ("bf16", "fp32")


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        rank: number of this process.
        size: number of processes.
        device: where this process computes.
        mesh: all processes in one row.
    """

    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh

    @property
    def first(self) -> bool:
        """Whether this process is the one that logs and writes single files."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """Average of a number over the processes, the same in all of them."""
        total = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(total)
        return float(total) / self.size

    def any(self, value: bool) -> bool:
        """Whether the value is True in some process."""
        flag = torch.tensor([int(value)])
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag)

    def from_first(self, value: Any) -> Any:
        """Return the picklable value of the first process in all of them."""
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Wait for the other processes."""
        self.any(False)


@contextmanager
def processes(device: str) -> Iterator[World]:
    """Join the processes of this run.

    Args:
        device: `cpu` (gloo) or `cuda` (nccl; each process takes the GPU of its local rank).

    Raises:
        UserError: more processes on this machine than it has GPUs.
    """
    backend = "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl"
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device(device)
    if device == "cuda":
        if local >= torch.cuda.device_count():
            raise UserError(
                f"train: process {local} of this machine has no GPU; allowed: torchrun --nproc-per-node="
                f"{torch.cuda.device_count()} at most"
            )
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
    try:
        size = dist.get_world_size()
        yield World(dist.get_rank(), size, place, init_device_mesh(device, (size,)))
    finally:
        dist.destroy_process_group()


def shard(network: GuidedNetwork, world: World, precision: str) -> None:
    """Shard a network in place, one group per block, one per fuser, one of the extractor and one of the rest.

    Weights, gradients' sums and optimiser states are float32. With `bf16` the blocks compute in bfloat16 from a
    rounded copy of the weights, as upstream's ZeRO-2 training does, and gradients are averaged in float32. The
    extractor computes in float32, because its batch statistics would suffer most and it costs next to nothing; the
    rotary frequencies stay unrounded.
    """
    half = torch.bfloat16 if precision == "bf16" else None
    reduce = torch.float32 if half else None
    # the network casts its inputs itself; time steps must not be rounded to 8 bits before it does
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=reduce, cast_forward_inputs=False)
    casting = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=reduce)
    # the extractor returns views, and nothing writes into them in place
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    model = network.model
    fusers = [f for group in (model.fuser, model.fuser_spatial) if group is not None for f in group]
    for fuser in fusers:
        fully_shard(fuser, mesh=world.mesh, mp_policy=casting)
    for block in (*model.spatial_blocks, *model.temporal_blocks):
        fully_shard(block, mesh=world.mesh, mp_policy=policy)
    if model.traj_extractor is not None:
        fully_shard(model.traj_extractor, mesh=world.mesh)
    fully_shard(network, mesh=world.mesh, mp_policy=policy, ignored_params={model.rope.freqs})


def fill(model: Tora, state: Mapping[str, Tensor] | None, world: World) -> None:
    """Give a sharded network on the meta device its tensors.

    Args:
        model: the network inside the one that was sharded.
        state: whole tensors in the first process, anything in the others; None leaves the values to a checkpoint.
        world: the processes.
    """
    model.to_empty(device=world.device)
    if state is None:
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    whole: dict[str, Any] = {
        key: value.float() if value.is_floating_point() else value for key, value in state.items()
    }
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, whole if world.first else {}, options=options)


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

    Args:
        folder: holds the checkpoints.
        step: steps that were made.
        state: nested dicts of tensors.
        world: the processes.
        keep: checkpoints that stay; older ones are removed.

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
            f"train: checkpoint {path} cannot be read ({_first_line(error)}); remove it to go on from the one before"
        ) from error


def _first_line(error: BaseException) -> str:
    failures = getattr(error, "failures", {})  # per process, of a CheckpointException
    cause = next((pair[0] for pair in failures.values()), error)
    return f"{type(cause).__name__}: {cause}".splitlines()[0][:200]
