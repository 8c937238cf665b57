"""Displacement maps against a Gaussian drawn at full resolution, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from toraeval.trajectories.displacement import displacement_maps
from toraeval.types import UserError


def drawn(tracks: np.ndarray, width: int, height: int, sigma: float) -> np.ndarray:
    """Independent computation: every value by the definition, one by one."""
    frames = tracks.shape[1]
    out = np.zeros((1 + (frames - 1) // 4, height // 32, width // 32, 128))
    for k in range(1, frames):
        for row in range(height // 8):
            for column in range(width // 8):
                x, y = 8 * column + 3.5, 8 * row + 3.5
                for path in tracks:
                    (px, py), step = path[k - 1], path[k] - path[k - 1]
                    weight = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
                    channel = (((k - 1) % 4 * 4 + row % 4) * 4 + column % 4) * 2
                    cell = out[1 + (k - 1) // 4, row // 4, column // 4]
                    cell[channel : channel + 2] += weight * step / 16
    return out


def test_values_are_those_of_the_definition() -> None:
    tracks = np.random.default_rng(0).uniform(-10, 100, (2, 9, 2))
    maps = displacement_maps(tracks, 96, 64)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, drawn(tracks, 96, 64, 20.0), atol=1e-5)
    np.testing.assert_allclose(displacement_maps(tracks, 96, 64, 7.0), drawn(tracks, 96, 64, 7.0), atol=1e-5)


def test_the_first_latent_frame_and_resting_paths_are_zero() -> None:
    rest = np.full((3, 5, 2), 40.0)
    assert not displacement_maps(rest, 64, 64).any()
    moving = rest + np.arange(5.0)[None, :, None]
    maps = displacement_maps(moving, 64, 64)
    assert not maps[0].any()
    assert maps[1].any()


def test_a_longer_clip_begins_with_the_same_maps() -> None:
    tracks = np.random.default_rng(1).uniform(0, 64, (1, 17, 2))
    np.testing.assert_array_equal(
        displacement_maps(tracks, 64, 64)[:3], displacement_maps(tracks[:, :9], 64, 64)
    )


@pytest.mark.parametrize(("frames", "width", "height"), [(16, 64, 64), (17, 60, 64), (17, 64, 0)])
def test_other_lengths_and_sizes_are_refused(frames: int, width: int, height: int) -> None:
    with pytest.raises(UserError, match=f"{frames} moments on {width}x{height}; allowed"):
        displacement_maps(np.zeros((1, frames, 2)), width, height)
