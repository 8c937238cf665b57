"""Values of a whole set: pooled from what samples contribute, kept while nothing changed, skipped with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.fake_parts import config
from toraeval import registry
from toraeval.run import pipeline
from toraeval.run.ending import Report
from toraeval.run.plan import plan_run
from toraeval.types import Case, FloatArray, Score, Tracks, UserError, Video


class Spread:
    """The span of the samples' mean brightness; needs two samples; skips the case named `without`."""

    name, version, direction, units = "spread", "1", "lower", "levels"
    needs_video = True
    pooled: ClassVar[list[list[str]]] = []

    def __init__(self, without: str = "", broken: bool = False) -> None:
        self.without, self.broken = without, broken

    def fingerprint(self) -> dict[str, Any]:
        return {"metric": self.name, "version": self.version, "broken": self.broken}

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        if case.id == self.without:
            return Score(self.name, self.version, skipped="too dark")
        assert video is not None
        return Score(self.name, self.version, arrays={"level": np.array([video.frames_TCHW.mean()])})

    def pool(self, contributions: Mapping[str, Mapping[str, FloatArray]]) -> Score:
        Spread.pooled.append(list(contributions))
        if self.broken:
            raise UserError("no spread of\nthese")
        levels = [float(arrays["level"][0]) for arrays in contributions.values()]
        if len(levels) < 2:
            return Score(self.name, self.version, skipped=f"{len(levels)} sample, 2 are needed")
        return Score(
            self.name, self.version, {"spread": max(levels) - min(levels), "spread_low": float("nan")}
        )


@pytest.fixture(autouse=True)
def parts(fakes: None) -> None:
    registry.register("metric", "spread", "tests.run.test_set_scores:Spread")
    Spread.pooled.clear()


def run(results: Path, metric: dict[str, Any] | None = None, **changes: Any) -> Report:
    metrics = {"traj_error": {"name": "traj_error"}, "spread": {"name": "spread", **(metric or {})}}
    return pipeline.run(plan_run(config(results, metrics=metrics, floor=False, **changes)), command="test")


def test_value_of_the_set_is_pooled_once_from_stored_contributions(tmp_path: Path) -> None:
    report = run(tmp_path)
    levels = [
        np.load(report.result.run_dir / "cases" / case / "score.npz")["spread/level"][0]
        for case in ("alpha", "beta", "gamma")
    ]
    stored = report.result.set_scores["spread"]
    assert stored["values"] == {"spread": pytest.approx(max(levels) - min(levels))}
    assert (stored["version"], stored["skipped"]) == ("1", None)
    assert stored["samples"] == ["alpha", "beta", "gamma"]
    run(tmp_path)
    assert Spread.pooled == [["alpha", "beta", "gamma"]]


def test_other_samples_are_pooled_again(tmp_path: Path) -> None:
    run(tmp_path)
    report = run(tmp_path, samples=["alpha", "gamma"])
    assert report.result.set_scores["spread"]["samples"] == ["alpha", "gamma"]
    assert Spread.pooled[1:] == [["alpha", "gamma"]]


def test_a_new_metric_neither_tracks_again_nor_changes_the_old_rows(tmp_path: Path) -> None:
    from tests.fake_parts import FakeModel, FakeTracker

    plain = pipeline.run(plan_run(config(tmp_path, floor=False, keep="lossless")), command="test")
    FakeModel.calls.clear()
    FakeTracker.calls = 0
    report = run(tmp_path, keep="lossless")
    assert (FakeModel.calls, FakeTracker.calls) == ([], 0)
    assert report.result.cases["traj_error"].tolist() == plain.result.cases["traj_error"].tolist()


def test_skips_are_recorded_with_their_reason_and_never_zero(tmp_path: Path) -> None:
    result = run(tmp_path, {"without": "beta"}).result
    assert result.set_scores["spread"]["samples"] == ["alpha", "gamma"]
    assert result.skips[["sample", "metric", "reason"]].values.tolist() == [["beta", "spread", "too dark"]]
    assert result.cases["status"].tolist() == ["ok"] * 3
    assert "spread" not in result.cases


def test_a_set_that_is_too_small_is_skipped(tmp_path: Path) -> None:
    stored = run(tmp_path, limit=1).result.set_scores["spread"]
    assert (stored["values"], stored["skipped"]) == ({}, "1 sample, 2 are needed")


def test_no_contribution_at_all_is_skipped(tmp_path: Path) -> None:
    stored = run(tmp_path, {"without": "alpha"}, limit=1).result.set_scores["spread"]
    assert "no sample contributes" in stored["skipped"]
    assert Spread.pooled == []


def test_a_failing_pool_costs_no_table_and_is_tried_again(tmp_path: Path) -> None:
    result = run(tmp_path, {"broken": True}).result
    assert result.set_scores["spread"]["skipped"] == "pooling failed: UserError: no spread of these"
    assert result.cases["traj_error"].tolist() == [2.0] * 3
    run(tmp_path, {"broken": True})
    assert len(Spread.pooled) == 2


def test_definitions_say_what_a_metric_looks_at(tmp_path: Path) -> None:
    run_dir = run(tmp_path).result.run_dir
    stored = json.loads((run_dir / "definitions.json").read_text())
    assert (stored["spread"]["looks_at"], stored["spread"]["of_whole_set"]) == ("video", True)
    assert (stored["traj_error"]["looks_at"], stored["traj_error"]["of_whole_set"]) == ("tracks", False)
