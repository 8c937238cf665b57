"""The command line over the fake parts, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
Child = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture(scope="session")
def fake_run() -> list[str]:
    """The words of `run` with the fake model; more overrides come on top."""
    return [
        "run", "model=fake_model", "suite=fake_suite", "tracker=fake_tracker", "height=64", "width=64", "frames=8",
        "metric=[traj_error]",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def child() -> Child:
    """Run a program of Python in another process, which ends with the block."""

    @contextmanager
    def started(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=ROOT, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()

    return started
