"""The network of TAPNext and TAPNext++: points are tokens that travel with the picture's through a recurrent ViT.

Zholus et al., "TAPNext: Tracking Any Point (TAP) as Next Token Prediction", arXiv 2504.05579; the layout and the names
of the weights are those of google-deepmind/tapnet@c2cbab8, `tapnet/tapnext/tapnext_torch.py`. Written for inference,
one frame at a time: what a clip leaves behind is one state per token, so memory does not grow with its length.

Shape legend: N tokens (P of the picture, then Q points), C width, L width of the recurrence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 256  # of the raster in which points are given and found, whatever the picture's resolution
BINS = 256
TEMPERATURE, REACH = 0.5, 20  # of the soft argmax over bins


@dataclass(frozen=True)
class TAPNextConfig:
    """Sizes of the network; the defaults are those of the published weights."""

    width: int = 768
    heads: int = 12
    depth: int = 12
    patch: int = 8
    kernel: int = 4
    head_width: int = 256


State = list[
    tuple[Tensor, Tensor]
]  # per block: recurrence (N, L), last inputs of the convolution (N, kernel - 1, L)


class _Scale(nn.Module):
    """Root-mean-square norm whose gain is stored as the difference from 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (self.scale + 1)


class _Blocks(nn.Module):
    """A linear layer within each of `heads` equal parts of the channels."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(heads, width // heads, width // heads))
        self.b = nn.Parameter(torch.zeros(heads, width // heads))

    def forward(self, x_NC: Tensor) -> Tensor:
        parts = x_NC.reshape(-1, *self.b.shape)
        return (torch.einsum("nhi,hij->nhj", parts, self.w) + self.b).flatten(1)


class _Recurrence(nn.Module):
    """Real-gated linear recurrent unit: h' = a h + sqrt(1 - a^2) gate(x), with a from the input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.a_param = nn.Parameter(torch.zeros(width))
        self.input_gate = _Blocks(width, heads)
        self.a_gate = _Blocks(width, heads)

    def forward(self, x_NC: Tensor, before_NC: Tensor | None) -> Tensor:
        gated = x_NC * torch.sigmoid(self.input_gate(x_NC))
        if before_NC is None:
            return gated
        log_a = -8.0 * torch.sigmoid(self.a_gate(x_NC)) * F.softplus(self.a_param)
        return log_a.exp() * before_NC + gated * torch.sqrt(1 - torch.exp(2 * log_a))


class _Convolution(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(kernel, width))
        self.b = nn.Parameter(torch.zeros(width))

    def forward(self, x_NC: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        if before is None:
            before = x_NC.new_zeros(len(x_NC), len(self.w) - 1, x_NC.shape[1])
        seen = torch.cat([before, x_NC[:, None]], dim=1)
        return (seen * self.w).sum(1) + self.b, seen[:, 1:]


class _Recurrent(nn.Module):
    def __init__(self, width: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.linear_y = nn.Linear(width, width)
        self.linear_x = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.conv_1d = _Convolution(width, kernel)
        self.rg_lru = _Recurrence(width, heads)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, inputs = state or (None, None)
        mixed, inputs = self.conv_1d(self.linear_x(x), inputs)
        hidden = self.rg_lru(mixed, hidden)
        return self.linear_out(hidden * F.gelu(self.linear_y(x), approximate="tanh")), (hidden, inputs)


class _Pair(nn.Module):
    """Two linear layers with the same input, stored as one array."""

    def __init__(self, width: int, expanded: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, width, expanded))
        self.b = nn.Parameter(torch.zeros(2, 1, 1, expanded))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = (x @ w + b.flatten() for w, b in zip(self.w, self.b, strict=True))
        return first, second


class _Gated(nn.Module):
    def __init__(self, width: int, expanded: int) -> None:
        super().__init__()
        self.ffw_up = _Pair(width, expanded)
        self.ffw_down = nn.Linear(expanded, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.ffw_up(x)
        down: Tensor = self.ffw_down(F.gelu(gate, approximate="tanh") * value)
        return down


class _Temporal(nn.Module):
    """What a token takes from its own past."""

    def __init__(self, c: TAPNextConfig) -> None:
        super().__init__()
        self.temporal_pre_norm = _Scale(c.width)
        self.recurrent_block = _Recurrent(c.width, c.heads, c.kernel)
        self.channel_pre_norm = _Scale(c.width)
        self.mlp_block = _Gated(c.width, 4 * c.width)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        moved, state = self.recurrent_block(self.temporal_pre_norm(x), state)
        x = x + moved
        return x + self.mlp_block(self.channel_pre_norm(x)), state


class _Spatial(nn.Module):
    """What the tokens of one frame take from each other: an encoder block of a vision transformer."""

    def __init__(self, c: TAPNextConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(c.width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(c.width, c.heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(c.width, eps=1e-6)
        # places 1, 2 and 4 hold nothing that has weights
        self.mlp = nn.ModuleDict({"0": nn.Linear(c.width, 4 * c.width), "3": nn.Linear(4 * c.width, c.width)})

    def forward(self, x_NC: Tensor) -> Tensor:
        normed = self.ln_1(x_NC)[None]
        x_NC = x_NC + self.self_attention(normed, normed, normed, need_weights=False)[0][0]
        hidden = F.gelu(self.mlp["0"](self.ln_2(x_NC)))
        return x_NC + self.mlp["3"](hidden)


class _Block(nn.Module):
    def __init__(self, c: TAPNextConfig) -> None:
        super().__init__()
        self.ssm_block = _Temporal(c)
        self.vit_block = _Spatial(c)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x, state = self.ssm_block(x, state)
        return self.vit_block(x), state


def _head(c: TAPNextConfig, out: int) -> nn.Sequential:
    h = c.head_width
    hidden = [part for width in (c.width, h) for part in (nn.Linear(width, h), nn.LayerNorm(h), nn.GELU())]
    return nn.Sequential(*hidden, nn.Linear(h, out))


class TAPNext(nn.Module):
    """The tracker network; `step` takes one frame and the state that the frame before left behind."""

    def __init__(self, config: TAPNextConfig = TAPNextConfig()) -> None:
        super().__init__()
        self.config = c = config
        self.lin_proj = nn.Conv2d(3, c.width, c.patch, c.patch)
        self.blocks = nn.ModuleList([_Block(c) for _ in range(c.depth)])
        self.encoder_norm = nn.LayerNorm(c.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, 1, c.width))
        # of points asked for later in a clip, which nobody does here; the weights hold it
        self.register_parameter("unknown_token", nn.Parameter(torch.zeros(1, 1, c.width)))
        self.point_query_token = nn.Parameter(torch.zeros(1, 1, 1, c.width))
        self.image_pos_emb = nn.Parameter(torch.zeros(1, (SIZE // c.patch) ** 2, c.width))
        self.visible_head = _head(c, 1)
        self.coordinate_head = _head(c, 2 * BINS)

    def step(
        self, picture_3HW: Tensor, points_Q2: Tensor, state: State | None
    ) -> tuple[Tensor, Tensor, State]:
        """Track points through one frame.

        Args:
            picture_3HW: RGB in -1..1, sides divisible by the patch.
            points_Q2: `(x, y)` in 0..256 of the first frame, pixel centres at 0.5; later frames use their number only.
            state: None for the first frame.

        Returns:
            Places (Q, 2) in 0..256, logits of visibility (Q), and the state for the next frame.
        """
        c = self.config
        picture = self.lin_proj(picture_3HW[None])
        tokens = picture.flatten(2)[0].T + self._places(*picture.shape[2:])
        if state is None:
            asked = self.point_query_token[0, 0] + sampled_positions(points_Q2, c.width).to(tokens)
        else:
            asked = self.mask_token[0, 0].expand(len(points_Q2), c.width)
        x = torch.cat([tokens, asked])
        after: State = []
        for index, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            x, left = block(x, state[index] if state else None)
            after.append(left)
        points = self.encoder_norm(x)[len(tokens) :]
        return _places_of(self.coordinate_head(points)), self.visible_head(points)[:, 0], after

    def _places(self, height: int, width: int) -> Tensor:
        known = self.image_pos_emb[0]
        if height * width == len(known):
            return known
        side = math.isqrt(len(known))
        grid = known.T.reshape(1, -1, side, side)
        return F.interpolate(grid, (height, width), mode="bicubic", align_corners=False).flatten(2)[0].T


def _places_of(logits: Tensor) -> Tensor:
    """Return (x, y) from the logits of both coordinates' bins, y first: the mean of the bins near the best one."""
    found = []
    for bins in logits.reshape(-1, 2, BINS).unbind(1):
        index = torch.arange(BINS, device=bins.device)
        near = (index - bins.argmax(-1, keepdim=True)).abs() <= REACH
        weight = torch.softmax(bins * TEMPERATURE, dim=-1) * near
        found.append((weight * index).sum(-1) / weight.sum(-1) + 0.5)
    y, x = found
    return torch.stack([x, y], dim=-1)


def sampled_positions(points_Q2: Tensor, width: int) -> Tensor:
    """Return (Q, C) sine and cosine features of places, interpolated between whole pixels as the weights expect them.

    Args:
        points_Q2: `(x, y)` in 0..256, pixel centres at 0.5.
        width: C, divisible by 4.
    """
    count = width // 4
    omega = 1.0 / 10_000.0 ** (torch.arange(count, dtype=torch.float64) / (count - 1))
    place = points_Q2.double().cpu() - 0.5
    low = place.floor()
    total = torch.zeros(len(place), width, dtype=torch.float64)
    for dx in (0, 1):
        for dy in (0, 1):
            corner = low + torch.tensor([dx, dy])
            inside = ((corner >= 0) & (corner < SIZE)).all(-1)
            share = (1 - (place - corner).abs()).prod(-1) * inside
            angles = corner[:, :, None] * omega
            x, y = angles.unbind(1)
            total += share[:, None] * torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=-1)
    return total.float()
