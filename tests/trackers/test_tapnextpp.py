"""TAPNext++: the network against the authors' on made-up weights, conversions of coordinates, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trackers.made_weights import made
from toraeval.trackers.shared.tapnext import TAPNext, TAPNextConfig, sampled_positions
from toraeval.trackers.tapnextpp import TAPNextPP
from toraeval.types import MissingAsset, UserError, Video

# google-deepmind/tapnet@c2cbab8, `TAPNext(width=16, num_heads=2, depth=2)` on the weights, clip and points made below
REFERENCE = Path(__file__).parents[1] / "data" / "tapnext.npz"
CONFIG = TAPNextConfig(width=16, heads=2, depth=2)
POINTS = torch.tensor([[20.7, 100.3], [255.6, 0.2], [130.5, 200.0]])


@pytest.fixture
def network():
    built = TAPNext(CONFIG)
    for salt, (_, value) in enumerate(sorted(built.named_parameters())):
        value.data = torch.from_numpy(made(tuple(value.shape), salt, 0.5))
    return built.eval()


def clip():
    small = torch.from_numpy(made((4, 3, 64, 64), 99, 1.0))
    return torch.nn.functional.interpolate(small, (256, 256), mode="nearest")


def test_frame_by_frame_it_is_the_authors_network_on_the_whole_clip(network):
    reference = np.load(REFERENCE)
    state = None
    with torch.no_grad():
        for frame, places, logits in zip(
            clip(), reference["tracks_TN2"], reference["logits_TN"], strict=True
        ):
            found, seen, state = network.step(frame, POINTS, state)
            np.testing.assert_allclose(found.numpy(), places, atol=0.02)
            np.testing.assert_allclose(seen.numpy(), logits, rtol=1e-3, atol=1e-3)


def test_positions_between_pixels_are_means_of_their_neighbours():
    whole = sampled_positions(torch.tensor([[10.5, 20.5], [11.5, 20.5]]), 16)
    between = sampled_positions(torch.tensor([[11.0, 20.5]]), 16)
    torch.testing.assert_close(between[0], whole.mean(0))
    border = sampled_positions(torch.tensor([[0.0, 20.5]]), 16)  # half of it lies outside, where nothing is
    torch.testing.assert_close(border[0], sampled_positions(torch.tensor([[0.5, 20.5]]), 16)[0] / 2)


def test_points_and_tracks_are_pixels_of_the_video(monkeypatch):
    tracker = TAPNextPP(weights="random")
    tracker.config = CONFIG
    tracker.prepare()

    def still(picture_3HW, points_Q2, state):
        assert picture_3HW.shape == (3, 256, 256)
        assert -1 <= picture_3HW.min() <= picture_3HW.max() <= 1
        return points_Q2, torch.tensor([1.0, -1.0]), []

    monkeypatch.setattr(tracker._network, "step", still)
    video = Video(np.full((3, 3, 20, 40), 255, np.uint8), 8.0)
    tracks = tracker.track(video, [[0.0, 0.0], [39.0, 10.25]])
    np.testing.assert_allclose(tracks.tracks_NT2[:, 2], [[0, 0], [39, 10.25]], atol=1e-4)
    assert tracks.visible_NT.tolist() == [[True] * 3, [False] * 3]


def test_a_checkpoint_is_loaded_under_both_of_its_forms(network, tmp_path):
    stored = {f"tapnext.{key}": value for key, value in network.state_dict().items()}
    fixed = torch.zeros(1, 256 * 256, 16)
    fixed[0, 0] = sampled_positions(torch.tensor([[0.5, 0.5]]), 16)
    fixed[0, 31 * 256 + 200] = sampled_positions(torch.tensor([[200.5, 31.5]]), 16)
    torch.save({"state_dict": {**stored, "tapnext.query_pos_embed": fixed}}, tmp_path / "a.pt")
    torch.save(network.state_dict(), tmp_path / "b.pt")
    video = Video(made((2, 3, 32, 32), 5, 127).astype(np.int16).view(np.uint16).astype(np.uint8), 8.0)
    found = []
    for name in ("a.pt", "b.pt"):
        tracker = TAPNextPP(checkpoint=str(tmp_path / name))
        tracker.config = CONFIG
        found.append(tracker.track(video, [[5.0, 6.0]]).tracks_NT2)
    np.testing.assert_array_equal(*found)


def test_other_files_are_refused(network, tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="does not hold weights of TAPNext"):
        TAPNextPP(checkpoint=str(tmp_path / "other.pt")).prepare()
    with pytest.raises(MissingAsset, match="fetch tapnextpp"):
        TAPNextPP(checkpoint=str(tmp_path / "none.pt")).prepare()
    with pytest.raises(UserError, match="expected abc"):
        TAPNextPP(checkpoint=str(tmp_path / "other.pt"), sha256="abc").fingerprint()
    with pytest.raises(UserError, match="256, 512"):
        TAPNextPP(resolution=300)
    with pytest.raises(UserError, match="checkpoint, random"):
        TAPNextPP(weights="some")
