"""What toraeval adds around a tracker is measured in one process, whatever the default number of processes is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import harness_cost


def test_every_part_of_a_clip_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    harness_cost.cost("lucas_kanade", frames=4, size=64, count=1)
    shown = capsys.readouterr().out
    for part in ("tracker", "reading", "metrics", "everything else"):
        line = next(line for line in shown.splitlines() if line.startswith(part))
        assert float(line.removeprefix(part).split()[0]) >= 0


def test_clips_are_scored_in_this_process(tmp_path: Path) -> None:
    harness_cost.write_clips(tmp_path, 4, 64, 2)
    assert harness_cost.make_plan(tmp_path, []).options.workers == 1
