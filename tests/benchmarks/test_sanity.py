"""The sanity table: how spoilt videos are made, and that every metric orders them as it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import sanity
from toraeval import registry
from toraeval.metrics.shared.base import Metric, SetMetric
from toraeval.metrics.shared.expectations import CONDITIONS, check, orders
from toraeval.run.parts import with_base
from toraeval.suites.shapes.suite import Shapes
from toraeval.types import MissingAsset, Score, UserError

COMMITTED = Path(__file__).parents[2] / "results"
SIDE = 128


@pytest.fixture(scope="module")
def cases():
    every = Shapes().cases(10, SIDE, SIDE)
    return [every[0], every[4]]


@pytest.fixture(scope="module")
def table(cases):
    # metrics that rest on a network need larger pictures, and sets more videos: see the committed table
    names = [name for name in registry.names("metric") if name in orders()]
    tracker = registry.build("tracker", {"name": "lucas_kanade"})
    return sanity.measure(cases, tracker, sanity.build(names)).assign(frames=10)


def spoilt(condition, cases):
    return sanity.spoil(condition, cases[0], cases[1]).thwc


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_keeps_size_length_and_the_given_first_frame(condition, cases):
    frames, truth = spoilt(condition, cases), spoilt("ground_truth", cases)
    assert (frames.shape, frames.dtype) == (truth.shape, np.uint8)
    if condition != "other_case":
        np.testing.assert_array_equal(frames[0], truth[0])
    if condition != "ground_truth":
        assert (frames[1:] != truth[1:]).any()
    np.testing.assert_array_equal(frames, spoilt(condition, cases))  # the same again


def test_shifts_move_the_picture_in_pixels_of_512(cases):
    truth = spoilt("ground_truth", cases)
    moved = spoilt("shift_32", cases)  # 8 px of 128
    right = cases[0].trajectories.tracks_NT2[..., 0].mean() < SIDE / 2
    inside = (slice(None), slice(8, None)) if right else (slice(None), slice(None, -8))
    source = (slice(None), slice(None, -8)) if right else (slice(None), slice(8, None))
    np.testing.assert_array_equal(moved[5][inside], truth[5][source])


def test_lags_repeat_the_start_and_shuffling_keeps_every_frame(cases):
    truth, late, mixed = (spoilt(name, cases) for name in ("ground_truth", "lag_4", "shuffled"))
    np.testing.assert_array_equal(late[4:], truth[:-4])
    assert sorted(f.tobytes() for f in mixed) == sorted(f.tobytes() for f in truth)


def test_vanished_objects_leave_the_background(cases):
    frames, truth = spoilt("vanished", cases), spoilt("ground_truth", cases)
    mask = cases[0].reference().masks()[0, -1]
    ring = np.abs(frames[-1][mask].astype(float) - truth[-1][~mask].astype(float).mean(axis=0)).mean()
    assert (
        ring < 25 < np.abs(truth[-1][mask].astype(float) - truth[-1][~mask].astype(float).mean(axis=0)).mean()
    )


def test_unknown_conditions_are_refused(cases):
    with pytest.raises(UserError, match=r"unknown condition 'frosen'\. Did you mean 'frozen'"):
        sanity.spoil("frosen", *cases)


def test_every_metric_orders_spoilt_videos_as_its_documentation_says(table):
    found = sanity.findings(table)
    assert len(found) > 100
    assert all(finding.holds is not None for _, finding in found)
    assert [finding for _, finding in found if not finding.holds] == []


@pytest.mark.parametrize("name", ["sanity.csv", "sanity_photos.csv"])
def test_the_committed_tables_follow_the_expectations(name):
    table = pd.read_csv(COMMITTED / name, keep_default_na=False, na_values={"value": [""]})
    assert set(table["condition"]) == set(CONDITIONS)
    assert {16, 64} <= set(table["frames"])
    found = sanity.findings(table)
    assert [(frames, finding) for frames, finding in found if finding.holds is False] == []
    checked = {finding.column for _, finding in found if finding.holds}
    assert {"traj_error", "motion_amount", "object_survival", "mask_iou", "tapvid"} <= checked


def test_a_metric_that_turns_its_scale_round_is_caught(table):
    spoilt_table = table.copy()
    spoilt_table.loc[spoilt_table["column"] == "traj_error", "value"] *= -1
    wrong = {finding.claim for _, finding in sanity.findings(spoilt_table) if not finding.holds}
    assert "ground_truth < shift_2" in wrong


def test_chains_are_checked_pair_by_pair_and_missing_means_are_not_a_verdict():
    means = {"ground_truth": 1.0, "shift_2": 2.0, "shift_8": 1.5}
    verdicts = {finding.claim: finding.holds for finding in check("traj_error", means)}
    assert verdicts["ground_truth < shift_2"] is True
    assert verdicts["shift_2 < shift_8"] is False
    assert verdicts["shift_8 < shift_32"] is None


class _Absent:
    name, version = "absent", "1"

    def score(self, case, tracks, video):
        raise MissingAsset("absent: weights are missing; run: python -m toraeval fetch absent")


class _Set:
    name, version = "set", "1"

    def score(self, case, tracks, video):
        return Score("set", "1", arrays={"x": np.ones(1)})

    def pool(self, contributions):
        return Score("set", "1", {"set": float(len(contributions))})


def test_missing_weights_are_a_row_with_the_reason_and_sets_are_pooled(cases):
    tracker = registry.build("tracker", {"name": "lucas_kanade"})
    small = [case for case in Shapes().cases(2, 64, 64)[:2]]
    table = sanity.measure(
        small, tracker, {"absent": with_base(_Absent(), Metric), "set": with_base(_Set(), SetMetric)}
    ).assign(frames=2)
    absent = table[table["metric"] == "absent"]
    assert (absent["cases"] == 0).all()
    assert absent["value"].isna().all()
    assert absent["skipped"].str.contains("fetch absent").all()
    assert (table[table["metric"] == "set"]["value"] == 2.0).all()
    assert "absent skipped: absent: weights are missing" in sanity.to_markdown(table, "about")
