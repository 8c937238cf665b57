"""A second command in the same folder waits for the first and then finds everything done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fake_parts import config
from toraeval.run import pipeline
from toraeval.run.ending import Progress
from toraeval.run.plan import plan_run
from toraeval.store import lock
from toraeval.store.disk import disk_use, require_writable
from toraeval.types import TEMPORARY

Cli = Callable[..., Any]


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Repeat an action in a second thread for the duration of the block."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, fakes: None) -> None:
    monkeypatch.setattr(lock, "POLL_S", 0.01)


class Notes(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.told = threading.Event()

    def note(self, message: str) -> None:
        self.lines.append(message)
        self.told.set()


@pytest.mark.parametrize("of_floor", [False, True])
def test_a_folder_in_use_is_waited_for(of_floor: bool, tmp_path: Path, impatient: None) -> None:
    plan = plan_run(config(tmp_path))
    first = pipeline.run(plan)
    assert first.computed
    busy = plan.floor if of_floor else plan
    assert busy is not None
    held, notes = threading.Event(), Notes()

    def hold() -> None:
        with lock.hold(busy.run_dir):
            held.set()
            notes.told.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    second = pipeline.run(plan_run(config(tmp_path)), notes)
    thread.join()
    assert (second.exit_code, second.computed, second.cached) == (0, 0, first.computed - 3)
    assert len(notes.lines) == 1
    assert f"{busy.run_dir}: waiting for process" in notes.lines[0]


def test_runs_that_need_the_same_floor_all_end_well(tmp_path: Path, impatient: None) -> None:
    plans = [plan_run(config(tmp_path, model={"name": "fake_model", "shift": shift})) for shift in range(4)]
    ended: list[int] = []
    threads = [
        threading.Thread(target=lambda plan=plan: ended.append(pipeline.run(plan).exit_code))
        for plan in plans
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [0, 0, 0, 0]


def test_nobody_sweeps_the_probe_of_a_writable_folder(tmp_path: Path) -> None:
    def sweep() -> None:
        for path in tmp_path.glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)

    with meanwhile(sweep):
        for _ in range(300):
            require_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_disk_use_while_files_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "stays").write_bytes(b"12345")

    def come_and_go() -> None:
        for i in range(20):
            (tmp_path / f"folder{i}").mkdir()
            (tmp_path / f"folder{i}" / "file").write_bytes(b"")
        for i in range(20):
            (tmp_path / f"folder{i}" / "file").unlink()
            (tmp_path / f"folder{i}").rmdir()

    with meanwhile(come_and_go):
        assert {disk_use(tmp_path) for _ in range(100)} == {5}


def test_reports_in_one_folder_are_drawn_one_after_the_other(
    cli: Cli, fake: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("run", "model=fake_model", *fake, "limit=1").code == 0
    run_dir = next(tmp_path.glob("results/runs/*/fake_model/*/record.json")).parent
    (tmp_path / "drawn").mkdir()
    held, waited = threading.Event(), threading.Event()
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: waited.set())  # whoever waits sleeps

    def hold() -> None:
        with lock.hold(tmp_path / "drawn"):
            held.set()
            waited.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    ran = cli("report", str(run_dir), "out=drawn")
    thread.join()
    assert (ran.code, ran.err.count("waiting for process")) == (0, 1)
