"""The processes of a run are started, its folder is held, and Ctrl-C reaches all of them."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessExitedException, spawn

from toraeval.allowed import check_option
from toraeval.store import lock
from toraeval.training.engine.distributed import processes
from toraeval.types import UserError

Work = Callable[..., int]
INTERRUPTED = 130
"""Exit code of a run that was interrupted."""


def launch(folder: Path, work: Work, *arguments: Any, workers: int = 1, device: str = "cpu") -> int:
    """Run `work(world, *arguments)` in every process of a run and return the first one's exit code.

    Args:
        folder: of the run; it is made, and held meanwhile.
        work: function of a module, whose arguments can be pickled.
        arguments: after the world.
        workers: processes of one thread each to start on this machine; 1 works in this process, as does torchrun.
        device: see `processes`.

    Raises:
        UserError: another run is working in the folder, what `work` raises, or a started process stopped with an
            error, which it has printed.
    """
    if workers == 1 or "WORLD_SIZE" in os.environ:
        with processes(device) as world, held(folder) if world.first else nullcontext():
            return work(world, *arguments)
    with held(folder), tempfile.TemporaryDirectory() as place_of_meeting, interruption() as received:
        meeting = str(Path(place_of_meeting) / "meeting")
        place = (workers, meeting, os.getpid(), device)
        # a Ctrl-C that reaches them too, while they start, is left to this process
        noted = signal.signal(signal.SIGINT, signal.SIG_IGN)
        context = spawn(_member, args=(place, work, arguments), nprocs=workers, join=False)
        signal.signal(signal.SIGINT, noted)
        told = False
        try:
            while not context.join(timeout=0.5):
                if received and not told:
                    told = True
                    for process in context.processes:
                        process.terminate()
        except ProcessExitedException as error:
            if received:
                return INTERRUPTED
            raise UserError(
                "train: a worker stopped, its message stands above; the last checkpoint is kept"
            ) from error
        return int(Path(f"{meeting}.code").read_text())


def _member(rank: int, place: tuple[int, str, int, str], work: Work, arguments: tuple[Any, ...]) -> None:
    size, meeting, parent, device = place
    os.environ |= {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    torch.set_num_threads(1)
    if Path("/sys/class/net/lo").exists():  # the processes of one machine need no other network
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        with processes(device, meeting, parent) as world:
            code = work(world, *arguments)
        if rank == 0:
            Path(f"{meeting}.code").write_text(str(code))
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


def make_folder(folder: Path) -> None:
    """Make the folder of a training; raises UserError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"train: folder={folder} cannot be made ({error.strerror}); choose another: folder=PATH"
        ) from error


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make a folder and keep other runs out of it.

    Raises:
        UserError: it cannot be made, or another run is working in it.
    """
    make_folder(folder)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.hold(folder))
        except UserError as error:
            raise UserError(
                f"train: another run is working in folder={folder}; wait for it, or choose another: folder=PATH"
            ) from error
        yield


def require_device(device: str) -> None:
    """Raise UserError for a device that is unknown or not there."""
    check_option("train", "device", device, ("cpu", "cuda"))
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("train: device=cuda, but this PyTorch sees no GPU; use device=cpu")


@contextmanager
def interruption() -> Iterator[list[int]]:
    """Turn the first Ctrl-C or SIGTERM into an entry of the yielded list; a second Ctrl-C interrupts at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(text: str) -> None:
    """Tell the user how a training goes, on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
