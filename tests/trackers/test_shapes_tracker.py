"""The learned tracker around its network: coordinates, alignment, weights that are absent or wrong."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import pytest
import torch

from toraeval.models.shared.weight_files import write_safetensors
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.suite import Shapes
from toraeval.suites.shapes.world import sample_scene
from toraeval.trackers import shapes_tracker
from toraeval.trackers.shapes_tracker import ShapesTracker
from toraeval.trackers.shared.correlation_net import CorrelationTracker, Estimate, NetConfig, Output
from toraeval.types import MissingAsset, UserError, Video
from toraeval.video import degradation

SMALL = NetConfig(raster=32, fine=8, coarse=8, blocks=1, width=16, layers=1, heads=2, band=2, rounds=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    card = {"architecture": asdict(SMALL)}
    return write_safetensors(path, CorrelationTracker(SMALL).state_dict(), card, torch.float16)


@pytest.fixture(scope="module")
def scene():
    return SceneRenderer(sample_scene("validation", 0, 1, "line"), 5)


class Following:
    """Stands in for the network: answers with given tracks, off by some pixels of its raster."""

    config = SMALL

    def __init__(self, points, size, off=0.0, seen=3.0):
        points = torch.as_tensor((points + 0.5) * 32 / np.array(size) - 0.5)[None] + off
        self.output = Output(torch.zeros(0), [Estimate(points, torch.full(points.shape[:3], seen))])
        self.asked = None

    def __call__(self, frames, queries):
        self.asked = frames, queries
        return self.output


@dataclass(frozen=True)
class Faked(ShapesTracker):
    network: Following = field(default=None, kw_only=True)


@pytest.fixture
def faked(weights):
    return lambda network, **options: Faked(weights=str(weights), network=network, **options)


def test_tracks_start_at_the_query_and_stay_finite(weights, scene):
    video = Video.from_thwc(scene.render(), 8.0)
    queries = scene.tracks_NT2[:, 0]
    tracker = ShapesTracker(weights=str(weights))
    tracks = tracker.track(video, queries)
    assert tracks.tracks_NT2.shape == (1, 5, 2)
    assert np.array_equal(tracks.tracks_NT2[:, 0], queries)
    assert np.isfinite(tracks.tracks_NT2).all()
    assert tracks.visible_NT[:, 0].all()
    assert ((tracks.confidence_NT >= 0) & (tracks.confidence_NT <= 1)).all()
    again = ShapesTracker(weights=str(weights)).track(video, queries)
    assert np.array_equal(again.tracks_NT2, tracks.tracks_NT2)
    marks = tracker.fingerprint()
    assert len(marks["weights_sha256"]) == 64
    assert marks == {key: tracks.info[key] for key in marks}
    assert "weights" not in marks  # a path says nothing about what was used
    json.dumps(dict(tracks.info))


def test_pixels_of_a_wide_video_reach_the_raster_and_come_back(faked):
    video = Video.from_thwc(np.zeros((3, 48, 96, 3), np.uint8), 8.0)
    path = np.array([[[10.0, 20.0], [30.0, 21.0], [90.0, 40.0]]])
    network = Following(path, (96, 48))
    tracks = faked(network, align=False).track(video, path[:, 0])
    assert tracks.tracks_NT2[0] == pytest.approx(path[0], abs=1e-4)
    frames, queries = network.asked
    assert frames.shape == (1, 3, 3, 32, 32)
    # three columns and one and a half rows of the video make a pixel of the raster
    assert queries[0, 0].tolist() == pytest.approx([10.5 / 3 - 0.5, 20.5 / 1.5 - 0.5], abs=1e-5)


def test_alignment_finds_the_point_again_from_a_few_pixels_off(faked, scene):
    video = Video.from_thwc(scene.render(), 8.0)
    exact = scene.tracks_NT2
    network = Following(exact, (512, 512), off=0.25)  # 4 px of the video in x and y
    rough = faked(network, align=False).track(video, exact[:, 0]).tracks_NT2
    fine = faked(network).track(video, exact[:, 0])
    assert np.abs(rough - exact)[:, 1:].mean() == pytest.approx(4.0, abs=1e-3)
    assert np.abs(fine.tracks_NT2 - exact)[:, 1:].mean() < 0.25
    assert fine.info["aligned"] == 1.0


def test_what_the_network_does_not_see_is_not_aligned(faked, scene):
    video = Video.from_thwc(scene.render(), 8.0)
    exact = scene.tracks_NT2
    tracks = faked(Following(exact, (512, 512), off=0.25, seen=-3.0)).track(video, exact[:, 0])
    assert tracks.info["aligned"] == 0.0
    assert tracks.visible_NT[0].tolist() == [True, False, False, False, False]


def test_absent_weights_name_the_command_that_trains_them(tmp_path):
    video = Video.from_thwc(np.zeros((2, 32, 32, 3), np.uint8), 8.0)
    tracker = ShapesTracker(weights=str(tmp_path / "none.safetensors"))
    for use in (tracker.fingerprint, lambda: tracker.track(video, [[4.0, 4.0]])):
        with pytest.raises(
            MissingAsset, match=r"none\.safetensors.*python -m toraeval train model=shapes_tracker"
        ):
            use()


def test_wrong_weights_are_one_clear_error(tmp_path, weights):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(UserError, match="holds no weights of this tracker"):
        shapes_tracker.load_network(broken)
    other = NetConfig(**{**asdict(SMALL), "width": 32})
    card = {"architecture": asdict(other)}
    wrong = write_safetensors(tmp_path / "w.safetensors", CorrelationTracker(SMALL).state_dict(), card)
    with pytest.raises(UserError, match="does not fit the network"):
        shapes_tracker.load_network(wrong)


def test_the_shipped_weights_follow_an_object_through_noise():
    renderer = SceneRenderer(sample_scene("validation", 7, 1, "line"), 16, 256, 256)
    frames = degradation.noise(renderer.render(), 25.0, np.random.default_rng(0))
    points = renderer.scene.tracks(16) / 2
    found = ShapesTracker().track(Video.from_thwc(frames, 8.0), points[:, 0])
    moved = np.abs(points - points[:, :1]).sum(-1).mean()
    assert np.abs(found.tracks_NT2 - points).sum(-1).mean() < 0.1 * moved


@pytest.mark.long
def test_number_of_threads_changes_no_bit():
    case = Shapes().cases(64, 512, 512)[10]  # its confidence once differed
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(ShapesTracker().track(case.reference().video, case.trajectories.tracks_NT2[:, 0]))
    torch.set_num_threads(before)
    assert np.array_equal(found[0].tracks_NT2, found[1].tracks_NT2)
    assert np.array_equal(found[0].confidence_NT, found[1].confidence_NT)
