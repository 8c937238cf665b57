"""The blocks of AllTracker's network; names of the weights as in aharley/alltracker@c1ed462, `nets/blocks.py`.

Shape legend: S frames of a window, C channels, H and W at an eighth of the picture's size unless said otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8  # of the features; the flow is made at this size and brought to the picture's by learned weights


class _Norm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SpaceBlock(nn.Module):
    """ConvNeXt block: what a place takes from those around it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers = {
            "0": nn.Conv2d(dim, dim, 7, padding=3, groups=dim),
            "2": nn.LayerNorm(dim, eps=1e-6),
            "3": nn.Linear(dim, 4 * dim),
            "5": nn.Linear(4 * dim, dim),
        }
        self.block = nn.ModuleDict(layers)
        self.layer_scale = nn.Parameter(torch.zeros(dim, 1, 1))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        inner = self.block["2"](self.block["0"](x).permute(0, 2, 3, 1))
        inner = self.block["5"](F.gelu(self.block["3"](inner)))
        return x + self.layer_scale * inner.permute(0, 3, 1, 2)


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_kv = nn.Linear(dim, 2 * dim)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x_BSC: Tensor) -> Tensor:
        parts = (self.to_q(x_BSC), *self.to_kv(x_BSC).chunk(2, dim=-1))
        q, k, v = (part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        out: Tensor = self.to_out(mixed.reshape(x_BSC.shape))
        return out


class _Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return out


class _TimeLayers(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attn = _Attention(dim, heads)
        self.mlp = _Mlp(dim)

    def forward(self, x_BSC: Tensor) -> Tensor:
        x_BSC = x_BSC + self.attn(F.layer_norm(x_BSC, x_BSC.shape[-1:], eps=1e-6))
        return x_BSC + self.mlp(F.layer_norm(x_BSC, x_BSC.shape[-1:], eps=1e-6))


class TimeStack(nn.Module):
    """What a place takes from itself in the other frames of the window."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.block = _TimeLayers(dim, heads)
        self.layer_scale = nn.Parameter(torch.zeros(dim, 1))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        channels, height, width = x.shape[1:]
        flat = x.reshape(-1, frames, channels, height * width).permute(0, 3, 1, 2).flatten(0, 1)
        moved = flat + self.layer_scale[:, 0] * self.block(flat)
        back = moved.reshape(-1, height * width, frames, channels).permute(0, 2, 3, 1)
        return back.reshape(x.shape)


class ConvNeXt(nn.Module):
    def __init__(self, stages: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        first = stages[0][0]
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, first, 4, 4), _Norm2d(first, eps=1e-6))]
        for index, (width, depth) in enumerate(stages):
            layers.append(nn.ModuleList([SpaceBlock(width) for _ in range(depth)]))
            if index + 1 < len(stages):
                after = stages[index + 1][0]
                # the second step down was replaced by a wider reach, so that an eighth of the size is kept
                step = (
                    nn.Conv2d(width, after, 2, 2)
                    if index == 0
                    else nn.Conv2d(width, after, 3, padding=2, dilation=2)
                )
                layers.append(nn.Sequential(_Norm2d(width, eps=1e-6), step))
        self.features = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.features:
            for block in layer if isinstance(layer, nn.ModuleList) else ():
                x = block(x, 1)
            x = layer(x) if isinstance(layer, nn.Sequential) else x
        return x


class _Residual(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.downsample = nn.ModuleList([nn.Conv2d(before, width, 1, stride)]) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(F.instance_norm(self.conv2(F.relu(F.instance_norm(self.conv1(x))))))
        if self.downsample is not None:
            x = F.instance_norm(self.downsample[0](x))
        return F.relu(x + y)


class PictureEncoder(nn.Module):
    """Features of the smaller network."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, dim // 2, 7, 2, 3)
        widths = (dim // 2, dim // 2, dim // 4 * 3, dim, dim)
        for index, stride in enumerate((1, 2, 2, 2), start=1):
            layer = nn.Sequential(
                _Residual(widths[index - 1], widths[index], stride),
                _Residual(widths[index], widths[index], 1),
            )
            self.add_module(f"layer{index}", layer)
        self.conv2 = nn.Conv2d(sum(widths[1:]), 2 * dim, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[-2] // STRIDE, x.shape[-1] // STRIDE)
        x = F.relu(F.instance_norm(self.conv1(x)))
        kept = []
        for index in range(1, 5):
            x = self.get_submodule(f"layer{index}")(x)
            kept.append(F.interpolate(x, size, mode="bilinear", align_corners=True))
        out: Tensor = self.conv3(F.relu(F.instance_norm(self.conv2(torch.cat(kept, 1)))))
        return out
