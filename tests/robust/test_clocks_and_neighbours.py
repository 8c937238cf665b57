"""Clocks that jump, and two commands on one results folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.robust import small_bench
from tests.robust.conftest import Whole

pytestmark = [pytest.mark.robust, pytest.mark.timeout(3000)]


def test_a_clock_that_jumps(results: Path, whole: Whole) -> None:
    small_bench.finish(results, tweak="jumping")
    small_bench.require_equal(results, whole(1))
    small_bench.finish(results, tweak="jumping")
    small_bench.require_equal(results, whole(1))


def test_two_commands_on_one_folder(results: Path, whole: Whole) -> None:
    both = [small_bench.start(results, log=results.parent / f"{name}.log") for name in ("a", "b")]
    for running in both:
        code, words = running.ended()
        assert code == 0, words
        assert "Traceback" not in words, words
    small_bench.require_equal(results, whole(1))
