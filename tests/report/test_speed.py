"""Variants of one model side by side: seconds and every metric against the plain one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toraeval.report.assemble import build
from toraeval.report.collect import collect
from toraeval.report.speed import SPEED, speed
from toraeval.store.sealed import write_json


def variant(make_run: Callable[..., Path], root: Path, key: str, seconds: float, **options: Any) -> Path:
    """A run of Tora with options of its own and so many seconds per clip."""
    folder = make_run(root, "tora", 6, key=key, sha256=key)
    record = json.loads((folder / "record.json").read_text())
    record.pop("checksum")
    config = {"model": {"name": "tora", "steps": 8, "cache": "none", "cache_threshold": 0.1, **options}}
    write_json(
        folder / "record.json", {**record, "config": config, "fingerprints": {"metrics": {"traj_error": {}}}}
    )
    timings = folder / "timings.csv"
    lines = timings.read_text().splitlines()
    place = lines[0].split(",").index("generate_s")
    rows = [line.split(",") for line in lines[1:]]
    for row in rows:
        row[place] = str(seconds)
    timings.write_text("\n".join([lines[0], *(",".join(row) for row in rows)]) + "\n")
    return folder


def test_faster_variants_stand_beside_the_plain_one(make_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = [
        variant(make_run, tmp_path, "aaaaaaaaaaaa", 4.0),
        variant(make_run, tmp_path, "bbbbbbbbbbbb", 1.0, cache="teacache", cache_threshold=0.2),
        make_run(tmp_path, "static", 6),
    ]
    rows = speed(collect(runs)[0])
    assert list(rows.columns) == list(SPEED)
    assert set(rows["variant"]) == {"cache=teacache cache_threshold=0.2"}
    assert set(rows["baseline"]) == {"cache=none"}
    assert set(rows["speed_up"]) == {4.0}
    error = rows[rows["column"] == "traj_error"].iloc[0]
    assert error["change"] == 0  # the same tracks
    assert error["verdict"] == "equal"
    written = {path.name for path in build(runs, tmp_path / "out")}
    assert {"speed.csv", "speed.md"} <= written
    assert "x4.00" in (tmp_path / "out" / "speed.md").read_text()


def test_nothing_is_written_without_variants(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path, "tora", 6)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "speed.md").write_text("of an earlier bench")
    build([run], tmp_path / "out")
    assert not (tmp_path / "out" / "speed.md").exists()
