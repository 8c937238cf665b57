from __future__ import annotations

import os
from pathlib import Path

import pytest

from toraeval import __main__, machine


def test_the_quota_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert machine.cpu_count(tmp_path) == 8
    for quota, cores in (("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(quota)
        assert machine.cpu_count(tmp_path) == cores


def test_the_memory_limit_of_a_container_counts(tmp_path: Path) -> None:
    whole = machine.free_memory(tmp_path)
    assert whole > 1 << 20
    (tmp_path / "memory.max").write_text("5000000")
    (tmp_path / "memory.current").write_text("2000000")
    assert machine.free_memory(tmp_path) == 3_000_000


def test_windows_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "name", "nt")
    code = __main__.main(["list"])
    monkeypatch.undo()
    printed = capsys.readouterr()
    assert (code, printed.out, len(printed.err.splitlines())) == (2, "", 1)
    assert "wsl" in printed.err
