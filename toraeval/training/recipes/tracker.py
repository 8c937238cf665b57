"""The learned tracker `shapes_tracker`: its network, the clips it is shown, its loss, and what its card tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toraeval.config.trainings import TrackerOptions
from toraeval.trackers.shapes_tracker import WEIGHTS, to_input
from toraeval.trackers.shared.correlation_net import CorrelationTracker, NetConfig, Output
from toraeval.training.data.tracker_data import FIRST_SCENE, TrackedClip, draw_sample
from toraeval.training.engine.engine import Engine
from toraeval.training.engine.parts import Source
from toraeval.training.recipes import small_nets
from toraeval.training.recipes.small_nets import CosineRecipe, SmallNet

CHECKED = 24  # validation clips at the end
REACH = 16.0  # loss from which on a place teaches less and less


@dataclass(frozen=True)
class Marked:
    """Frames (B, T, 3, H, W) in [-1, 1], points (B, N, T, 2) in pixels of the raster, and whether they are visible."""

    frames: Tensor
    points: Tensor
    visible: Tensor

    @classmethod
    def stack(cls, samples: list[TrackedClip]) -> Marked:
        """Return a batch of samples."""
        frames = torch.from_numpy(np.stack([s.frames_THW3 for s in samples]))
        points = torch.from_numpy(np.stack([s.points_NT2 for s in samples])).float()
        return cls(to_input(frames), points, torch.from_numpy(np.stack([s.visible_NT for s in samples])))

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class MarkedClips(Source):
    """Clips drawn on the fly; no two batches share a scene."""

    options: TrackerOptions
    raster: int

    def batch(self, step: int, number: int) -> Marked:
        o = self.options
        first = (step * o.workers + number) * o.batch
        shape = {"frames": o.frames, "points": o.points, "raster": self.raster}
        return Marked.stack([draw_sample("train", first + i, **shape) for i in range(o.batch)])


class TrackerNet(SmallNet):
    """The tracker; the moving average of its weights is exported."""

    net: CorrelationTracker
    options: TrackerOptions
    weight_decay = 1e-3

    def __init__(self, options: TrackerOptions) -> None:
        self.options, self.target = options, Path(options.export or WEIGHTS)
        self.net = self.model = CorrelationTracker(NetConfig())
        self.recipe = CosineRecipe(
            minutes=options.minutes, seed=options.seed, batches_per_step=options.workers
        )
        self.source = MarkedClips(options, self.net.config.raster)

    def loss(self, batch: Marked, step: int, number: int) -> tuple[Tensor, Mapping[str, float]]:
        with torch.autocast("cpu", torch.bfloat16):
            fine, coarse = self.net.encode(batch.frames)
        output = self.net.locate((fine.float(), coarse.float()), batch.points[:, :, 0])
        value = measure_loss(output, batch.points, batch.visible, self.net.config.raster)
        distance = (output.estimates[-1].points.detach() - batch.points).norm(dim=-1)[batch.visible]
        return value, {"distance_px": float(distance.mean())}

    def weights(self, engine: Engine) -> Mapping[str, Tensor]:
        return engine.average

    def card(self, engine: Engine) -> dict[str, Any]:
        o = self.options
        return {
            "name": "shapes_tracker",
            "architecture": asdict(self.net.config),
            "data": "procedural world `shapes`, training split, drawn on the fly with random damage",
            "scenes": [FIRST_SCENE, FIRST_SCENE + engine.done.clips],
            "validation": self._judge(engine.average),
            "validation_definition": f"{CHECKED} damaged validation clips of {o.frames} frames; raster pixels",
            "options": {k: v for k, v in asdict(o).items() if k not in ("folder", "export")},
        }

    @torch.no_grad()
    def _judge(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        """Return what the averaged network gets right on damaged clips of the validation split."""
        net = CorrelationTracker(self.net.config)
        net.load_state_dict(weights)
        net.eval()
        errors, told = [], []
        for index in range(CHECKED):
            shape = {"frames": self.options.frames, "points": 4, "raster": net.config.raster}
            one = Marked.stack([draw_sample("validation", index, **shape)])
            last = net(one.frames, one.points[:, :, 0]).estimates[-1]
            errors.append((last.points - one.points).norm(dim=-1)[:, :, 1:][one.visible[:, :, 1:]])
            told.append(((last.seen > 0) == one.visible)[:, :, 1:].flatten().float())
        distances = torch.cat(errors)
        return {
            "median_distance_px": round(float(distances.median()), 3),
            "mean_distance_px": round(float(distances.mean()), 3),
            "within_4_px": round(float((distances < 4).float().mean()), 4),
            "visibility_accuracy": round(float(torch.cat(told).mean()), 4),
        }


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


def main(options: TrackerOptions) -> int:
    """Train the tracker, see `small_nets.train`."""
    return small_nets.train(TrackerNet, options, options.workers)
