"""Blocks of the diffusion transformer: modulated attention, caption attention and MLP, and the final layer.

Re-implemented from the description of Open-Sora v1.2.0 (`opensora/models/stdit/stdit3.py`, Apache-2.0).

Legend of the shape suffixes: B batch, T latent frames, S tokens per frame, L text tokens, C width, H heads,
D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.network.attention import NORM_EPS, CrossAttention, SelfAttention
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.embeddings import Mlp
from toraeval.models.shared.network.linear import Linear
from toraeval.models.shared.network.step_cache import Kind, StepCache

# Bytes of the widest intermediate (the hidden layer of the MLP) that a block works on at a time without gradients.
# On the CPU memory up to 32 MiB is handed out again without page faults; a GPU needs more to be busy.
SLICE_BYTES = {"cpu": 2**24, "cuda": 2**28}


@dataclass(frozen=True)
class TextContext:
    """Captions made ready for cross-attention.

    tokens_BLC: projected kept tokens, kept ones first; key_mask_BL: True where a token counts, None if all do;
    keys_values: per block (spatial 0, temporal 0, spatial 1, ...) a pair [B,H,L,D], or None to project on the fly.
    """

    tokens_BLC: Tensor
    key_mask_BL: Tensor | None
    keys_values: tuple[tuple[Tensor, Tensor], ...] | None = None


def modulate(x_BTSC: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without affine, then `* (1 + scale) + shift`; shift and scale are [B, T or 1, 1, C]."""
    return torch.addcmul(shift, F.layer_norm(x_BTSC, x_BTSC.shape[-1:], eps=NORM_EPS), 1 + scale)


class STDiTBlock(nn.Module):
    """Modulated self-attention, caption cross-attention and modulated MLP."""

    def __init__(self, config: STDiTConfig, temporal: bool) -> None:
        super().__init__()
        self.temporal = temporal
        self.scale_shift_table = nn.Parameter(torch.randn(6, config.hidden_size) / config.hidden_size**0.5)
        self.attn = SelfAttention(config, temporal)
        self.cross_attn = CrossAttention(config)
        self.mlp = Mlp(config.hidden_size, config.mlp_hidden, config.hidden_size)
        self._compiled: Callable[..., Tensor] | None = None

    def compile_update(self) -> None:
        """Run the arithmetic of this block through `torch.compile`."""
        self._compiled = torch.compile(STDiTBlock._update)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_compiled": None}  # compiled code cannot be copied; a copy runs eagerly

    def forward(
        self,
        x: Tensor,
        t6: Tensor,
        rope: tuple[Tensor, Tensor],
        text: TextContext,
        keys_values: tuple[Tensor, Tensor] | None = None,
        fuse: Callable[[Tensor], Tensor] | None = None,
        cache: StepCache | None = None,
    ) -> Tensor:
        """Update x [B,T,S,C]; t6 is [B, T or 1, 6, 1, C]; `fuse` acts on the modulated attention input.

        `cache` may return attention outputs of earlier steps.

        Frames of a spatial block and places of a temporal block do not see each other. Without gradients a large
        input is therefore worked on in slices of them: less memory at the peak, and what a slice leaves
        behind is still in the cache when the next layer reads it.
        """
        table = self.scale_shift_table.to(t6.dtype)[:, None, :]
        modulation = (t6 + table).transpose(1, 2)
        if keys_values is None:
            keys_values = self.cross_attn.keys_values(text.tokens_BLC)
        update = self._update if self._compiled is None else self._compiled_update
        if cache is not None:
            update = partial(self._update, cache=cache)
        if torch.is_grad_enabled() or fuse is not None:
            return update(x, modulation, rope, keys_values, text.key_mask_BL, fuse)
        out = None
        for rows, frames, places in self._slices(x):
            part = update(
                x[rows, frames, places],
                modulation[rows, :, frames if modulation.shape[2] > 1 else slice(None)],
                rope,
                (keys_values[0][rows], keys_values[1][rows]),
                None if text.key_mask_BL is None else text.key_mask_BL[rows],
            )
            if part.shape == x.shape:
                return part
            out = torch.empty_like(x, memory_format=torch.contiguous_format) if out is None else out
            out[rows, frames, places] = part
        assert out is not None
        return out

    def _compiled_update(self, *args: object) -> Tensor:
        assert self._compiled is not None
        return self._compiled(self, *args)

    def _update(
        self,
        x: Tensor,
        modulation: Tensor,
        rope: tuple[Tensor, Tensor],
        keys_values: tuple[Tensor, Tensor],
        key_mask_BL: Tensor | None,
        fuse: Callable[[Tensor], Tensor] | None = None,
        cache: StepCache | None = None,
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.unbind(1)
        place = None if cache is None else (id(self), x.storage_offset(), tuple(x.shape))

        def taken(kind: Kind, compute: Callable[..., Tensor], *inputs: object) -> Tensor:
            if cache is None or place is None:
                return compute(*inputs)
            return cache.attention(kind, place, partial(compute, *inputs))

        own: Kind = "temporal" if self.temporal else "spatial"
        x = torch.addcmul(x, gate1, taken(own, self._attended, x, shift1, scale1, rope, fuse))
        x = x + taken("caption", self.cross_attn, x, keys_values, key_mask_BL)
        return torch.addcmul(x, gate2, self.mlp(modulate(x, shift2, scale2)))

    def _attended(
        self,
        x: Tensor,
        shift: Tensor,
        scale: Tensor,
        rope: tuple[Tensor, Tensor],
        fuse: Callable[[Tensor], Tensor] | None,
    ) -> Tensor:
        told = modulate(x, shift, scale)
        return self.attn(told if fuse is None else fuse(told), rope)  # type: ignore[no-any-return]

    def _slices(self, x: Tensor) -> Iterator[tuple[slice, slice, slice]]:
        """Cut [B,T,S,C] into whole samples, or one sample into frames (spatial) or places (temporal)."""
        batch, frames, places, _ = x.shape
        budget = SLICE_BYTES.get(x.device.type, SLICE_BYTES["cuda"])
        tokens = budget // (self.mlp.fc1.out_features * x.element_size())
        rows = max(1, tokens // (frames * places))
        length, group = (places, frames) if self.temporal else (frames, places)
        step = length if rows > 1 else max(1, tokens // group)
        for row in range(0, batch, rows):
            for begin in range(0, length, step):
                part, whole = slice(begin, begin + step), slice(None)
                yield slice(row, row + rows), *((whole, part) if self.temporal else (part, whole))


class FinalLayer(nn.Module):
    """Modulated norm and projection of each token to its patch of output channels."""

    def __init__(self, config: STDiTConfig) -> None:
        super().__init__()
        pt, ph, pw = config.patch_size
        self.scale_shift_table = nn.Parameter(torch.randn(2, config.hidden_size) / config.hidden_size**0.5)
        self.linear = Linear(config.hidden_size, pt * ph * pw * config.out_channels)

    def forward(self, x: Tensor, t: Tensor, t0: Tensor | None, x_mask: Tensor | None) -> Tensor:
        """Map x [B,T,S,C] to [B,T,S,patch*out]; t, t0 [B,C]; x_mask bool [B,T], False marks conditioning frames.

        Conditioning frames are normalised and modulated twice, first with t and then with t0. That is an upstream
        slip; it is kept because published numbers contain it. Their output is discarded by sampler and loss.
        """
        table = self.scale_shift_table.to(t.dtype)
        shift, scale = (t[:, None] + table)[:, None, None].unbind(3)
        out = modulate(x, shift, scale)
        if x_mask is not None and t0 is not None:
            shift, scale = (t0[:, None] + table)[:, None, None].unbind(3)
            out = torch.where(x_mask[:, :, None, None], out, modulate(out, shift, scale))
        return self.linear(out)
