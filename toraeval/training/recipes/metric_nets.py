"""The embedded metric networks `shapes_clip` and `shapes_video`: rendered pools, losses, and what their cards tell.

Legend of the shape suffixes: B clips or pictures, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.allowed import Numbers, check_option
from toraeval.config.trainings import ClipNetOptions, PairNetOptions
from toraeval.metrics.shared.frames import SHAPES_SIDE
from toraeval.metrics.shared.networks import dual_encoder, shipped, video_net
from toraeval.metrics.shared.networks.video_net import VideoNet
from toraeval.training.data.metric_net_data import (
    DEFECTS,
    FIRST_SCENE,
    LABELS,
    ClipBatch,
    PairBatch,
    Pool,
    draw,
    vocabulary,
)
from toraeval.training.engine.engine import Engine
from toraeval.training.engine.parts import Counters, Source
from toraeval.training.recipes import small_nets
from toraeval.training.recipes.small_nets import CosineRecipe, SmallNet

HELD_OUT = 10_000_000  # scenes further on in the training split that no network is trained on
CHECKED = 256  # of them


@dataclass(frozen=True)
class PoolBatches(Source):
    """Batches of a pool of rendered scenes, which is filled when training begins."""

    pool: Pool
    size: int
    seed: int

    def begin(self, done: Counters) -> None:
        self.pool.fill()

    def batch(self, step: int, number: int) -> ClipBatch | PairBatch:
        return draw(self.pool, self.size, (self.seed, step))


class Heads(nn.Module):
    """Linear readings of a clip's features, for training only."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {**LABELS, "defects": len(DEFECTS)}
        self.read = nn.ModuleDict({name: nn.Linear(video_net.FEATURES, size) for name, size in sizes.items()})

    def forward(self, features_BD: Tensor) -> dict[str, Tensor]:
        """Return one output (B, size) per label."""
        return {name: read(features_BD).float() for name, read in self.read.items()}


class MetricNet(SmallNet):
    """A metric network; its last weights are exported, without the heads."""

    options: PairNetOptions
    source: PoolBatches
    weight_decay = 0.02

    def __init__(self, options: PairNetOptions) -> None:
        check_option("train", "scenes", options.scenes, Numbers(options.batch))
        torch.set_num_threads(options.threads)
        self.options, self.name = options, options.model.removeprefix("shapes_")
        name, folder = self.name, Path(options.folder) / options.model
        self.target = Path(options.export) if options.export else shipped.weights_file(name)
        self.words: dict[str, Any] = {} if name == "video" else {"words": vocabulary()}
        self.net = shipped.build(name, self.words)
        if isinstance(self.net, VideoNet) and isinstance(options, ClipNetOptions):
            self.net.pictures.load_state_dict(picture_encoder(options.pictures).state_dict())
        for layer in self.net.modules():  # the layout in which convolutions on a CPU are fastest
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        self.heads = Heads() if name == "video" else nn.Module()
        self.model = nn.ModuleDict({"net": self.net, "heads": self.heads})
        self.recipe = CosineRecipe(
            minutes=options.minutes, seed=options.seed, clip=2.0, log_every=50, average=False
        )
        side = SHAPES_SIDE
        self.source = PoolBatches(Pool(folder, name, options.scenes, side), options.batch, options.seed)

    def clipped(self) -> list[nn.Parameter]:
        return [p for p in self.net.parameters() if p.requires_grad]

    def loss(self, batch: ClipBatch | PairBatch, step: int, number: int) -> tuple[Tensor, Mapping[str, Any]]:
        with torch.autocast("cpu", torch.bfloat16):
            return self._judged(batch)[0], {}

    def _judged(self, batch: ClipBatch | PairBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss of a batch and what it can be judged by."""
        if isinstance(batch, PairBatch):
            assert isinstance(self.net, dual_encoder.DualEncoder)
            loss, found = pair_loss(self.net, batch)
            return loss, {"found": found}
        outputs = self.heads(self.net(batch.clip_BTCHW))
        right = {name: (outputs[name].argmax(1) == batch.labels[name]).float().mean()
                 for name in ("count", "background", "drift", "family")}  # fmt: skip
        looks = ((outputs["looks"] > 0) == (batch.labels["looks"] > 0)).all(1).float().mean()
        way = (outputs["motion"] - batch.labels["motion"]).abs().mean()
        return clip_loss(outputs, batch), {**right, "looks": looks, "motion_error": way}

    def weights(self, engine: Engine) -> Mapping[str, Tensor]:
        return self.net.state_dict()

    def card(self, engine: Engine) -> dict[str, Any]:
        return {
            "net": self.name,
            "net_version": shipped.NET_VERSION,
            **self.words,
            "scenes": [FIRST_SCENE, FIRST_SCENE + self.options.scenes],
            "held_out": self._judge(),
            "held_out_scenes": [FIRST_SCENE + HELD_OUT, FIRST_SCENE + HELD_OUT + CHECKED],
        }

    @torch.no_grad()
    def _judge(self) -> dict[str, float]:
        """Return the means of what the network gets right on scenes it has never seen."""
        self.net.eval()
        size = self.options.batch
        pool = Pool(
            Path(self.options.folder) / "held_out", self.name, CHECKED, self.source.pool.side, HELD_OUT
        )
        pool.fill()
        rounds = max(1, CHECKED // size)
        results = []
        for number in range(rounds):
            loss, facts = self._judged(draw(pool, size, (1, self.options.seed, number)))
            results.append({"loss": float(loss), **{name: float(value) for name, value in facts.items()}})
        return {name: round(sum(r[name] for r in results) / rounds, 4) for name in results[0]}


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


def picture_encoder(file: str | None) -> nn.Module:
    """Return the picture encoder of `clipsim_shapes`.

    Raises:
        MissingAsset: there are no weights yet.
        UserError: a damaged file.
    """
    net = shipped.load("clip", Path(file) if file else None)
    assert isinstance(net, dual_encoder.DualEncoder)
    return net.image


def main(options: PairNetOptions) -> int:
    """Train a metric network, see `small_nets.train`."""
    return small_nets.train(MetricNet, options)
