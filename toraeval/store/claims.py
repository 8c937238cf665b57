"""Who works on which sample: claims in the run folders, so that several processes and machines share one queue."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType

FOLDER = ".claims"
EXPIRY_S = 180.0
"""A claim of another machine that nobody renewed for so long is free; network file systems show times a minute late."""
RENEWALS = 8  # of a claim within its expiry
Key = tuple[Path, str]


@cache
def machine_id() -> str:
    """Return what tells this machine, and a container on it, from every other one."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def is_alive(pid: int) -> bool:
    """Return True if a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the latter of a damaged claim
        return False
    except PermissionError:
        return True
    return True


class Claims:
    """Samples that this process works on, renewed in the background until they are released.

    A claim is a file `<sample>@<n>` that only one process can create. One whose process died or that was not renewed
    is not removed but outdone by `n + 1`, which again only one process can create: nobody removes a claim that is
    not his own. Times of different clocks are never compared: a claim is expired when its time of change stood still
    while this process watched.

    Args:
        expiry_s: seconds after which a claim that is not renewed is free.
    """

    def __init__(self, expiry_s: float = EXPIRY_S) -> None:
        self._expiry_s = expiry_s
        self._held: dict[Key, Path] = {}
        self._watched: dict[Path, tuple[int, float]] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._renewal = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Claims:
        self._renewal.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._renewal.join()
        for run_dir, sample in list(self._held):
            self.release(run_dir, sample)

    def take(self, run_dir: Path, sample: str) -> bool:
        """Claim a sample of a run folder; returns False while it is another's, or already this process's."""
        folder, key = run_dir / FOLDER, (run_dir, sample)
        if key in self._held:
            return False
        folder.mkdir(parents=True, exist_ok=True)
        there = _claims(folder, sample)
        if any(not self._is_free(path) for path in there.values()):
            return False
        mine = folder / f"{sample}@{max(there, default=-1) + 1}"
        try:
            with mine.open("x", encoding="utf-8") as file:
                json.dump({"pid": os.getpid(), "machine": machine_id()}, file)
        except (FileExistsError, FileNotFoundError):  # the empty folder was just tidied away
            return False
        others = [path for path in _claims(folder, sample).values() if path != mine]
        if any(not self._is_free(path) for path in others):  # two outdid an expired claim that just went
            mine.unlink(missing_ok=True)
            return False
        for path in others:
            path.unlink(missing_ok=True)
        with self._lock:
            self._held[key] = mine
        return True

    def is_free(self, run_dir: Path, sample: str) -> bool:
        """Return True if a sample of a run folder could be claimed."""
        return all(self._is_free(path) for path in _claims(run_dir / FOLDER, sample).values())

    def is_orphan(self, run_dir: Path, sample: str) -> bool:
        """Return True if a process died over a sample: there is a claim, and it is free."""
        return bool(_claims(run_dir / FOLDER, sample)) and self.is_free(run_dir, sample)

    def release(self, run_dir: Path, sample: str) -> None:
        """Give up the claim on a sample."""
        with self._lock:
            mine = self._held.pop((run_dir, sample))
        with suppress(OSError, ValueError):
            own = {"pid": os.getpid(), "machine": machine_id()}
            if json.loads(mine.read_text()) == own:  # not of somebody who found this process too slow
                mine.unlink()

    def _is_free(self, path: Path) -> bool:
        """Return True if the process of a claim is dead, or was not seen to renew it."""
        facts: dict[str, object] = {}
        try:
            changed = path.stat().st_mtime_ns
            said = json.loads(path.read_text())
            facts = said if isinstance(said, dict) else {}
        except FileNotFoundError:
            self._watched.pop(path, None)
            return True
        except ValueError:
            pass  # just being written, or by a process that was killed meanwhile
        pid = facts.get("pid")
        if facts.get("machine") == machine_id() and isinstance(pid, int) and not is_alive(pid):
            return True
        now = time.monotonic()
        known, since = self._watched.setdefault(path, (changed, now))
        if known != changed:
            self._watched[path] = (changed, now)
            return False
        return now - since > self._expiry_s

    def _renew(self) -> None:
        while not self._end.wait(self._expiry_s / RENEWALS):
            with self._lock:
                held = list(self._held.values())
            for path in held:
                with suppress(OSError):
                    os.utime(path)


def tidy(run_dir: Path) -> None:
    """Remove claims of dead processes of this machine, and the folder of the claims of a run if nobody has any.

    Whoever creates a claim looks for others afterwards, so a dead one that goes meanwhile gives nobody a sample twice.
    """
    for path, dead in _all_claims(run_dir):
        if dead:
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):
        (run_dir / FOLDER).rmdir()


def running(run_dir: Path) -> set[str]:
    """Return the samples of a run folder that are claimed, without those whose process on this machine is dead."""
    return {path.name.rpartition("@")[0] for path, dead in _all_claims(run_dir) if not dead}


def _all_claims(run_dir: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each claim in a run folder, and whether its process was one of this machine and is dead."""
    for path in (run_dir / FOLDER).glob("*@*"):
        with suppress(OSError, ValueError, LookupError, TypeError):  # it went meanwhile, or is damaged
            facts = json.loads(path.read_text())
            yield path, facts["machine"] == machine_id() and not is_alive(facts["pid"])


def _claims(folder: Path, sample: str) -> dict[int, Path]:
    return {int(path.name.rpartition("@")[2]): path for path in folder.glob(f"{sample}@*")}
