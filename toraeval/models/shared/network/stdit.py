"""Spatial-temporal diffusion transformer (STDiT3) with places for motion fusers before its blocks.

Re-implemented from the description of Open-Sora v1.2.0 (`opensora/models/stdit/stdit3.py`, Apache-2.0); state-dict
keys and numbers are equal to upstream's. It differs in speed and memory (tokens stay [B,T,S,C], modulation is
broadcast per frame, blocks work in slices, attention runs through `scaled_dot_product_attention`) and in two optional
inputs, `cond` and `motion`.

Legend of the shape suffixes: B batch, T latent frames, S tokens per frame, L text tokens, C width, H heads,
D head width.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from toraeval.models.shared.network.blocks import FinalLayer, STDiTBlock, TextContext, modulate
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.embeddings import (
    CaptionEmbedder,
    PatchEmbed,
    RotaryEmbedding,
    ScalarEmbedder,
    SizeEmbedder,
    position_table,
    tile_rows,
)
from toraeval.models.shared.network.fuser import build_fusers
from toraeval.models.shared.network.step_cache import StepCache
from toraeval.optional import MissingDependency, require

DEFAULT_FPS = 24.0
POSITION_TABLES = 8  # kept for reuse; training in buckets meets many sizes, 720p takes 16 MB each


class STDiT3(nn.Module):
    """The denoiser: spatial and temporal blocks in turn, conditioned on time step, frame rate, text and motion."""

    def __init__(self, config: STDiTConfig) -> None:
        super().__init__()
        self.config = config
        self.step_cache: StepCache | None = None  # of the sampling run that is under way
        self.checkpointing = False  # recompute each block in the backward pass to save memory
        width = config.hidden_size
        self.rope = RotaryEmbedding(config.head_dim)
        self.x_embedder = PatchEmbed(config)
        self.t_embedder = ScalarEmbedder(width)
        self.fps_embedder = SizeEmbedder(width)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.y_embedder = CaptionEmbedder(config.caption_channels, width, config.model_max_length)
        self.spatial_blocks = nn.ModuleList(STDiTBlock(config, temporal=False) for _ in range(config.depth))
        self.temporal_blocks = nn.ModuleList(STDiTBlock(config, temporal=True) for _ in range(config.depth))
        self.final_layer = FinalLayer(config)
        self._position_cache: dict[tuple[object, ...], Tensor] = {}
        # from scratch as upstream: Xavier-uniform, zero biases, and a frame-rate network that adds nothing at first
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.fps_embedder.mlp[0].get_parameter("weight"), std=0.02)
        nn.init.zeros_(self.fps_embedder.mlp[2].get_parameter("weight"))
        # temporal blocks start as the identity: their output projections are zero, the gradients of these are not
        for name, parameter in self.temporal_blocks.named_parameters():
            if name.endswith(("attn.proj.weight", "mlp.fc2.weight")):  # self- and cross-attention, MLP
                nn.init.zeros_(parameter)
        self.fuser = build_fusers(config, "temporal")
        self.fuser_spatial = build_fusers(config, "spatial")

    @property
    def compute_dtype(self) -> torch.dtype:
        """Dtype of the residual stream: the autocast dtype where autocast is on, else that of the weights."""
        weight = self.x_embedder.proj.weight
        kind = weight.device.type
        if kind != "meta" and torch.is_autocast_enabled(kind):
            return torch.get_autocast_dtype(kind)
        return weight.dtype

    def precompute_text(self, y: Tensor, mask: Tensor | None = None, keys_values: bool = True) -> TextContext:
        """Project captions once, for many forward passes.

        Args:
            y: caption features [B,1,L,caption_channels].
            mask: [B',L], nonzero keeps a token; fewer rows than B are tiled, so under guidance the null caption is
                cut to the prompt's own tokens, as upstream does.
            keys_values: also project the keys and values of every block (for sampling; leave off in training).

        Raises:
            ValueError: the mask keeps no token of some sample.
        """
        tokens, key_mask = self.y_embedder(y.to(self.compute_dtype)).squeeze(1), None
        if mask is not None:
            kept = tile_rows(mask != 0, tokens.shape[0])
            counts = kept.sum(1)
            longest = int(counts.max())
            shortest = int(counts.min())
            if shortest == 0:
                raise ValueError("the caption mask keeps no token of some sample; at least one is needed")
            if longest < kept.shape[1]:  # move the kept tokens to the front and cut the rest
                order = kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :longest]
                tokens = tokens.gather(1, order[:, :, None].expand(-1, -1, tokens.shape[2]))
            if shortest < longest:
                key_mask = torch.arange(longest, device=tokens.device) < counts[:, None]
        pairs = None
        if keys_values:
            blocks = [b for pair in zip(self.spatial_blocks, self.temporal_blocks, strict=True) for b in pair]
            pairs = tuple(block.cross_attn.keys_values(tokens) for block in blocks)
        return TextContext(tokens, key_mask, pairs)

    def compile_blocks(self) -> None:
        """Run the blocks through `torch.compile`; spatial blocks share one compiled graph, temporal ones another.

        Raises:
            MissingDependency: there is no compiler for the device that the weights are on.
        """
        kind = self.final_layer.linear.weight.device.type
        if kind == "cpu":
            compiler = os.environ.get("CXX", "g++")
            if shutil.which(compiler) is None:
                raise MissingDependency(
                    f"torch.compile on the CPU needs a C++ compiler; {compiler!r} is not on the PATH; "
                    "install g++, or name one: export CXX=clang++"
                )
        else:
            require("triton", "torch.compile on a GPU")
        for block in (*self.spatial_blocks, *self.temporal_blocks):
            block.compile_update()

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        y: Tensor | None = None,
        mask: Tensor | None = None,
        x_mask: Tensor | None = None,
        fps: Tensor | None = None,
        height: Tensor | float | None = None,
        width: Tensor | float | None = None,
        cond: Tensor | None = None,
        motion: Sequence[Tensor] | None = None,
        text: TextContext | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Predict [B,out_channels,T,H,W] in float32.

        Args:
            x: noisy latent [B,in_channels,T,H,W].
            timestep: [B] on 0..1000, 1000 is pure noise.
            y, mask: caption features [B,1,L,caption_channels] and token mask [B',L]; not needed with `text`.
            x_mask: bool [B,T], False marks clean conditioning frames (treated as time step 0).
            fps: frames per second [B'], tiled to B; 24 if not given, 120 for images.
            height, width: pixel size; only the first element counts. Latent size times `latent_stride` if not given.
            cond: extra input channels [B,cond_channels,T or 1,H,W].
            motion: `depth` tensors [B,T,S,motion_channels] for the fusers; None skips them.
            text: result of `precompute_text`.
            positions: position embedding [B or 1,1,S,C] of the tokens, for windows cut out of a larger picture
                (see `window_positions`); that of the whole picture if not given.

        Raises:
            ValueError: neither y nor text is given, or cond or motion does not fit the configuration.
        """
        if text is None:
            if y is None:
                raise ValueError("STDiT3 needs caption features y or a precomputed text context; got neither")
            text = self.precompute_text(y, mask, keys_values=False)
        dtype, batch, frames = self.compute_dtype, x.shape[0], x.shape[2]
        tokens, grid = self._embed_patches(x, cond, dtype)
        places = (self._positions(grid, x, height, width) if positions is None else positions).to(dtype)
        tokens = tokens + places
        fps_value = fps if fps is not None else torch.full((1,), DEFAULT_FPS, device=x.device)
        rate = self.fps_embedder(fps_value, batch)
        t = (self.t_embedder(timestep) + rate).to(dtype)
        t6 = self.t_block(t).view(batch, 1, 6, 1, -1)
        t0 = None
        if x_mask is not None:
            x_mask = tile_rows(x_mask.bool(), batch)[:, :: self.config.patch_size[0]]
            x_mask = (
                None if bool(x_mask.all()) else x_mask
            )  # samplers pass a mask of ones when nothing is given
        if x_mask is not None:
            t0 = (self.t_embedder(torch.zeros_like(timestep)) + rate).to(dtype)
            t6_clean = self.t_block(t0).view(batch, 1, 6, 1, -1)
            t6 = torch.where(x_mask[:, :, None, None, None], t6, t6_clean)
        run = partial(self._run_blocks, t6=t6, text=text, motion=motion, grid=grid, places=places)
        tokens = run(tokens) if self.step_cache is None else self._from_cache(tokens, timestep, t6, run)
        out = self.final_layer(tokens, t, t0, x_mask)
        patch = self.config.patch_size
        out = out.view(batch, *grid, *patch, self.config.out_channels).permute(0, 7, 1, 4, 2, 5, 3, 6)
        out = out.reshape(batch, -1, *(count * side for count, side in zip(grid, patch, strict=True)))
        return out[:, :, :frames, : x.shape[3], : x.shape[4]].float()

    def _embed_patches(
        self, x: Tensor, cond: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, tuple[int, int, int]]:
        expected = self.config.given_channels
        given = 0 if cond is None else cond.shape[1]
        if given != expected:
            raise ValueError(f"cond has {given} channels; this configuration takes {expected}")
        x = x.to(dtype)
        if cond is not None:
            x = torch.cat((x, cond.to(dtype).expand(-1, -1, x.shape[2], -1, -1)), dim=1)
        missing = [-size % patch for size, patch in zip(x.shape[2:], self.config.patch_size, strict=True)]
        if any(missing):
            x = F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]))
        t, h, w = (size // patch for size, patch in zip(x.shape[2:], self.config.patch_size, strict=True))
        return self.x_embedder(x), (t, h, w)

    def _positions(
        self,
        grid: tuple[int, int, int],
        x: Tensor,
        height: Tensor | float | None,
        width: Tensor | float | None,
    ) -> Tensor:
        stride = self.config.latent_stride
        pixels_h = float(x.shape[3] * stride if height is None else torch.as_tensor(height).flatten()[0])
        pixels_w = float(x.shape[4] * stride if width is None else torch.as_tensor(width).flatten()[0])
        _, rows, columns = grid
        key = (rows, columns, pixels_h, pixels_w, x.device)
        if key not in self._position_cache:
            if len(self._position_cache) == POSITION_TABLES:  # drop the oldest
                del self._position_cache[next(iter(self._position_cache))]
            scale = (pixels_h * pixels_w) ** 0.5 / self.config.input_sq_size
            base = round((rows * columns) ** 0.5)
            table = position_table(self.config.hidden_size, rows, columns, scale, base)
            self._position_cache[key] = table[:, None].to(x.device)
        return self._position_cache[key]

    def window_positions(self, origins_B2: Tensor, window: tuple[int, int], whole: tuple[int, int]) -> Tensor:
        """Return the position embedding [B,1,S,C] of token windows of a larger picture at position scale 1.

        Args:
            origins_B2: int (row, column) of each window's first token.
            window: rows and columns of the windows.
            whole: rows and columns of the whole picture.
        """
        base = round((whole[0] * whole[1]) ** 0.5)
        device = origins_B2.device
        table = position_table(self.config.hidden_size, *whole, 1.0, base).view(*whole, -1).to(device)
        rows = origins_B2[:, 0, None] + torch.arange(window[0], device=device)
        columns = origins_B2[:, 1, None] + torch.arange(window[1], device=device)
        picked = table[rows[:, :, None], columns[:, None, :]]
        return picked.flatten(1, 2)[:, None].to(self.final_layer.linear.weight.device)

    def _from_cache(
        self, tokens: Tensor, timestep: Tensor, t6: Tensor, run: Callable[[Tensor], Tensor]
    ) -> Tensor:
        assert self.step_cache is not None
        self.step_cache.begin_step(timestep)
        first = self.spatial_blocks[0]
        assert isinstance(first, STDiTBlock)
        shift, scale = (t6 + first.scale_shift_table.to(t6.dtype)[:, None, :]).unbind(2)[:2]
        return self.step_cache.blocks(tokens, lambda: modulate(tokens, shift, scale), run)

    def _run_blocks(
        self,
        x: Tensor,
        t6: Tensor,
        text: TextContext,
        motion: Sequence[Tensor] | None,
        grid: tuple[int, int, int],
        places: Tensor,
    ) -> Tensor:
        depth = self.config.depth
        if motion is not None and (self.config.fuser == "none" or len(motion) != depth):
            raise ValueError(
                f"motion has {len(motion)} tensors; fuser {self.config.fuser!r} of depth {depth}"
            )
        rope = self.rope.tables(x.shape[1], x.dtype)
        pairs = text.keys_values or (None,) * (2 * depth)
        for i in range(depth):
            for k, (blocks, fusers) in enumerate(
                ((self.spatial_blocks, self.fuser_spatial), (self.temporal_blocks, self.fuser))
            ):
                fuse = None
                if fusers is not None and motion is not None:
                    fuse = partial(fusers[i], motion_BTSM=motion[i], grid=grid[1:], places=places)
                    if self.config.fuser_site == "residual":
                        x, fuse = self._call(fuse, x), None
                x = self._call(blocks[i], x, t6, rope, text, pairs[2 * i + k], fuse, self.step_cache)
        return x

    def _call(self, block: Callable[..., Tensor], *args: object) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *args, use_reentrant=False)
        return block(*args)
