"""The linear autoencoder: exact in its span, white stays white, sizes are checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder, fit, to_blocks
from toraeval.types import UserError

COMPONENTS = 4


@pytest.fixture(scope="module")
def patterns() -> Tensor:
    """Four smooth patterns (4, 12288) that everything in these tests is mixed from."""
    frame, row, column = np.mgrid[:4, :32, :32] / np.array([4, 32, 32])[:, None, None, None]
    pictures = np.stack([np.sin(3 * row), np.cos(4 * column), row * column, frame * np.sin(5 * row)])
    colours = np.array([[1, 0.5, 0.2], [0.3, 1, 0.4], [0.1, 0.6, 1], [1, 0.2, 0.9]])
    return torch.from_numpy((pictures[..., None] * colours[:, None, None, None]).reshape(4, -1)).float()


@pytest.fixture(scope="module")
def blocks(patterns: Tensor) -> Tensor:
    mix = torch.rand(60, 4, generator=torch.Generator().manual_seed(0)) - 0.5
    return 128 + mix @ patterns * 60


@pytest.fixture(scope="module")
def vae(blocks: Tensor) -> LinearPatchAutoencoder:
    return fit(blocks.round().to(torch.uint8), COMPONENTS)


def clip(patterns: Tensor, t: int, h: int, w: int) -> np.ndarray:
    """A uint8 clip (1 + 4 (t - 1), 32 h, 32 w, 3) mixed from the patterns; its first frame stands still."""
    mix = torch.rand(t * h * w, 4, generator=torch.Generator().manual_seed(1)) - 0.5
    mix.view(t, -1)[0, 3::4] = 0
    mix[: h * w, 3] = 0
    pixels = (128 + mix @ patterns * 60).view(t, h, w, 4, 32, 32, 3).permute(0, 3, 1, 4, 2, 5, 6)
    return pixels.reshape(4 * t, 32 * h, 32 * w, 3)[3:].round().to(torch.uint8).numpy()


def test_basis_is_orthonormal_and_sorted(vae: LinearPatchAutoencoder) -> None:
    torch.testing.assert_close(vae.basis @ vae.basis.T, torch.eye(COMPONENTS), rtol=0, atol=1e-4)
    assert (vae.scale.diff() < 0).all()


def test_latents_of_the_fitted_blocks_have_unit_scale(vae: LinearPatchAutoencoder, blocks: Tensor) -> None:
    latents = vae.encode_blocks(blocks.round())
    torch.testing.assert_close(latents.mean(0), torch.zeros(COMPONENTS), rtol=0, atol=1e-3)
    torch.testing.assert_close(latents.square().mean(0), torch.ones(COMPONENTS), rtol=0, atol=1e-2)


def test_fit_finds_the_principal_components(vae: LinearPatchAutoencoder, blocks: Tensor) -> None:
    data = blocks.round() - blocks.round().mean(0)
    _, spectrum, right = torch.linalg.svd(data, full_matrices=False)
    torch.testing.assert_close(vae.scale, spectrum[:COMPONENTS] / 60**0.5, rtol=1e-3, atol=0)
    overlap = (vae.basis @ right[:COMPONENTS].T).abs()
    torch.testing.assert_close(overlap, torch.eye(COMPONENTS), rtol=0, atol=1e-2)


def test_fit_is_reproducible(blocks: Tensor, vae: LinearPatchAutoencoder) -> None:
    torch.rand(3)
    again = fit(blocks.round().to(torch.uint8), COMPONENTS)
    assert all(torch.equal(a, b) for a, b in zip(again.buffers(), vae.buffers(), strict=True))


@pytest.mark.parametrize(("t", "h", "w"), [(1, 1, 1), (3, 2, 3)])
def test_round_trip_in_the_span(
    vae: LinearPatchAutoencoder, patterns: Tensor, t: int, h: int, w: int
) -> None:
    frames = clip(patterns, t, h, w)
    latents = vae.encode(frames)
    assert (latents.shape, latents.dtype) == ((COMPONENTS, t, h, w), torch.float32)
    back = vae.decode(latents)
    assert (back.shape, back.dtype) == (frames.shape, np.uint8)
    assert np.abs(back.astype(int) - frames).max() <= 2


def test_decoding_does_not_depend_on_the_length(vae: LinearPatchAutoencoder) -> None:
    latents = torch.randn(COMPONENTS, 4, 2, 2)
    assert np.array_equal(vae.decode(latents)[:9], vae.decode(latents[:, :3]))


def test_decoded_levels_saturate(vae: LinearPatchAutoencoder) -> None:
    levels = vae.decode(torch.full((COMPONENTS, 2, 1, 1), 1e6))
    assert set(np.unique(levels)) == {0, 128, 255}  # 128 where every component is zero


def test_blocks_hold_four_frames_and_the_first_is_repeated() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 32, 3), dtype=np.uint8)
    blocks = to_blocks(frames).view(2, 2, 1, 4, 32, 32, 3).numpy()
    for k in range(4):
        assert np.array_equal(blocks[0, 1, 0, k], frames[0, 32:])
        assert np.array_equal(blocks[1, 0, 0, k], frames[1 + k, :32])


def test_bfloat16_is_close(vae: LinearPatchAutoencoder, patterns: Tensor) -> None:
    blocks = to_blocks(clip(patterns, 3, 2, 2))
    exact, rounded = vae.encode_blocks(blocks), vae.encode_blocks(blocks, torch.bfloat16)
    assert rounded.dtype == torch.float32
    assert (exact - rounded).abs().max() < 0.05
    assert not torch.equal(exact, rounded)


@pytest.mark.parametrize(("frames", "height", "width"), [(16, 32, 32), (5, 33, 32), (5, 32, 48), (2, 32, 32)])
def test_other_sizes_are_refused(vae: LinearPatchAutoencoder, frames: int, height: int, width: int) -> None:
    message = rf"{frames} frames of {width}x{height}; allowed: 1 \+ 4k frames, sides divisible by 32"
    with pytest.raises(UserError, match=message):
        vae.encode(np.zeros((frames, height, width, 3), np.uint8))
