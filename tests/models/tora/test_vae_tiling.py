"""Tiles: where they lie, how they are blended, how much they differ from the whole, and what memory they take."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models.tora.full_size import decoded
from toraeval.models.tora.autoencoder.spatial import SpatialVAEConfig
from toraeval.models.tora.autoencoder.temporal import TemporalVAEConfig
from toraeval.models.tora.autoencoder.tiling import Tiling, tiled
from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig

TINY = OpenSoraVAEConfig(
    spatial=SpatialVAEConfig(block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2),
    temporal=TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2),
)


@pytest.fixture(scope="module")
def vae() -> OpenSoraVAE:
    torch.manual_seed(0)
    return OpenSoraVAE(TINY).eval()


@pytest.mark.parametrize("cells", [1, 7, 8, 9, 12, 13, 40, 90, 160])
@pytest.mark.parametrize(("tile", "overlap"), [(8, 1), (8, 3), (8, 4), (64, 16)])
def test_tiles_cover_everything_and_overlap_enough(cells: int, tile: int, overlap: int) -> None:
    spans = Tiling(tile, overlap).spans(cells)
    assert spans[0][0] == 0
    assert spans[-1][1] == cells
    assert {stop - start for start, stop in spans} == {min(cells, tile)}
    shared = [before[1] - after[0] for before, after in pairwise(spans)]
    assert all(overlap <= count < tile for count in shared)


@pytest.mark.parametrize(("tile", "overlap"), [(8, 0), (8, 5), (8, -1), (1, 1)])
def test_impossible_overlaps(tile: int, overlap: int) -> None:
    with pytest.raises(
        ValueError, match=f"overlap {overlap} of tiles of {tile} cells; allowed: 1 to tile / 2"
    ):
        Tiling(tile, overlap)


@pytest.mark.parametrize(("height", "width"), [(5, 23), (12, 8), (31, 17)])
def test_what_acts_on_each_cell_alone_is_not_changed(height: int, width: int) -> None:
    tiling = Tiling(8, 3)
    cells = torch.randn(2, 3, height, width)
    enlarged = tiled(lambda part: F.interpolate(part, scale_factor=4.0), cells, tiling, 1, 4)
    torch.testing.assert_close(enlarged, F.interpolate(cells, scale_factor=4.0), rtol=0, atol=1e-6)
    # Two rows and a column beyond the last whole cell go with the last tile and are pooled away.
    pixels = torch.randn(2, 3, 4 * height + 2, 4 * width + 1)
    pooled = tiled(lambda part: F.avg_pool2d(part, 4), pixels, tiling, 4, 1)
    torch.testing.assert_close(pooled, F.avg_pool2d(pixels, 4), rtol=0, atol=1e-6)


def test_the_blend_falls_linearly_over_the_overlap() -> None:
    numbers = iter((0.0, 1.0))
    row = tiled(
        lambda part: torch.full_like(part, next(numbers)), torch.zeros(1, 1, 1, 12), Tiling(8, 4), 1, 1
    )
    expected = torch.tensor([0, 0, 0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1])
    torch.testing.assert_close(row.flatten(), expected)


def test_one_tile_equals_no_tiling_in_every_bit(vae: OpenSoraVAE) -> None:
    tiling = Tiling(tile=4, overlap=2)
    z = torch.randn(1, 4, 6, 4, 3)
    assert torch.equal(decoded(vae, z, 20, tiling), decoded(vae, z, 20))


def test_blending_removes_the_step_of_a_hard_cut(vae: OpenSoraVAE) -> None:
    """Group norms and attention see a tile only, so the values differ from the whole; the difference must be smooth."""
    tiling = Tiling(8, 4)
    z = torch.randn(1, 4, 1, 8, 12, generator=torch.Generator().manual_seed(2))
    whole = decoded(vae, z, 1)
    left, right = decoded(vae, z[..., :8], 1) - whole[..., :64], decoded(vae, z[..., 4:], 1) - whole[..., 32:]
    blended = decoded(vae, z, 1, tiling) - whole
    assert not torch.allclose(blended, torch.zeros(()), atol=1e-3)
    hard = (left[..., 47] - right[..., 48 - 32]).abs().mean()  # in the middle of the overlap
    soft = (blended[..., 47] - blended[..., 48]).abs().mean()
    assert float(soft) < 0.8 * float(hard)


class LargestTensor(TorchDispatchMode):
    """Remembers the number of entries of the largest result of any operation."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self.entries = max(self.entries, tensor.numel())
        return out


def largest(vae: OpenSoraVAE, frames: int, side: int) -> int:
    """Entries of the largest result while a clip is decoded chunk by chunk."""
    z = torch.zeros(1, 4, *vae.latent_size(frames, side * 8, side * 8))
    with LargestTensor() as mode:
        for _ in vae.decode_chunks(z, frames):
            pass
    return mode.entries


def test_memory_of_decoding_in_chunks_does_not_grow_with_the_frames(vae: OpenSoraVAE) -> None:
    most = largest(vae, 51, 3)
    assert most == largest(vae, 17, 3)
    assert most == 3 * 17 * 24 * 24  # one chunk of frames; the whole video has three times that


def test_largest_layer_is_that_of_one_tile(vae: OpenSoraVAE) -> None:
    """Beyond the tile only the 17 frames that are handed over grow with the picture, and they have three channels."""

    def largest_layer(side: int, tiling: Tiling | None) -> int:
        seen = 0

        def note(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
            nonlocal seen
            seen = max(seen, out.numel())

        convolutions = (m for m in vae.spatial_vae.modules() if isinstance(m, nn.Conv2d))
        hooks = [m.register_forward_hook(note) for m in convolutions]
        decoded(vae, torch.zeros(1, 4, 1, side, side), 1, tiling)
        for hook in hooks:
            hook.remove()
        return seen

    tiling = Tiling(4, 2)
    assert largest_layer(16, tiling) == largest_layer(4, None)
    assert largest_layer(16, None) == 16 * largest_layer(4, None)
