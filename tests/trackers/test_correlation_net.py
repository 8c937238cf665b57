"""The network of the learned tracker: coordinates, correlation, independence of points, attention over time."""

import numpy as np
import pytest
import torch

from toraeval.trackers.shared.correlation_net import CorrelationTracker, NetConfig, TimeBlock, _sample

SMALL = NetConfig(raster=32, fine=8, coarse=8, blocks=1, width=16, layers=1, heads=2, band=2, rounds=2)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    built = CorrelationTracker(SMALL).eval()
    for parameter in built.head.parameters():  # they start at zero, which would hide the updates
        torch.nn.init.normal_(parameter, std=0.02)
    return built


def clip(frames=5, seed=0):
    return torch.rand(1, frames, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_sampling_is_bilinear_between_cell_centres():
    maps = torch.arange(20.0).view(1, 1, 4, 5)
    cells = torch.tensor([[[0.0, 0.0], [4.0, 3.0], [1.5, 2.0], [2.0, 0.25]]])
    assert _sample(maps, cells)[0, :, 0].tolist() == pytest.approx([0.0, 19.0, 11.5, 3.25])


def test_features_move_with_the_picture(net):
    frame = torch.zeros(1, 3, 96, 96)
    frame[..., 32:64, 32:64] = clip(1)[0]
    with torch.no_grad():
        fine, coarse = net.encoder(frame)
        moved_fine, moved_coarse = net.encoder(torch.roll(frame, (4, 8), (2, 3)))
    torch.testing.assert_close(moved_coarse[..., 9:17, 10:18], coarse[..., 8:16, 8:16], atol=1e-3, rtol=0)
    torch.testing.assert_close(moved_fine[..., 18:34, 20:36], fine[..., 16:32, 16:32], atol=1e-3, rtol=0)
    assert torch.linalg.vector_norm(coarse, dim=1).allclose(torch.ones(1, 24, 24), atol=1e-5)


def test_peak_is_the_centre_of_the_cell_in_raster_pixels(net):
    heat = torch.full((1, 1, 1, 8, 8), -20.0)
    heat[..., 2, 5] = 20.0
    points, _ = net._peak(heat)
    # cell (5, 2) of the coarse map covers pixels 20..23 and 8..11
    assert points.flatten().tolist() == pytest.approx([21.5, 9.5], abs=1e-4)


def test_first_frame_holds_the_query_and_points_do_not_see_each_other(net):
    queries = torch.tensor([[[10.25, 20.5], [3.0, 4.0]]])
    with torch.no_grad():
        together = net(clip(), queries).estimates[-1]
        alone = net(clip(), queries[:, 1:]).estimates[-1]
    assert together.points.shape == (1, 2, 5, 2)
    assert together.seen.shape == (1, 2, 5)
    assert torch.equal(together.points[:, :, 0], queries)
    torch.testing.assert_close(together.points[:, 1], alone.points[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(together.seen[:, 1], alone.seen[:, 0], atol=1e-4, rtol=0)


def test_time_attention_reaches_the_band_and_no_farther():
    torch.manual_seed(1)
    block = TimeBlock(SMALL)
    x = torch.randn(1, 9, 16)
    other = x.clone()
    other[:, 6] += 1.0
    with torch.no_grad():
        changed = (block(x) != block(other)).any(-1)[0]
    assert np.flatnonzero(changed.numpy()).tolist() == [4, 5, 6, 7, 8]
