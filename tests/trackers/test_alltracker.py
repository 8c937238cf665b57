"""AllTracker: the network against the authors' on made-up weights, conversions of coordinates, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trackers.made_weights import made
from toraeval.trackers.alltracker import AllTracker
from toraeval.trackers.shared.alltracker import AllTrackerConfig, AllTrackerNetwork
from toraeval.types import MissingAsset, UserError, Video

# aharley/alltracker@c1ed462: `Net(4, dim=16, hdim=16, corr_levels=2, corr_radius=1, num_blocks=1)`, with its ConvNeXt
# and with `use_basicencoder=True, no_split=True`; `forward_sliding(iters=2)` on the weights and the clip made below
REFERENCE = Path(__file__).parents[1] / "data" / "alltracker.npz"


def network(tiny: bool) -> AllTrackerNetwork:
    built = AllTrackerNetwork(AllTrackerConfig(tiny, window=4, dim=16, levels=2, radius=1, blocks=1))
    for salt, (name, value) in enumerate(sorted(built.named_parameters())):
        fan = value[0].numel() if value.dim() > 1 else 4
        scale = 0.5 if "layer_scale" in name else 1.7 / fan**0.5
        value.data = torch.from_numpy(made(tuple(value.shape), salt, scale))
    places = torch.arange(4, dtype=torch.float64)[:, None] / 10000 ** (
        torch.arange(8, dtype=torch.float64) / 8
    )
    built.time_emb = torch.cat([places.sin(), places.cos()], dim=1)[None].float()
    return built.eval()


@pytest.mark.parametrize("kind", ["full", "tiny"])
def test_window_by_window_it_is_the_authors_network(kind):
    reference = np.load(REFERENCE)
    small = torch.from_numpy(made((9, 3, 16, 16), 99, 127.5) + np.float32(127.5))
    clip = torch.nn.functional.interpolate(small, (64, 64), mode="bilinear", align_corners=False)
    filled = 0
    with torch.no_grad():
        for start, flow, seen in network(kind == "tiny").windows(clip, 2):
            assert start == filled
            frames = slice(start, start + len(flow))
            expected = reference[f"flow_{kind}"][frames]
            np.testing.assert_allclose(flow[..., ::16, ::16], expected, rtol=2e-3, atol=0.02)
            np.testing.assert_allclose(seen[..., ::16, ::16], reference[f"seen_{kind}"][frames], atol=2e-3)
            filled += len(flow)
    assert filled == 9


def test_points_and_tracks_are_pixels_of_the_video(monkeypatch):
    tracker = AllTracker(weights="random", size="tiny")
    tracker.config = AllTrackerConfig(tiny=True, dim=16)
    tracker.prepare()

    def shifted(clip, iterations):
        assert clip.shape == (3, 3, 384, 512)
        flow = torch.zeros(3, 2, 384, 512)
        flow[1:, 0], flow[1:, 1] = 12.8, 19.2  # a tenth of 128x192 pixels
        seen = torch.full((3, 2, 384, 512), 0.9)
        seen[2] = 0.5
        yield 0, flow, seen

    monkeypatch.setattr(tracker._network, "windows", shifted)
    video = Video(np.zeros((3, 3, 20, 40), np.uint8), 8.0)
    tracks = tracker.track(video, [[3.0, 4.0]])
    np.testing.assert_allclose(tracks.tracks_NT2[0], [[3, 4], [4, 5], [4, 5]], atol=1e-5)
    assert tracks.visible_NT.tolist() == [[True, True, False]]


def test_a_smooth_flow_is_read_between_pixels(monkeypatch):
    tracker = AllTracker(weights="random", size="tiny")
    tracker.config = AllTrackerConfig(tiny=True, dim=16)
    tracker.prepare()
    slope = torch.arange(512.0).expand(384, 512) / 10
    flow = torch.stack([torch.stack([slope, 0 * slope])] * 2)
    monkeypatch.setattr(
        tracker._network, "windows", lambda clip, n: iter([(0, flow, torch.ones(2, 2, 384, 512))])
    )
    video = Video(np.zeros((2, 3, 384, 512), np.uint8), 8.0)
    tracks = tracker.track(video, [[100.25, 7.0]])
    assert tracks.tracks_NT2[0, 1, 0] == pytest.approx(100.25 + 10.025, abs=1e-4)


def test_other_files_and_values_are_refused(tmp_path):
    torch.save({"model": {"weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"does not hold weights of AllTracker \(tiny\)"):
        AllTracker(checkpoint=str(tmp_path / "other.pth"), size="tiny").prepare()
    with pytest.raises(MissingAsset, match="fetch alltracker_tiny"):
        AllTracker(checkpoint=str(tmp_path / "none.pth"), size="tiny").prepare()
    with pytest.raises(UserError, match="full, tiny"):
        AllTracker(size="huge")
    with pytest.raises(UserError, match="2 or more"):
        AllTracker(weights="random").track(Video(np.zeros((1, 3, 20, 40), np.uint8), 8.0), [[1.0, 1.0]])
