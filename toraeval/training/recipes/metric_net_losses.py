"""What the embedded metric networks are trained to get right.

Legend of the shape suffixes: B clips or pictures, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.metrics.shared.networks import dual_encoder, video_net
from toraeval.training.data.metric_net_data import DEFECTS, LABELS, ClipBatch, PairBatch


class Heads(nn.Module):
    """Linear readings of a clip's features, for training only."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {**LABELS, "defects": len(DEFECTS)}
        self.read = nn.ModuleDict({name: nn.Linear(video_net.FEATURES, size) for name, size in sizes.items()})

    def forward(self, features_BD: Tensor) -> dict[str, Tensor]:
        """Return one output (B, size) per label."""
        return {name: read(features_BD).float() for name, read in self.read.items()}


def clip_loss(outputs: Mapping[str, Tensor], batch: ClipBatch) -> Tensor:
    """Return the sum of the losses over all labels and defects."""
    total = torch.zeros(())
    for name in ("count", "background", "drift", "family"):
        total = total + F.cross_entropy(outputs[name], batch.labels[name])
    for name in ("looks", "discs"):
        # summed over classes: few of them are present, a mean would hardly count
        total = total + F.binary_cross_entropy_with_logits(
            outputs[name], batch.labels[name].float(), reduction="none"
        ).sum(1).mean()  # fmt: skip
    # of several objects a network cannot know which one is the first
    alone = (batch.labels["count"] == 0).float()
    way = F.smooth_l1_loss(outputs["motion"], batch.labels["motion"], beta=0.1, reduction="none").mean(1)
    total = total + 4 * (way * alone).sum() / alone.sum().clamp(min=1)
    return total + 10 * F.mse_loss(outputs["defects"], batch.defects_BK)


def pair_loss(net: dual_encoder.DualEncoder, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """Return the contrastive loss and the share of pictures that find their caption."""
    numbers = torch.cat([net.numbers(text) for text in batch.captions + batch.wrong_captions])
    texts, wrong_texts = net.caption(numbers).chunk(2)
    pictures = net.image(torch.cat([batch.image_BCHW, batch.wrong_image_BCHW]))
    images, wrong_images = pictures[: len(texts)], pictures[len(texts) :]
    scale = net.log_scale.clamp(max=math.log(100)).exp()
    to_text = scale * torch.cat([images @ texts.T, (images * wrong_texts).sum(1, keepdim=True)], 1)
    to_image = scale * texts @ torch.cat([images, wrong_images]).T
    own = torch.arange(len(texts))
    found = (to_text.argmax(1) == own).float().mean()
    return F.cross_entropy(to_text, own) + F.cross_entropy(to_image, own), found
