"""What each command that works on a results folder has to do and has done, for whoever looks from outside."""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toraeval.store.claims import is_alive, machine_id
from toraeval.store.sealed import read_json, write_json

FOLDER = Path("runs", ".jobs")
KEPT = 20
"""Journals that stay in a results folder."""

LINE = {"run": str, "sample": str, "failed": bool, "at": float}
"""What a line of a log holds; damaged ones are passed over."""
BUSY = {"process": int, "busy_s": dict}
"""What the line of a sample holds besides, if it was worked on by this command: where, and seconds of each stage."""


class Journal:
    """Written by one command: a file that says what is to be done, and a log with a line for each finished sample.

    Args:
        results: the results folder.
        command: as it can be pasted into a shell.
        runs: run folder below `results` -> its `label`, the `asked` samples, and those `to_do` with their seconds.
    """

    def __init__(self, results: Path, command: str, runs: Mapping[str, Mapping[str, Any]]) -> None:
        folder = results / FOLDER
        for old in sorted(folder.glob("*.json"))[:-KEPT]:
            for path in (old, old.with_suffix(".log")):
                path.unlink(missing_ok=True)
        start = time.time()
        path = folder / f"{int(start * 1000)}-{os.getpid()}-{secrets.token_hex(2)}.json"
        process = {"pid": os.getpid(), "host": socket.gethostname(), "machine": machine_id()}
        write_json(path, {"command": command, **process, "start": start, "runs": runs})
        self._log = path.with_suffix(".log")

    def add(
        self, run: str, sample: str, failed: bool, process: int = 0, busy_s: Mapping[str, float] | None = None
    ) -> None:
        """Note that a sample ended, and how long each stage took in which process; a full disk only costs the line."""
        line = {"run": run, "sample": sample, "failed": failed, "at": time.time()}
        if process:
            line |= {"process": process, "busy_s": {name: round(s, 3) for name, s in (busy_s or {}).items()}}
        with suppress(OSError), self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Job:
    """A journal as it is read.

    Attributes:
        command: that wrote it.
        place: process and host, in words.
        alive: whether the process runs; None where it is on another machine.
        start: when it began, seconds of the epoch.
        last: when it wrote last, seconds of the epoch.
        runs: as of `Journal`.
        ended: one mapping per sample that ended, with `run`, `sample`, `failed` and `at`; with `process` and `busy_s`
            if the command worked on it.
    """

    command: str
    place: str
    alive: bool | None
    start: float
    last: float
    runs: Mapping[str, Mapping[str, Any]]
    ended: list[dict[str, Any]]


def read(results: Path) -> list[Job]:
    """Return the journals of a results folder, oldest first."""
    return [job for path in sorted((results / FOLDER).glob("*.json")) if (job := _job(path)) is not None]


def _job(path: Path) -> Job | None:
    facts = read_json(path)
    if facts is None:
        return None
    ended = [line for line in _lines(path.with_suffix(".log")) if line["run"] in facts["runs"]]
    here = facts["machine"] == machine_id()
    return Job(
        facts["command"],
        f"process {facts['pid']} on {facts['host']}",
        is_alive(facts["pid"]) if here else None,
        facts["start"],
        max([facts["start"], *(line["at"] for line in ended)]),
        facts["runs"],
        ended,
    )


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        with suppress(ValueError):  # the last line of a process that was killed
            said = json.loads(line)
            if isinstance(said, dict) and _is_line(said):
                yield said


def _is_line(said: Mapping[str, Any]) -> bool:
    types = {name: type(value) for name, value in said.items()}
    spent = said.get("busy_s")
    seconds = spent.values() if isinstance(spent, dict) else ()
    return types in (LINE, LINE | BUSY) and all(type(s) is float and 0 <= s < math.inf for s in seconds)
