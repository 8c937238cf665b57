"""What is around the start of a path is put down along it, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from toraeval.models.shared.nano.copies import EXTRA, RADIUS, copied_latents
from toraeval.models.shared.nano.linear_patches import BLOCK, LinearPatchAutoencoder, to_blocks

FIRST = torch.randn(16, 16, 8, generator=torch.Generator().manual_seed(1))


def line(*ends: tuple[tuple[float, float], tuple[float, float]], frames: int = 17) -> np.ndarray:
    return np.stack([np.linspace(start, end, frames) for start, end in ends])


def still(vae: LinearPatchAutoencoder) -> Tensor:
    """The latents of a clip in which the decoded first frame stands still, after the first one (h, w, C)."""
    picture = vae.decode_first(FIRST)
    blocks = picture.view(16, BLOCK, 16, BLOCK, 3).permute(0, 2, 1, 3, 4).reshape(256, 1, -1)
    return vae.encode_blocks(blocks.expand(-1, 4, -1).flatten(1), torch.bfloat16).view(16, 16, -1)


def test_the_first_frame_is_decoded_as_a_clip_is(vae: LinearPatchAutoencoder) -> None:
    picture = vae.decode_first(FIRST)
    clip = vae.decode(FIRST.permute(2, 0, 1)[:, None])
    np.testing.assert_array_equal(picture.round().clamp(0, 255).byte().numpy(), clip[0])
    assert to_blocks(clip).shape == (256, 12288)


def test_whole_cells_move_unchanged(vae: LinearPatchAutoencoder) -> None:
    path = np.repeat(line(((143.5, 143.5), (143.5, 143.5)), frames=1), 17, 1)
    path[:, 1:, 0] += 4 * BLOCK
    copies = copied_latents(vae, FIRST, path)
    assert copies.shape == (5, 16, 16, 8 + EXTRA)
    assert not copies[0].any()
    whole = copies[..., 8] == 1  # blocks that are copied as a whole
    assert whole[1:, 4, 8].all()
    row, column = whole[4].nonzero(as_tuple=True)
    torch.testing.assert_close(copies[4, row, column, :8], still(vae)[row, column - 4], atol=0.02, rtol=0.02)
    touched = copies[4, ..., 8] > 0
    assert touched[2:7, 5:12].sum() == touched.sum()
    area = float(copies[4, ..., 8].sum()) * BLOCK**2
    assert area == pytest.approx(np.pi * RADIUS**2, rel=0.02)


def test_a_pixel_that_two_objects_reach_shows_the_nearer_one(vae: LinearPatchAutoencoder) -> None:
    paths = line(
        ((111.0, 255.0), (207.0, 255.0)), ((240.0, 255.0), (336.0, 255.0))
    )  # 129 px apart, so no ties
    copies = copied_latents(vae, FIRST, paths)
    torch.testing.assert_close(copies, copied_latents(vae, FIRST, paths[::-1].copy()))
    left, right = (copied_latents(vae, FIRST, paths[n : n + 1]) for n in (0, 1))
    assert torch.equal(copies[4, 7, 5], left[4, 7, 5])
    assert torch.equal(copies[4, 7, 10], right[4, 7, 10])
    assert copies[4, ..., 8].sum() < left[4, ..., 8].sum() + right[4, ..., 8].sum()


@pytest.mark.parametrize("end", [(-300.0, 500.0), (700.0, -90.0), (256.0, 2000.0)])
def test_paths_that_leave_the_picture_copy_nothing_outside(
    vae: LinearPatchAutoencoder, end: tuple[float, float]
) -> None:
    copies = copied_latents(vae, FIRST, line(((20.0, 30.0), end)))
    assert not copies[4].any()
    assert copies[1].any()


def test_nothing_is_copied_from_beyond_the_edge(vae: LinearPatchAutoencoder) -> None:
    copies = copied_latents(vae, FIRST, line(((10.0, 10.0), (266.0, 266.0))))
    assert 0 < float(copies[4, ..., 8].sum()) * BLOCK**2 < 0.5 * np.pi * RADIUS**2


def test_paths_read_backwards_are_copied_alike(vae: LinearPatchAutoencoder) -> None:
    backwards = line(((100.0, 100.0), (200.0, 150.0)))[:, ::-1]
    assert torch.equal(copied_latents(vae, FIRST, backwards), copied_latents(vae, FIRST, backwards.copy()))
