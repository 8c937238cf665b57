from __future__ import annotations

import sys

import pytest

from toraeval.cli import progress
from toraeval.cli.progress import ProgressBar
from toraeval.run.outcome import Outcome


def test_a_log_gets_lines_and_failures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    with ProgressBar() as bar:
        bar.start("tora 16f", 2, 32, 1)
        bar.advance(Outcome("a", 16))
        bar.advance(Outcome("b\x1b[31m", 16, failed=True, error="broken"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "failed: b\\u001b[31m: broken\n" in printed.err
    assert "\r" not in printed.err
    assert "tora 16f (2 to do, 1 cached): 16/32 frames after 0 s, about 0 s left\n" in printed.err
    assert "32/32 frames" in printed.err


def test_a_log_is_not_filled_by_many_cases(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar.start("tora 1f", 1000, 1000, 0)
        for _ in range(1000):
            bar.advance(Outcome("a", 1))
    assert len(capsys.readouterr().err.splitlines()) == 2, "the start and the end"


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressBar() as bar:
        bar.start("tora 16f", 1, 16, 1)
        bar.advance(Outcome("a", 16))
    printed = capsys.readouterr().err
    assert "\r" in printed
    assert "tora 16f (1 to do, 1 cached)" in printed
    assert "16/16" in printed


def test_nothing_to_do_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar.start("tora 16f", 0, 0, 4)
    assert capsys.readouterr().err == ""
