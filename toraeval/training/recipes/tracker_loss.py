"""Loss of the learned tracker: places, visibility and the cell of the heat map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from toraeval.trackers.shared.correlation_net import Output

REACH = 16.0  # loss from which on a place teaches less and less


def measure_loss(output: Output, points: Tensor, visible: Tensor, raster: int) -> Tensor:
    """Return the training loss: places, visibility and the heat map's cell.

    Args:
        output: of the network.
        points: (B, N, T, 2) raster pixels.
        visible: bool (B, N, T).
        raster: side of the picture, pixels.
    """
    counted = torch.where(visible, 1.0, 0.25)
    counted[:, :, 0] = 0.0  # the query itself
    asked = torch.zeros_like(counted)
    asked[:, :, 1:] = 1.0
    total = torch.zeros(())
    rounds = output.estimates[1:]
    for number, estimate in enumerate(rounds):
        share = 0.7 ** (len(rounds) - 1 - number)
        distance = F.huber_loss(estimate.points, points, reduction="none", delta=2.0).sum(-1)
        # what lies beyond the windows cannot be seen from there: finding it is the heat map's task
        far = REACH * (1.0 + (distance / REACH).clamp(min=1.0).log())
        distance = torch.where(distance < REACH, distance, far)
        told = F.binary_cross_entropy_with_logits(estimate.seen, visible.float(), reduction="none")
        total = total + share * (0.25 * (distance * counted).sum() / counted.sum())
        total = total + share * (told * asked).sum() / asked.sum()
    height, width = output.heat.shape[-2:]
    cells = ((points + 0.5) * (width / raster) - 0.5).round().long()
    inside = ((cells >= 0) & (cells < torch.tensor([width, height]))).all(-1) & visible
    index = (cells[..., 1] * width + cells[..., 0]).clamp(0, height * width - 1)
    missed = F.cross_entropy(output.heat.flatten(0, 2).flatten(-2), index.flatten(), reduction="none")
    looked = (inside & (asked > 0)).flatten().float()
    return total + 0.5 * (missed * looked).sum() / looked.sum().clamp(min=1.0)
