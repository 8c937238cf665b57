"""Training of the learned tracker: its data, its loss, resuming, export, options."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import interrupted
from toraeval.config.trainings import TrackerOptions
from toraeval.store import lock
from toraeval.trackers import shapes_tracker
from toraeval.trackers.shared.correlation_net import CorrelationTracker, Estimate, NetConfig, Output
from toraeval.training.data import tracker_data
from toraeval.training.data.tracker_data import draw_sample
from toraeval.training.engine.distributed import checkpoints
from toraeval.training.engine.log import read_rows
from toraeval.training.recipes import tracker
from toraeval.training.recipes.tracker import measure_loss
from toraeval.types import UserError

SMALL = NetConfig(raster=32, fine=8, coarse=8, blocks=1, width=16, layers=1, heads=2, band=2, rounds=2)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(tracker, "NetConfig", lambda: SMALL)
    monkeypatch.setattr(tracker, "CHECKED", 2)


def options(tmp_path, **changes):
    values = {
        "folder": str(tmp_path),
        "export": str(tmp_path / "w.safetensors"),
        "workers": 1,
        "minutes": 1.0,
    }
    return TrackerOptions("shapes_tracker", **{**values, "batch": 1, "frames": 4, "points": 2, **changes})


def test_samples_are_reproducible_and_splits_differ():
    first, again = (draw_sample("train", 5, frames=6, points=3, raster=48) for _ in range(2))
    assert np.array_equal(first.frames_THW3, again.frames_THW3)
    assert np.array_equal(first.points_NT2, again.points_NT2)
    other = draw_sample("validation", 5, frames=6, points=3, raster=48)
    assert not np.array_equal(first.frames_THW3, other.frames_THW3)


def test_visible_points_keep_their_colour_in_undamaged_clips(monkeypatch):
    monkeypatch.setattr(tracker_data, "_damage", lambda clip, *rest: clip)
    hidden = kept = 0
    for index in range(12):
        sample = draw_sample("train", index, frames=8, points=3, raster=128)
        cells = np.rint(sample.points_NT2).astype(int)
        for path, seen in zip(cells, sample.visible_NT, strict=True):
            assert seen[0]
            colours = sample.frames_THW3[np.arange(8), path[:, 1], path[:, 0]].astype(int)
            like = np.abs(colours - colours[0]).max(-1) <= 60
            hidden += int((~seen).sum())
            kept += int((like[seen]).sum() == seen.sum())
    assert hidden > 10
    assert kept >= 30  # of 36; the rest crosses a rim by a fraction of a pixel


def test_loss_falls_when_places_visibility_or_the_heat_map_improve():
    points = torch.tensor([[[[8.0, 8.0], [9.5, 9.5], [12.0, 12.0]]]])
    visible = torch.tensor([[[True, True, False]]])
    heat = torch.zeros(1, 1, 3, 8, 8)

    def value(shift, logit, peak=0.0):
        seen = torch.tensor([[[0.0, logit, -logit]]])
        bright = heat.clone()
        bright[0, 0, 1, 2, 2] = peak  # the cell of (9.5, 9.5) at a raster of 32
        rounds = [Estimate(points + shift, seen)] * 3
        return float(measure_loss(Output(bright, rounds), points, visible, 32))

    assert value(0.0, 2.0) < value(1.0, 2.0) < value(5.0, 2.0)
    assert value(1.0, 2.0) < value(1.0, -2.0)
    assert value(0.0, 2.0, peak=8.0) < value(0.0, 2.0)
    # beyond the reach of the windows the loss grows, but slowly
    assert value(4.0, 2.0) - value(3.0, 2.0) > 5 * (value(41.0, 2.0) - value(40.0, 2.0)) > 0


@pytest.mark.usefixtures("small", "clock")
def test_a_run_in_two_parts_equals_one_and_its_export_loads_in_the_tracker(tmp_path):
    whole, parts = options(tmp_path / "a", minutes=21 / 60), options(tmp_path / "b", minutes=21 / 60)
    assert tracker.main(whole) == 0
    assert interrupted(lambda: tracker.main(parts), after=3) == 130
    assert [step for step, _ in checkpoints(tmp_path / "b" / "shapes_tracker" / "checkpoints")] == [3]
    assert tracker.main(parts) == 0
    one, other = (load_file(tmp_path / name / "w.safetensors") for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)
    (row,) = read_rows(tmp_path / "b" / "shapes_tracker" / "log.csv")
    assert (row["step"], row["clips"], row["seconds"]) == ("20", "20", "20")
    card = json.loads((tmp_path / "a" / "w.json").read_text())
    assert (card["clips_seen"], card["steps"], card["training_seconds"]) == (21, 21, 21)
    assert card["scenes"][0] >= 20_000_000  # no scene that a generator trains on
    network = shapes_tracker.load_network(tmp_path / "a" / "w.safetensors")
    assert isinstance(network, CorrelationTracker)
    assert network.config == SMALL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 0.0}, "minutes=0.0; allowed: more than 0"),
        ({"frames": 1}, "frames=1; allowed: .*2 to 128"),
        ({"batch": 0}, "batch=0"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_options_are_checked(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        tracker.main(options(tmp_path, **changes))


@pytest.mark.usefixtures("small", "clock")
def test_a_state_of_other_options_or_of_an_older_version_is_refused(tmp_path):
    assert tracker.main(options(tmp_path, minutes=1 / 60)) == 0
    with pytest.raises(UserError, match=r"points differs from what the run in .* began with \(was 2, is 3\)"):
        tracker.main(options(tmp_path, points=3))
    old = tmp_path / "old" / "shapes_tracker"
    old.mkdir(parents=True)
    (old / "state.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"state.pt was written by an older version .* folder=PATH"):
        tracker.main(options(tmp_path / "old"))


def test_a_folder_in_use_is_refused(tmp_path):
    folder = tmp_path / "shapes_tracker"
    folder.mkdir()
    with lock.hold(folder), pytest.raises(UserError, match=r"another run is working in .*folder=PATH"):
        tracker.main(options(tmp_path))
