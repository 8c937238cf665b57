"""A bench of seconds in a process of its own, to be killed, starved and run beside another one."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import resource
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

from toraeval.store import claims, sealed
from toraeval.types import TEMPORARY

ROOT = Path(__file__).parents[2]
WORDS = (
    "preset=smoke", "models=[static,cut_and_drag]", "frames=[16]", "height=64", "width=64", "keep=lossless",
    "metric=[fvd,traj_error]", "metrics.fvd.min_videos=2",
)  # fmt: skip
OVERLAP = "auto"
"""Set by `--bench-overlap`."""
OF_ONE_COMMAND = re.compile(r"(^|/)(\.lock|\.jobs|\.hydra|\.claims|\.drawn\.json)(/|$)")
"""What says how a command was run, not what came out of it."""
DATES = re.compile(rb"20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")
LONGEST_S = 900.0  # on a machine that others work on, too


@dataclass
class Running:
    """A bench at work: its process and the file that its words go to."""

    process: BaseProcess
    log: Path

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)

    def ended(self, timeout_s: float = LONGEST_S) -> tuple[int, str]:
        """Return exit code and words; a process that takes longer is killed and fails the test."""
        self.process.join(timeout_s)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"still at work after {timeout_s:.0f} s:\n{self.log.read_text()}")
        return self.process.exitcode, self.log.read_text()


def start(
    results: Path,
    workers: int = 1,
    tweak: str = "",
    words: Sequence[str] = (),
    log: Path | None = None,
    largest: int | None = None,
) -> Running:
    """Start a bench; `tweak` names one of `TWEAKS`, `largest` is the size in bytes that no file of it may exceed."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    results.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.robust.frozen"])
    log = log or results.parent / f"{results.name}.{time.monotonic_ns()}.log"
    log.touch()
    # a relative folder, so that records of equal work name the same place
    argv = ["bench", *WORDS, *words, f"results={results.name}", f"workers={workers}", f"overlap={OVERLAP}"]
    process = context.Process(target=_bench, args=(argv, results.parent, log, tweak, largest))
    process.start()
    return Running(process, log)


def finish(results: Path, workers: int = 1, tweak: str = "") -> str:
    """Run a bench to its end, see that it succeeds, and return its words."""
    code, words = start(results, workers, tweak).ended()
    assert code == 0, words
    assert "Traceback" not in words, words
    return words


def _bench(argv: list[str], folder: Path, log: Path, tweak: str, largest: int | None) -> None:
    from tests.robust import frozen  # noqa: F401
    from toraeval.__main__ import main

    os.chdir(folder)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    with log.open("w", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        with redirect_stdout(file), redirect_stderr(file), TWEAKS[tweak]():
            code = main(argv)
    os._exit(code)


def files(results: Path) -> dict[str, object]:
    """Return every file that a finished bench leaves, without what tells when and by which command it was made."""
    found: dict[str, object] = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        if not path.is_file() or OF_ONE_COMMAND.search(name):
            continue
        if path.name == "record.json" or path.parent.name == "records":
            found[name] = _timeless(sealed.require_json(path) or {})
        else:
            found[name] = DATES.sub(b"", path.read_bytes())
    return found


def require_equal(results: Path, whole: dict[str, object]) -> None:
    """See that a results folder is that of the undisturbed run and that nothing else was left in it."""
    now = files(results)
    assert sorted(now) == sorted(whole)
    assert [name for name, content in whole.items() if now[name] != content] == []
    assert not [path for path in results.rglob(f"{TEMPORARY}*")]
    # a claim of a dead process stays where its sample was done already; it holds nobody up
    assert not [run for run in results.glob("runs/*/*/*") if claims.running(run)]


def _timeless(record: object) -> object:
    """Return a record without its command, processes and machine, and what was computed by this very command."""
    own = ("command", "workers", "computed_now", "machine", "utilisation")
    if isinstance(record, dict):
        return {key: _timeless(value) for key, value in record.items() if key not in own}
    return [_timeless(value) for value in record] if isinstance(record, list) else record


@contextmanager
def _plain() -> Iterator[None]:
    yield


@contextmanager
def _roomy() -> Iterator[None]:
    """Let the disk claim to be large, as if others filled it only after the check before the start."""
    with mock.patch("shutil.disk_usage", return_value=shutil._ntuple_diskusage(1 << 50, 0, 1 << 50)):
        yield


@contextmanager
def _cramped() -> Iterator[None]:
    """Let the disk claim to have 64 KiB left."""
    with mock.patch("shutil.disk_usage", return_value=shutil._ntuple_diskusage(1 << 50, 1 << 50, 1 << 16)):
        yield


@contextmanager
def _jumping() -> Iterator[None]:
    """Set the clock of the day an hour or a year forward or back at every look."""
    true, draw = time.time, random.Random(os.getpid())

    def jumped() -> float:
        return max(1.0, true() + draw.choice((-3.2e7, -3600, -1, 0, 3600, 3.2e7)))

    with mock.patch("time.time", jumped):
        yield


TWEAKS = {"": _plain, "roomy": _roomy, "cramped": _cramped, "jumping": _jumping}
