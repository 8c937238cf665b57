from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from toraeval.store import record


def test_command_can_be_pasted_into_a_shell() -> None:
    argv = ["run", "seeds=[0,1]", "model=tora", "results=my results"]
    assert shlex.split(record.command_line(argv)) == ["python", "-m", "toraeval", *argv]


def test_versions_leave_out_what_is_absent() -> None:
    found = record.versions()
    assert found["numpy"]
    assert "torchvision" not in found


def test_machine_does_not_load_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert "torch" not in record.machine()
    assert "torch" not in sys.modules


def test_machine_records_torch_where_it_is_used() -> None:
    torch = pytest.importorskip("torch")
    assert record.machine()["torch"]["threads"] == torch.get_num_threads()


def test_git_state_sees_commit_and_uncommitted_changes(tmp_path: Path) -> None:
    assert record.git_state(tmp_path) is None

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "table1.csv").write_text("1")
    git("add", "a", "results")
    git("commit", "-m", "one")
    (tmp_path / "results" / "table1.csv").write_text("2")  # made by the code, not a part of it
    record.git_state.cache_clear()
    clean = record.git_state(tmp_path)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["dirty_diff_sha256"] is None
    (tmp_path / "a").write_text("2")
    record.git_state.cache_clear()
    dirty = record.git_state(tmp_path)
    assert dirty is not None
    assert dirty["commit"] == clean["commit"]
    assert len(dirty["dirty_diff_sha256"]) == 64


def test_peak_memory_grows_with_use() -> None:
    before = record.peak_memory_mb()
    block = bytearray(200_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert record.peak_memory_mb() >= max(before, 200)
