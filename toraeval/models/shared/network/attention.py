"""Attention of the diffusion transformer: within frames, along time, and from tokens to the caption.

Re-implemented from the description of Open-Sora v1.2.0 (`opensora/models/layers/blocks.py`); the numbers are equal.

Legend of the shape suffixes: B batch, T latent frames, S tokens per frame, L text tokens, C width, H heads,
D head width, N tokens of any kind.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.embeddings import rotate
from toraeval.models.shared.network.linear import Linear

NORM_EPS = 1e-6
SHORT_KEYS = (
    512  # up to this many keys, plain 16-bit matrix products beat the fused attention kernel on the CPU
)


class RMSNorm(nn.Module):
    """Root-mean-square norm over the head width, one weight vector for all heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [..., D]."""
        return _ScaledRMSNorm.apply(x, self.weight)


class _ScaledRMSNorm(torch.autograd.Function):
    """RMS norm with a hand-written gradient: fewer passes over memory than the recorded one.

    The mean square is accumulated in float32 or better; everything of full size stays in the dtype of x.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        exact = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
        inverse = torch.rsqrt(norm.square() / x.shape[-1] + NORM_EPS)
        ctx.save_for_backward(x, weight, inverse)
        return (x * inverse.to(x.dtype)).mul_(weight.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        x, weight, inverse = ctx.saved_tensors
        product = grad * x
        dot = (product * weight.to(x.dtype)).sum(-1, keepdim=True, dtype=inverse.dtype)
        pull = -(inverse.pow(3) * dot / x.shape[-1]).to(x.dtype)
        scale = inverse.to(x.dtype)
        reduced = product.mul_(scale).sum_to_size(*[1] * (x.ndim - weight.ndim), *weight.shape)
        grad_x = (grad * weight.to(x.dtype)).mul_(scale).addcmul_(x, pull)
        return grad_x, reduced.view(weight.shape).to(weight.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention over [..., H, N, D] with queries already scaled by D**-0.5; mask is True where a key counts.

    On the CPU short key lists of 16-bit numbers take two plain matrix products: for the frames or words of a clip
    those are 1.5 to 4 times as fast as the fused kernel. In float32 the fused kernel is never slower.
    """
    if q.device.type == "cpu" and q.element_size() == 2 and k.shape[-2] <= SHORT_KEYS:
        scores = q @ k.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)


class SelfAttention(nn.Module):
    """Multi-head self-attention within each frame, or along time at each token place."""

    def __init__(self, config: STDiTConfig, temporal: bool) -> None:
        super().__init__()
        self.num_heads, self.temporal = config.num_heads, temporal
        self.qkv = Linear(config.hidden_size, 3 * config.hidden_size)
        self.q_norm = RMSNorm(config.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(config.head_dim) if config.qk_norm else nn.Identity()
        self.proj = Linear(config.hidden_size, config.hidden_size)

    def forward(self, x_BTSC: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """Attend in [B,T,S,C]; `rope` tables [T,D] are used by temporal attention only."""
        b, t, s, c = x_BTSC.shape
        qk, v = self.qkv(x_BTSC).view(b, t, s, 3, self.num_heads, -1).split((2, 1), dim=3)
        qk = self._normalise(qk)
        if self.temporal:
            cosines, sines = (table[:, None, None, None, :] for table in rope)
            qk = rotate(qk, cosines, sines)
            order = (3, 0, 2, 4, 1, 5)  # [2, B, S, H, T, D]
        else:
            order = (3, 0, 1, 4, 2, 5)  # [2, B, T, H, S, D]
        q, k = qk.permute(order).flatten(1, 2).unbind(0)
        out = attend(q, k, v.permute(order).flatten(1, 2).squeeze(0))
        out = out.unflatten(0, (b, -1)).permute((0, 3, 1, 2, 4) if self.temporal else (0, 1, 3, 2, 4))
        return self.proj(out.reshape(b, t, s, c))

    def _normalise(self, qk: Tensor) -> Tensor:
        """Norm of queries and keys [B,T,S,2,H,D] in one go; the softmax scale rides on the query's weight."""
        scale = qk.shape[-1] ** -0.5
        if isinstance(self.q_norm, RMSNorm) and isinstance(self.k_norm, RMSNorm):
            weight = torch.stack((self.q_norm.weight * scale, self.k_norm.weight))[:, None]
            return _ScaledRMSNorm.apply(qk, weight)
        return qk * qk.new_tensor((scale, 1.0)).view(2, 1, 1)


class CrossAttention(nn.Module):
    """All tokens of a clip attend to the kept caption tokens of that clip; no norm and no gate."""

    def __init__(self, config: STDiTConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.q_linear = Linear(config.hidden_size, config.hidden_size)
        self.kv_linear = Linear(config.hidden_size, 2 * config.hidden_size)
        self.proj = Linear(config.hidden_size, config.hidden_size)

    def keys_values(self, tokens_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """Keys, scaled by D**-0.5, and values [B,H,L,D] of projected caption tokens."""
        b, length, _ = tokens_BLC.shape
        k, v = self.kv_linear(tokens_BLC).view(b, length, 2, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return k * k.shape[-1] ** -0.5, v

    def forward(
        self, x_BTSC: Tensor, keys_values: tuple[Tensor, Tensor], key_mask_BL: Tensor | None
    ) -> Tensor:
        """Attend from [B,T,S,C] to the caption."""
        b, t, s, c = x_BTSC.shape
        q = self.q_linear(x_BTSC).view(b, t * s, self.num_heads, -1).transpose(1, 2)
        mask = None if key_mask_BL is None else key_mask_BL[:, None, None, :]
        out = attend(q, *keys_values, mask)
        return self.proj(out.transpose(1, 2).reshape(b, t, s, c))
