"""VideoMAE v2 as a feature extractor for content-debiased FVD, with the tensor names of the published checkpoints.

A vision transformer over tubelets of 2 frames x 14 x 14 pixels with fixed sine positions; the features are the mean
over all tokens after the last block, normalised, before the classifier. Written from the papers (arXiv 2203.12602,
2303.16727) and the layout of the checkpoint `vit_g_hybrid_pt_1200e_ssv2_ft.pth` (OpenGVLab/VideoMAE2, MIT licence).

Legend of the shape suffixes: B clips, T frames, L tokens, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.assets import require_numbers
from toraeval.metrics.shared.networks.weight_sources import readable

EPSILON = 1e-6


@dataclass(frozen=True)
class ViTSize:
    """Size of the transformer; by default ViT-g with the 174 classes of Something-Something v2."""

    width: int = 1408
    depth: int = 40
    heads: int = 16
    hidden: int = 6144
    frames: int = 16
    side: int = 224
    tubelet: int = 2
    patch: int = 14
    classes: int = 174

    @property
    def tokens(self) -> int:
        return self.frames // self.tubelet * (self.side // self.patch) ** 2


class Attention(nn.Module):
    """Self-attention whose keys have no bias."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.q_bias = nn.Parameter(torch.zeros(size.width))
        self.v_bias = nn.Parameter(torch.zeros(size.width))
        self.qkv = nn.Linear(size.width, 3 * size.width, bias=False)
        self.proj = nn.Linear(size.width, size.width)

    def forward(self, x_BLC: Tensor) -> Tensor:
        """Map (B, L, C) to the same shape."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        parts = F.linear(x_BLC, self.qkv.weight, bias).chunk(3, -1)
        b, length, width = x_BLC.shape
        q, k, v = (p.reshape(b, length, self.heads, width // self.heads).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(b, length, width))
        return out


class Block(nn.Module):
    """Attention and feed-forward part, each normalised first and added."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width, eps=EPSILON)
        self.attn = Attention(size)
        self.norm2 = nn.LayerNorm(size.width, eps=EPSILON)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(size.width, size.hidden), "fc2": nn.Linear(size.hidden, size.width)}
        )

    def forward(self, x_BLC: Tensor) -> Tensor:
        """Map (B, L, C) to the same shape."""
        x = x_BLC + self.attn(self.norm1(x_BLC))
        out: Tensor = x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))
        return out


class VideoMAE(nn.Module):
    """The encoder with its classifier, which only stands here because checkpoints hold it.

    Args:
        size: by default that of the published checkpoint.
    """

    def __init__(self, size: ViTSize = ViTSize()) -> None:
        super().__init__()
        cube = (size.tubelet, size.patch, size.patch)
        self.size = size
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(3, size.width, cube, cube)})
        self.blocks = nn.ModuleList([Block(size) for _ in range(size.depth)])
        self.fc_norm = nn.LayerNorm(size.width, eps=EPSILON)
        self.head = nn.Linear(size.width, size.classes)

    def forward(self, clip_BTCHW: Tensor) -> Tensor:
        """Return the features (B, C) of clips, float (B, 16, 3, 224, 224) in [0, 1]."""
        x = self.patch_embed["proj"](clip_BTCHW.transpose(1, 2)).flatten(2).transpose(1, 2)
        x = x + sine_positions(self.size.tokens, self.size.width).to(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.fc_norm(x.mean(1))
        return out


def sine_positions(tokens: int, width: int) -> Tensor:
    """Return float32 (tokens, width): sines in even columns, cosines in odd ones, wavelengths up to 10000 turns."""
    place = torch.arange(tokens, dtype=torch.float64)[:, None]
    rate = 10000.0 ** (
        -2 * torch.div(torch.arange(width, dtype=torch.float64), 2, rounding_mode="floor") / width
    )
    angle = place * rate
    return torch.where(torch.arange(width) % 2 == 0, angle.sin(), angle.cos()).float()


def load(file: Path, device: str, size: ViTSize = ViTSize()) -> VideoMAE:
    """Return the encoder with the weights of a checkpoint, in float32.

    Args:
        file: torch file of a state dict, alone or under `module`.
        device: `cpu` or `cuda`.
        size: what the file has to fit.

    Raises:
        UserError: the file is damaged, holds code, or does not fit.
    """
    cure = "delete it and run: python -m toraeval fetch fvd_videomae"
    require_numbers([file], "fvd", cure)
    with readable(f"fvd: {file} does not hold the weights of VideoMAE v2 ViT-g", cure):
        content = torch.load(file, map_location="cpu", weights_only=True)
        state = {name: value.float() for name, value in content.get("module", content).items()}
        with torch.device("meta"):
            network = VideoMAE(size)
        network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False).to(device)
