"""The torchmetrics classes: the numbers of the bench, in collections, loops and several processes."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import toraeval
from tests.api import two_processes
from tests.api.two_processes import SIZE, clip, numbers
from tests.fake_parts import config
from toraeval.run import pipeline
from toraeval.run.plan import plan_run
from toraeval.types import UserError
from toraeval.video import read_video

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

SCRIPT = Path(two_processes.__file__)
CHOSEN = ("traj_error", "fvd", "clipsim", "lpips")


def collected(metrics: Any) -> MetricCollection:
    """Return a collection; torchmetrics takes seconds to import, which only whoever runs these tests should wait."""
    from torchmetrics import MetricCollection

    return MetricCollection(metrics)


@pytest.mark.long
@pytest.mark.timeout(300)  # a whole run on a busy machine
def test_the_numbers_are_those_of_the_bench(tmp_path: Path) -> None:
    asked = config(
        tmp_path,
        suite={"name": "shapes"},
        model={"name": "cut_and_drag"},
        tracker={"name": "lucas_kanade"},
        metrics={name: {"name": name} for name in CHOSEN} | {"fvd": {"name": "fvd", "min_videos": 4}},
        frames=16,
        height=128,
        width=128,
        limit=4,
        keep="lossless",
        floor=False,
    )
    plan = plan_run(asked)
    pipeline.run(plan, command="test")
    stored = toraeval.load_results(tmp_path)
    (run,) = stored.loaded
    metrics = collected(
        [
            toraeval.TrajErrorMetric(),
            toraeval.FVDMetric(min_videos=4),
            toraeval.ClipSimMetric(),
            toraeval.LPIPSMetric(),
        ]
    )
    for sample in reversed(plan.samples):
        case, file = sample.case, run.video_file(sample.id)
        assert file is not None
        video = read_video(file)
        assert case.reference is not None
        followed = toraeval.track(video, case.trajectories.tracks_NT2[:, 0])
        metrics.update(
            tracks=followed.tracks_NT2,
            target=case.trajectories.tracks_NT2,
            target_visible=case.trajectories.visible_NT,
            size=(128, 128),
            video=torch.from_numpy(np.ascontiguousarray(video.frames_TCHW))[None],
            reference=case.reference().video,
            prompt=[case.prompt],
        )
    found = {name: float(value) for name, value in metrics.compute().items()}
    fvd = stored.set_scores.set_index("column")["value"]["fvd_shapes"]
    means = stored.cases[["traj_error", "clipsim_shapes", "lpips_shapes"]].mean()
    assert found == {
        "TrajErrorMetric": pytest.approx(means["traj_error"], rel=1e-12),
        "FVDMetric": pytest.approx(fvd, rel=1e-9),
        "ClipSimMetric": pytest.approx(means["clipsim_shapes"], rel=1e-12),
        "LPIPSMetric": pytest.approx(means["lpips_shapes"], rel=1e-12),
    }
    assert 0 < found["TrajErrorMetric"] < 20
    assert found["FVDMetric"] > 0


@pytest.mark.long
@pytest.mark.timeout(300)  # starts processes, which import torch
def test_two_processes_find_what_one_does(tmp_path: Path) -> None:
    expected = numbers(list(range(two_processes.CLIPS)))
    assert len(set(expected.values())) == 5
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[2]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path)], env=environment) as process:
        own = two_processes.shared(tmp_path, 0)
        assert process.wait(200) == 0
    for found in (own, json.loads((tmp_path / "other.json").read_text())):
        for way in ("shared", "one_has_none"):
            assert found[way] == {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}
        assert found["shared"]["fvd"] == expected["fvd"]  # the order of clips does not enter


def test_a_collection_does_not_join_metrics_that_agree_at_first() -> None:
    metrics = collected(
        {"l1": toraeval.TrajErrorMetric(), "mean": toraeval.TrajErrorMetric(reading="l1_mean_xy__all_frames")}
    )
    target = np.full((1, 4, 2), 8.0)
    metrics.update(tracks=target, target=target, size=SIZE)  # both are 0
    metrics.update(tracks=target + np.array([2.0, 0]), target=target, size=SIZE)
    assert {name: float(value) for name, value in metrics.compute().items()} == {"l1": 1.0, "mean": 0.5}


def test_batches_steps_and_copies_work_as_of_any_other_metric() -> None:
    metric = toraeval.TrajErrorMetric()
    target = torch.full((2, 3, 4, 2), 8.0)
    step = metric(target + 1.0, target, SIZE)  # forward: the value of this batch
    assert (float(step), metric.cases) == (2.0, 2)
    copy = pickle.loads(pickle.dumps(metric))
    copy.update(target[0] + 4.0, target[0], SIZE)
    assert float(copy.compute()) == pytest.approx((2 + 2 + 8) / 3)
    assert float(metric.compute()) == 2.0
    metric.reset()
    metric.update([target[0, :1], target[1]], [target[0, :1], target[1]], SIZE)
    assert (float(metric.compute()), metric.cases) == (0.0, 2)


def test_what_cannot_be_scored_is_left_out_and_said() -> None:
    metric = toraeval.TrajErrorMetric()
    off = np.full((1, 4, 2), 99.0)
    metric.update(off, off, SIZE)
    assert metric.cases == 0
    assert np.isnan(float(metric.compute()))
    few = toraeval.FVDMetric(min_videos=3)
    sample = clip(0)
    with pytest.warns(
        UserWarning, match="fvd: a clip is left out: 8 frames, a clip of backbone shapes has 16"
    ):
        few.update(sample["video"][:8], sample["reference"][:8])
    few.update(sample["video"], sample["reference"])
    with pytest.warns(UserWarning, match="1 video with features; backbone shapes needs 3"):
        assert np.isnan(float(few.compute()))
    with pytest.raises(UserError, match="clips and captions: 1 and 2"):
        toraeval.ClipSimMetric().update(sample["video"], ["a", "b"])
    with pytest.raises(UserError, match="backbone=inception"):
        toraeval.LPIPSMetric("inception")
