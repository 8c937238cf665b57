"""The order of spoilt photographs: how clips are spoilt, that orders are checked, and that the committed ones hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import photo_order
from toraeval.metrics.shared.frame_features import changes

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def clips():
    return list(photo_order.suite_clips(1))


@pytest.fixture(scope="module")
def features(clips):
    return photo_order.features(iter(clips))


def test_every_condition_keeps_size_and_length_and_spoils_the_clip(clips):
    for name, spoil in photo_order.CONDITIONS.items():
        spoilt = spoil(clips[0], np.random.default_rng(0))
        assert (spoilt.shape, spoilt.dtype) == (clips[0].shape, np.uint8)
        assert (spoilt != clips[0]).any() == (name != "clean")


@pytest.mark.long
@pytest.mark.timeout(300)  # a hundred pictures through a network
def test_a_clip_orders_as_documented_in_time_and_a_frozen_one_is_the_farthest(features):
    away = {
        name: np.mean(
            [
                np.square(changes(own) - changes(clean)).sum()
                for own, clean in zip(clips, features["clean"], strict=True)
            ]
        )
        for name, clips in features.items()
    }
    rows = [(1, "time", name, value) for name, value in away.items()]
    assert photo_order.broken(pd.DataFrame(rows, columns=["clips", "part", "condition", "fvd"])) == []
    assert away["frozen"] > 5 * max(value for name, value in away.items() if name != "frozen")


def test_sets_are_measured_at_every_size_with_an_interval_around_the_value():
    rng = np.random.default_rng(0)
    clean = [rng.random((4, 40)) for _ in range(20)]
    table = photo_order.measure({"clean": clean, "other": [clip + 1 for clip in clean]})
    assert table["clips"].unique().tolist() == [16, 20]
    assert (table.loc[table["condition"] == "clean", "fvd"] == 0).all()
    other = table.query("condition == 'other' and part == 'frame'")
    assert other["fvd"].to_numpy() == pytest.approx(40.0)
    assert (other["low"] <= other["fvd"] + 1e-9).all()
    assert (other["fvd"] <= other["high"] + 1e-9).all()


def test_a_broken_order_is_named_and_ends_with_1(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    found = {name: [rng.random((16, 40)) for _ in range(3)] for name in photo_order.CONDITIONS}
    frozen_best = found | {"frozen": found["clean"]}
    monkeypatch.setattr(photo_order, "features", lambda clips: frozen_best)
    assert photo_order.main(["--out", str(tmp_path)]) == 1
    assert "3 clips, time: half_speed < frozen does not hold" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"photo_order.csv", "photo_order.md"}


@pytest.mark.parametrize("name", ["photo_order", "photo_order_videos"])
def test_the_committed_orders_hold_with_a_frozen_video_worst_in_time(name):
    file = RESULTS / f"{name}.csv"
    if not file.exists():
        pytest.skip("results/ was removed")
    table = pd.read_csv(file)
    assert photo_order.broken(table) == []
    assert sorted(table["clips"].unique()) == [16, 31, 64]
    for _, rows in table[table["part"] == "time"].groupby("clips"):
        rest = rows[rows["condition"] != "frozen"]
        assert rows.loc[rows["condition"] == "frozen", "low"].item() > rest["high"].max()


def test_a_folder_without_videos_is_refused(tmp_path, capsys):
    assert photo_order.main(["--videos", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "no video in this folder" in capsys.readouterr().err
