"""The pages and tables of the benchmarks of time, from made-up measurements; nothing is timed here."""

import json
import math

import pytest

from benchmarks import all as performance
from benchmarks import paired, peers


def stage(seconds, mib=3.0):
    return {"seconds": seconds, "mib": mib}


def test_page_fits_growth_and_says_what_could_not_be_measured():
    stages = {
        ("256x256", 16): {"read": stage(9.0), "generate": stage(0.1), "process": {"mib": 300.0}},
        ("256x256", 64): {"read": stage(0.64), "generate": stage(0.1), "process": {"mib": 310.0}},
        ("256x256", 128): {"read": stage(1.28), "generate": stage(0.3), "process": {"mib": 320.0}},
        ("1280x720", 64): {"read": stage(2.0), "generate": "sides divisible by 32"},
    }
    held = {key: dict(found) for key, found in stages.items()}
    held["256x256", 128] |= {"read": stage(1.92)}
    rows = [
        {"task": "SSIM", "peer": "torchmetrics", "theirs": 0.09, "ours": 0.01, "ratio": 8.5},
        {"task": "decord", "skipped": "No module named 'decord'"},
    ]
    text = performance.page(stages, held, {10: 340.0, 100: 344.0}, rows)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["read", "9.000", "0.640", "1.280"] in cells
    assert ["read", f"{math.log2(3):.2f} (above)", ""] in cells, (
        "growth is that of held memory; 16 frames are no part of the fit, and one length gives none"
    )
    assert ["generate", f"{math.log2(3):.2f} (above)", ""] in cells
    assert ["generate", "not possible"] in cells
    assert "- `generate` at 1280x720: sides divisible by 32" in text
    assert ["SSIM", "torchmetrics", "90", "10", "8.50"] in cells
    assert ["decord", "skipped", "", "", "No module named 'decord'"] in cells
    assert "10 small clips takes 340 MiB at its peak, 100 clips 344 MiB: x1.01." in text


def test_pairs_are_compared_by_the_median_of_their_ratios():
    rounds = [
        {
            side: {"all": total, "peak_gib": 1.0, "stages": {"track": total / 4}}
            for side, total in pair.items()
        }
        for pair in ({"old": 10.0, "new": 5.0}, {"old": 30.0, "new": 12.0}, {"old": 8.0, "new": 6.0})
    ]
    lines = paired.table(rounds).splitlines()
    assert next(line for line in lines if line.startswith("in all")).split()[-3:] == [
        "10.000",
        "6.000",
        "0.500",
    ]
    assert next(line for line in lines if line.startswith("track")).split()[-1] == "0.500"


def test_values_that_moved_are_named(tmp_path):
    for side, value in (("old", 1.0), ("new", 1.25)):
        place = tmp_path / side / "runs" / "shapes-v2" / "tora" / "016f-512x512-ab" / "cases" / "00"
        place.mkdir(parents=True)
        metrics = {"m": {"values": {"traj_error": value, "ssim": 0.5}}}
        content = {"facts": {"model": "tora", "frames": 16, "sample": "00"}, "metrics": metrics}
        (place / "score.json").write_text(json.dumps(content))
    text = paired.differences(*(paired.stored(tmp_path / side) for side in ("old", "new")))
    assert "1 sample on both sides, 1 value equal everywhere" in text
    assert "traj_error: up to 0.25 apart" in text


def test_a_timed_pair_gives_seconds_and_ratio():
    found = peers.timed(peers.Pair("sum", "slow", lambda: sum(range(60_000)), lambda: sum(range(600))))
    assert found["ratio"] > 5
    assert found["theirs"] == pytest.approx(found["ratio"] * found["ours"], rel=0.9)
