"""Motion-guidance fusers (MGF): trajectory features change the hidden states of a block.

The three designs of Tora (arXiv 2407.21705, section 3.3), h hidden states and f features of the same tokens:
extra channel h' = h + W [h, f]; adaptive norm h' = h + norm(h) * gamma(f) + beta(f); cross-attention
h' = h + Attention(h, f). Only the second was released (alibaba/Tora 9a23dce, `fuser.*`, whose parameter names it
has here); the other two follow the paper's text. Every output starts at zero, so an untrained fuser changes nothing.

Legend: B batch, T latent frames, S tokens per frame, C width, M motion channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.network.attention import attend
from toraeval.models.shared.network.config import STDiTConfig

NORM_EPS = 1e-5
Grid = tuple[int, int] | None  # token rows and columns


class Fuser(nn.Module, ABC):
    """What the three designs have in common: how they are called."""

    @abstractmethod
    def forward(
        self, x_BTSC: Tensor, motion_BTSM: Tensor, grid: Grid = None, places: Tensor | None = None
    ) -> Tensor:
        """Fuse features into hidden states.

        Args:
            x_BTSC: hidden states.
            motion_BTSM: features of the same tokens.
            grid: token rows and columns; a square grid if not given.
            places: position embedding [B or 1,1,S,C] of the tokens; used where features have to say where they are.
        """


def zero_(layer: nn.Linear | nn.Conv1d) -> None:
    """Set the weights and bias of an output layer to zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class AdaptiveNormFuser(Fuser):
    """Scale and shift each token by what moves there.

    Args:
        motion_channels: channels M of the trajectory features.
        hidden_size: width C of the hidden states.
        groups: groups of the norm over (tokens of a frame, channels of a group); 0 normalises each token alone.
    """

    def __init__(self, motion_channels: int, hidden_size: int, groups: int = 32) -> None:
        super().__init__()
        inner = hidden_size // 4
        self.groups = groups
        self.flow_gamma_spatial = nn.Conv2d(motion_channels, inner, 3, padding=1)
        self.flow_gamma_temporal = nn.Conv1d(inner, hidden_size, 3, padding=1, padding_mode="replicate")
        self.flow_beta_spatial = nn.Conv2d(motion_channels, inner, 3, padding=1)
        self.flow_beta_temporal = nn.Conv1d(inner, hidden_size, 3, padding=1, padding_mode="replicate")
        self.flow_cond_norm = nn.GroupNorm(groups, hidden_size, eps=NORM_EPS) if groups else None
        zero_(self.flow_gamma_temporal)
        zero_(self.flow_beta_temporal)

    def forward(
        self, x_BTSC: Tensor, motion_BTSM: Tensor, grid: Grid = None, places: Tensor | None = None
    ) -> Tensor:
        side = int(motion_BTSM.shape[2] ** 0.5)
        rows, columns = grid or (side, side)
        gamma = self._branch(motion_BTSM, rows, columns, self.flow_gamma_spatial, self.flow_gamma_temporal)
        beta = self._branch(motion_BTSM, rows, columns, self.flow_beta_spatial, self.flow_beta_temporal)
        return torch.addcmul(x_BTSC + beta, self._normalise(x_BTSC), gamma)

    def _normalise(self, x: Tensor) -> Tensor:
        if self.flow_cond_norm is None:
            return F.layer_norm(x, x.shape[-1:], eps=NORM_EPS)
        b, t, s, c = x.shape
        normed = self.flow_cond_norm(
            x.reshape(b * t, s, c).transpose(1, 2).to(self.flow_cond_norm.weight.dtype)
        )
        return normed.transpose(1, 2).reshape(b, t, s, c).to(x.dtype)  # type: ignore[no-any-return]

    def _branch(
        self, motion: Tensor, rows: int, columns: int, spatial: nn.Conv2d, temporal: nn.Conv1d
    ) -> Tensor:
        b, t, s, m = motion.shape
        inner = conv3x3(motion.reshape(b * t, rows, columns, m), spatial).reshape(b, t, s, -1)
        return F.linear(time_columns(inner), temporal.weight.permute(0, 2, 1).flatten(1), temporal.bias)


def time_columns(x_BTC: Tensor) -> Tensor:
    """Stack each frame of (B, T, ..., C) with its neighbours, ends repeated, to (B, T, ..., 3 C).

    A time convolution of width 3 is then one matrix product.
    """
    before = torch.cat((x_BTC[:, :1], x_BTC[:, :-1]), 1)
    after = torch.cat((x_BTC[:, 1:], x_BTC[:, -1:]), 1)
    return torch.cat((before, x_BTC, after), -1)


def conv3x3(x_NHWC: Tensor, conv: nn.Conv2d) -> Tensor:
    """Apply a 3 x 3 convolution with padding 1 to channels-last input as one matrix product."""
    _, h, w, _ = x_NHWC.shape
    padded = F.pad(x_NHWC, (0, 0, 1, 1, 1, 1))
    columns = torch.cat([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], -1)
    return F.linear(columns, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)


class ExtraChannelFuser(Fuser):
    """Concatenate features to the hidden states and bring both back to the width.

    Args:
        motion_channels: channels M of the trajectory features.
        hidden_size: width C of the hidden states.
    """

    def __init__(self, motion_channels: int, hidden_size: int) -> None:
        super().__init__()
        self.merge = nn.Linear(hidden_size + motion_channels, hidden_size)
        zero_(self.merge)

    def forward(
        self, x_BTSC: Tensor, motion_BTSM: Tensor, grid: Grid = None, places: Tensor | None = None
    ) -> Tensor:
        motion = motion_BTSM.to(x_BTSC.dtype).expand(*x_BTSC.shape[:3], -1)
        return x_BTSC + self.merge(torch.cat((x_BTSC, motion), -1))


class CrossAttentionFuser(Fuser):
    """Let each token attend to the features of its own frame.

    Args:
        motion_channels: channels M of the trajectory features.
        hidden_size: width C of the hidden states.
        num_heads: attention heads; must divide `hidden_size`.
    """

    def __init__(self, motion_channels: int, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.motion_in = nn.Linear(motion_channels, hidden_size)
        self.q_linear = nn.Linear(hidden_size, hidden_size)
        self.kv_linear = nn.Linear(hidden_size, 2 * hidden_size)
        self.proj = nn.Linear(hidden_size, hidden_size)
        zero_(self.proj)

    def forward(
        self, x_BTSC: Tensor, motion_BTSM: Tensor, grid: Grid = None, places: Tensor | None = None
    ) -> Tensor:
        """Attend, whatever the grid.

        Keys carry the position embedding: a white feature looks the same everywhere, and attention has no order.
        """
        tokens = self.motion_in(motion_BTSM)
        if places is not None:
            tokens = tokens + places
        heads = (self.num_heads, -1)
        k, v = self.kv_linear(tokens).unflatten(-1, (2, *heads)).unbind(3)
        q = self.q_linear(F.layer_norm(x_BTSC, x_BTSC.shape[-1:], eps=NORM_EPS)).unflatten(-1, heads)
        out = attend(*(z.transpose(2, 3) for z in (q * q.shape[-1] ** -0.5, k, v)))
        return x_BTSC + self.proj(out.transpose(2, 3).flatten(3))


def build_fuser(config: STDiTConfig) -> Fuser:
    """Build the fuser of one block."""
    sizes = (config.motion_channels, config.hidden_size)
    if config.fuser == "extra_channel":
        return ExtraChannelFuser(*sizes)
    if config.fuser == "cross_attention":
        return CrossAttentionFuser(*sizes, config.num_heads)
    return AdaptiveNormFuser(*sizes, config.fuser_groups)


def build_fusers(config: STDiTConfig, place: str) -> nn.ModuleList | None:
    """Build one fuser per `temporal` or `spatial` block, or None where this configuration has none."""
    if config.fuser == "none" or config.fuser_place not in (place, "both"):
        return None
    return nn.ModuleList(build_fuser(config) for _ in range(config.depth))
