"""A bench that is killed, asked to stop or loses a worker: the next command makes the bytes of the undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.robust import small_bench
from tests.robust.conftest import Whole
from tests.robust.small_bench import Running

pytestmark = [pytest.mark.robust, pytest.mark.timeout(3000)]
AT_ONCE = 3
"""Kills that one results folder gets, each during the command that resumes after the one before."""
POLL_S = 0.005
STOP_S = 10.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""Ten seconds of a machine that has nothing else to do."""


def moment(running: Running, results: Path, most: int, draw: random.Random) -> bool:
    """Wait until a drawn number of files is there and a drawn time has passed; returns whether the bench still runs."""
    there, delay = draw.randrange(most), draw.uniform(0, 0.3)
    while running.process.is_alive() and sum(len(names) for *_, names in os.walk(results)) < there:
        time.sleep(POLL_S)
    time.sleep(delay)
    return running.process.is_alive()


def require_dead(pids: list[int], within_s: float = 6 * STOP_S) -> None:
    """See that processes end by themselves; a server of workers first loads what it was asked to load."""
    end = time.monotonic() + within_s
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < end, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """Return the processes below one, by Linux's list of children; nothing elsewhere."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return children + [further for child in children for further in descendants(child)]


def test_killed_at_random_moments(
    workers: int, results: Path, whole: Whole, kills: int, record_property: Callable[[str, object], None]
) -> None:
    true, done = whole(workers), 0
    draw = random.Random(f"{workers} {kills}")
    while done < kills:
        place = results.parent / f"{done}" / "results"
        place.parent.mkdir()
        for _ in range(min(AT_ONCE, kills - done)):
            running = small_bench.start(place, workers)
            if moment(running, place, len(true), draw):
                below = descendants(running.process.pid or 0)
                running.signal(signal.SIGKILL)
                running.process.join()
                require_dead(below)
            code, words = running.ended()
            assert "Traceback" not in words, words
            done += code == -signal.SIGKILL
        small_bench.finish(place, workers)
        small_bench.require_equal(place, true)
    record_property(f"kills survived with workers={workers}", done)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_stop(
    workers: int, number: int, expected: int, results: Path, whole: Whole, stops: int,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    true, draw, done = whole(workers), random.Random(f"{workers} {number}"), 0
    while done < stops:
        place = results.parent / f"{done}" / "results"
        place.parent.mkdir(exist_ok=True)
        running = small_bench.start(place, workers)
        if moment(running, place, len(true), draw):
            below = descendants(running.process.pid or 0)
            begun = time.monotonic()
            running.signal(number)
            code, words = running.ended()
            assert "Traceback" not in words, words
            if code != 0:  # it was over before it heard
                assert time.monotonic() - begun < STOP_S
                if code != -number:  # the system's own end, before the command began or after it was done
                    assert code == expected, words
                    assert "run the same command again to resume" in words
                require_dead(below)
                done += 1
        small_bench.finish(place, workers)
        small_bench.require_equal(place, true)
    record_property(f"{signal.Signals(number).name} survived with workers={workers}", done)


def test_a_worker_that_is_killed_is_replaced(
    results: Path, whole: Whole, stops: int, record_property: Callable[[str, object], None]
) -> None:
    true, draw, done = whole(2), random.Random(0), 0
    for attempt in range(stops):
        place = results.parent / f"{attempt}" / "results"
        place.parent.mkdir()
        running = small_bench.start(place, 2)
        moment(running, place, 20, draw)
        workers = [pid for pid in descendants(running.process.pid or 0) if not descendants(pid)]
        if workers:
            victim = draw.choice(workers)
            if b"forkserver" in Path(f"/proc/{victim}/cmdline").read_bytes():
                os.kill(victim, signal.SIGKILL)
                done += 1
        code, words = running.ended()
        assert code == 0, words
        assert "Traceback" not in words, words
        small_bench.require_equal(place, true)
    record_property("workers killed", done)
