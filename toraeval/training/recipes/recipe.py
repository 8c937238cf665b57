"""What the full-size model is trained on and how: two stages, flow loss, frame masks, text dropout, trained weights.

Sources: arXiv 2407.21705 section 3.4 (dense flow first, then sparse trajectories; learning rate 2e-5) and the training
configuration of Open-Sora v1.2.0 (`configs/opensora-v1-2/train/stage1.py`): logit-normal times with the timestep
transform, AdamW without decay and with eps 1e-15, clip 1.0, average 0.99, warm-up of 1000 steps.

Legend of the shape suffixes: B batch, C channels, T latent frames, H rows, W columns, L text tokens.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from toraeval.models.shared.rectified_flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.models.tora.conditions.given_frames import MASKS_STAGE_1_2, mask_mix, training_mask
from toraeval.models.tora.network.model import Tora
from toraeval.training.engine.network import GuidedNetwork
from toraeval.types import UserError

STAGES = ("dense", "sparse")
TRAINABLE = ("motion", "all")
MOTION_PARTS = ("traj_extractor.", "fuser.", "fuser_spatial.")


@dataclass(frozen=True)
class Batch:
    """Clips of one size, ready for the network.

    Attributes:
        latents_BCTHW: normalised float32 latents of the clips.
        motion_BCTHW: float32 input of the trajectory extractor.
        text_B1LC: caption features.
        text_mask_BL: int64, nonzero keeps a token.
        fps_B: float32 frames per second.
        frames, height, width: of the clips, in frames and pixels.
    """

    latents_BCTHW: Tensor
    motion_BCTHW: Tensor
    text_B1LC: Tensor
    text_mask_BL: Tensor
    fps_B: Tensor
    frames: int
    height: int
    width: int

    def __len__(self) -> int:
        return self.latents_BCTHW.shape[0]


@dataclass(frozen=True)
class Recipe:
    """Options that decide the weights that come out; the defaults are those of the module's sources.

    Attributes:
        stage_steps: steps on dense flow, then on sparse trajectories; either may be 0.
        batches_per_step: batches whose gradients are averaged; spread over the processes.
        trainable: `motion` (extractor and fusers) or `all`; rotary frequencies and null caption are never trained.
        lr: peak learning rate; reached after `warmup_steps` in each stage, then constant.
        weight_decay: of AdamW; 0 makes it Adam.
        betas, eps: of AdamW.
        clip: largest norm of the gradient.
        average: decay of the moving average of the weights, in [0, 1).
        text_dropout: share of the clips whose caption is replaced by the null caption.
        frame_masks: share of the clips under each mask of given frames; see
            `toraeval.models.tora.conditions.given_frames.training_mask`. The rest has no given frame.
        flow: noise schedule and loss.
        seed: of every draw.

    Raises:
        UserError: an option outside its range.
    """

    stage_steps: tuple[int, int] = (15000, 15000)
    batches_per_step: int = 1
    trainable: str = "motion"
    lr: float = 2e-5
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-15
    clip: float = 1.0
    warmup_steps: int = 1000
    average: float = 0.99
    text_dropout: float = 0.1
    frame_masks: Mapping[str, float] = field(default_factory=lambda: dict(MASKS_STAGE_1_2))
    flow: FlowConfig = field(default_factory=FlowConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.stage_steps) != 2 or min(self.stage_steps) < 0 or sum(self.stage_steps) == 0:
            raise UserError(
                f"train: stage_steps={list(self.stage_steps)}; allowed: steps on dense flow and on sparse "
                "trajectories, at least one step in all, e.g. stage_steps=[15000,15000]"
            )
        if self.trainable not in TRAINABLE:
            raise UserError(f"train: trainable={self.trainable}; allowed: {', '.join(TRAINABLE)}")
        for name, low, high in (
            ("batches_per_step", 1, math.inf),
            ("lr", 0.0, 1.0),
            ("weight_decay", 0.0, 1.0),
            ("eps", 0.0, 1.0),
            ("warmup_steps", 0, math.inf),
            ("average", 0.0, 1.0),
            ("text_dropout", 0.0, 1.0),
            ("seed", 0, math.inf),
        ):
            if not low <= getattr(self, name) <= high:
                raise UserError(f"train: {name}={getattr(self, name)}; allowed: {low:g} to {high:g}")
        if not self.clip > 0:
            raise UserError(f"train: clip={self.clip}; allowed: more than 0")
        mask_mix(self.frame_masks)

    @property
    def steps(self) -> int:
        """Steps of both stages."""
        return sum(self.stage_steps)

    def stage(self, step: int) -> str:
        """Return `dense` or `sparse`."""
        return STAGES[int(step >= self.stage_steps[0])]

    def stage_begins(self, step: int) -> bool:
        """Whether a stage starts with this step; the optimiser then starts anew, as in a run of its own."""
        return step in (0, self.stage_steps[0])

    def learning_rate(self, step: int) -> float:
        """Return the rate of a step."""
        since = step - (self.stage_steps[0] if self.stage(step) == "sparse" else 0)
        return self.lr * min(1.0, (since + 1) / max(1, self.warmup_steps))


def generator(*key: object) -> torch.Generator:
    """Return a CPU generator that depends on the key alone.

    Every draw of a run comes from one of these, keyed by seed, step and batch, so there is no random state that a
    resumed run could lack, and none that depends on the number of processes.
    """
    digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def choose_trainable(model: Tora, which: str) -> dict[str, nn.Parameter]:
    """Freeze what is not trained and return the rest by name.

    Raises:
        UserError: the network has no motion parts to train.
    """
    chosen = {}
    for name, parameter in model.named_parameters():
        trained = which == "all" or name.startswith(MOTION_PARTS)
        parameter.requires_grad_(trained and name != "rope.freqs")
        if parameter.requires_grad:
            chosen[name] = parameter
    if not chosen:
        raise UserError(f"train: trainable={which}, but fuser={model.config.fuser} has nothing to train")
    return chosen


def loss(network: GuidedNetwork, batch: Batch, recipe: Recipe, draws: torch.Generator) -> Tensor:
    """Return the mean flow loss of a batch, a float32 scalar.

    Args:
        network: the network, in training mode.
        batch: on the network's device.
        recipe: options.
        draws: CPU generator of times, noise, frame mask and caption dropout, drawn in this order.
    """
    x0 = batch.latents_BCTHW
    flow = RectifiedFlow(recipe.flow)
    size = ClipSize(batch.height, batch.width, batch.frames)
    times = flow.sample_times(len(batch), size, draws).to(x0.device)
    noise = torch.randn(x0.shape, generator=draws).to(x0.device)
    mask = training_mask(len(batch), x0.shape[2], draws, recipe.frame_masks)
    dropped = (torch.rand(len(batch), generator=draws) < recipe.text_dropout).to(x0.device)
    captions = network.model.y_embedder.drop(batch.text_B1LC, dropped)

    def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        return network(
            batch.motion_BCTHW,
            x=x,
            timestep=timestep,
            y=captions,
            mask=batch.text_mask_BL,
            x_mask=x_mask,
            fps=batch.fps_B,
            height=batch.height,
            width=batch.width,
        )

    # a mask without given frames would cost a second modulation for the same numbers
    given = None if bool(mask.all()) else mask.to(x0.device)
    return flow.loss(denoise, x0, times, noise, given).mean()
