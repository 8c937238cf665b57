"""A damaged clip fails its case with one line, or is scored and marked where that was asked for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from toraeval.__main__ import main

DATA = Path(__file__).parents[1] / "data" / "faults" / "video"


def test_refused_then_scored_and_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["score", f"videos={DATA / 'cutwebm.webm'}", f"trajectories={DATA / 'path.json'}"]
    given += ["metric=traj_error", f"results={tmp_path}"]
    assert main(given) != 0
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "the file is cut off: its Segment needs 7445 bytes, the file has 4467" in shown.out + shown.err
    assert "has no value" not in shown.err  # said once: the clip failed, and so every metric
    assert main([*given, "allow_damaged=true"]) == 0
    shown = capsys.readouterr()
    assert "DAMAGED FILE, 6 frames taken" in shown.err + shown.out
    rows = pd.concat(pd.read_csv(path) for path in sorted(tmp_path.rglob("cases.csv")))
    marked = rows[rows["status"] == "ok"]
    assert marked["reading"].str.startswith("DAMAGED FILE, 6 frames").all()
    assert len(marked) == 1
