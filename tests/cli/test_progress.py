from __future__ import annotations

import pytest

from toraeval.cli.progress import Bar
from toraeval.run.sample import Outcome


def test_bar_goes_to_stderr_with_failures_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar() as bar:
        bar.start("tora 16f", 2, 32, 1)
        bar.advance(Outcome("a", 16))
        bar.advance(Outcome("b", 16, failed=True, error="broken"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "failed: b: broken\n" in printed.err
    assert "32/32" in printed.err
    assert "tora 16f (2 to do, 1 cached)" in printed.err


def test_nothing_to_do_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(0) as bar:
        bar.start("tora 16f", 0, 0, 4)
    assert capsys.readouterr().err == ""


def test_one_bar_over_several_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(48) as bar:
        bar.start("static 16f", 1, 16, 0)
        bar.advance(Outcome("a", 16))
        bar.start("static 32f", 1, 32, 0)
        bar.advance(Outcome("a", 32))
    assert "48/48" in capsys.readouterr().err
