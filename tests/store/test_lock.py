from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from toraeval.store import lock
from toraeval.types import UserError


def test_second_holder_is_refused_with_one_clear_line(tmp_path: Path) -> None:
    message = rf"process {os.getpid()} on .* results=DIR"
    with lock.hold(tmp_path), pytest.raises(UserError, match=message), lock.hold(tmp_path):
        pass


def test_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with lock.hold(tmp_path):
            pass


def test_waiting_is_announced_once_and_ends_with_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "POLL_S", 0.01)
    told: list[str] = []
    with lock.hold(tmp_path), pytest.raises(UserError), lock.hold(tmp_path, 0.05, told.append):
        pass
    assert len(told) == 1
    assert "waiting for process" in told[0]


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from toraeval.store import lock\n"
        "with lock.hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder, holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"process {holder.pid} "), lock.hold(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with lock.hold(tmp_path):
        assert (tmp_path / ".lock").is_file()
