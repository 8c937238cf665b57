"""How the full-size model is trained: two stages, flow loss, frame masks, text dropout, trained weights, shards.

Sources: arXiv 2407.21705 section 3.4 (dense flow first, then sparse trajectories; learning rate 2e-5) and the training
configuration of Open-Sora v1.2.0 (`configs/opensora-v1-2/train/stage1.py`): logit-normal times with the timestep
transform, AdamW without decay and with eps 1e-15, clip 1.0, average 0.99, warm-up of 1000 steps.

Legend of the shape suffixes: B batch, C channels, T latent frames, H rows, W columns, L text tokens.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from toraeval.allowed import COUNT, NOT_NEGATIVE, SHARE, check_options
from toraeval.config.trainings import FullSizeOptions
from toraeval.models.shared.rectified_flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.models.tora.checkpoints.importers import MOTION_PARTS
from toraeval.models.tora.conditions.given_frames import MASKS_STAGE_1_2, mask_mix, training_mask
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.training.data.batch import Batch
from toraeval.training.engine.distributed import World
from toraeval.training.engine.parts import Counters, Objective, Recipe, Row, draws
from toraeval.types import UserError

STAGES = ("dense", "sparse")
TRAINABLE = ("motion", "all")
PRECISIONS = ("bf16", "fp32")


@dataclass(frozen=True)
class FullRecipe(Recipe):
    """Those of `FullSizeOptions` that decide the weights; the defaults are those of the module's sources.

    Rotary frequencies and null caption are never trained.

    Attributes:
        frame_masks: share of the clips under each mask of given frames; see
            `toraeval.models.tora.conditions.given_frames.training_mask`. The rest has no given frame.
        flow: noise schedule and loss.

    Raises:
        UserError: an option outside its range.
    """

    stage_steps: tuple[int, int] = (15000, 15000)
    batches_per_step: int = FullSizeOptions.batches_per_step
    trainable: str = FullSizeOptions.trainable
    lr: float = FullSizeOptions.lr
    weight_decay: float = FullSizeOptions.weight_decay
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = FullSizeOptions.eps
    clip: float = FullSizeOptions.clip
    warmup_steps: int = FullSizeOptions.warmup_steps
    average: float = FullSizeOptions.average
    text_dropout: float = FullSizeOptions.text_dropout
    frame_masks: Mapping[str, float] = field(default_factory=lambda: dict(MASKS_STAGE_1_2))
    flow: FlowConfig = field(default_factory=FlowConfig)
    seed: int = FullSizeOptions.seed

    def __post_init__(self) -> None:
        if len(self.stage_steps) != 2 or min(self.stage_steps) < 0 or sum(self.stage_steps) == 0:
            raise UserError(
                f"train: stage_steps={list(self.stage_steps)}; allowed: steps on dense flow and on sparse "
                "trajectories, at least one step in all, e.g. stage_steps=[15000,15000]"
            )
        check_options("train", self, trainable=TRAINABLE, batches_per_step=COUNT, warmup_steps=NOT_NEGATIVE)
        check_options("train", self, lr=SHARE, weight_decay=SHARE, eps=SHARE, average=SHARE)
        check_options("train", self, text_dropout=SHARE, seed=NOT_NEGATIVE)
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
        """Whether a stage starts with this step; the optimiser then starts from scratch, as in a run of its own."""
        return step in (0, self.stage_steps[0])

    def progress(self, done: Counters) -> float:
        return done.step / self.steps

    def learning_rate(self, base: float, done: Counters) -> float:
        since = done.step - (self.stage_steps[0] if self.stage(done.step) == "sparse" else 0)
        return base * min(1.0, (since + 1) / max(1, self.warmup_steps))

    def decay(self, step: int) -> float:
        return self.average

    def row(self, done: Counters, loss: float, norm: float, facts: Sequence[Mapping[str, Any]]) -> Row:
        before = Counters(done.step - 1)
        return {
            "step": done.step,
            "stage": self.stage(before.step),
            "loss": loss,
            "grad_norm": norm,
            "lr": self.learning_rate(self.lr, before),
            "clips": done.clips,
            "size": facts[0]["size"],
            "seconds": f"{done.seconds:.1f}",
        }


class GuidedNetwork(nn.Module):
    """One forward pass through extractor and transformer.

    Sharding needs a single module whose call comes first; the extractor called on its own would become a root.
    """

    def __init__(self, model: ToraNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, motion_BCTHW: Tensor, **inputs: Any) -> Tensor:
        """Predict [B,out_channels,T,H,W] in float32; the extractor gets the motion latents unrounded."""
        extract = self.model.traj_extractor
        return self.model(**inputs, motion=None if extract is None else extract(motion_BCTHW))


class FullObjective(Objective):
    """Mean flow loss over the noisy frames.

    The network is sharded and filled, see `shard` and `fill`; trained is what `choose_trainable` left.
    """

    joint_statistics = True

    def __init__(self, network: GuidedNetwork, recipe: FullRecipe) -> None:
        self.network, self.model, self.recipe = network.train(), network.model, recipe

    def optimizers(self) -> list[torch.optim.Optimizer]:
        r = self.recipe
        return [
            torch.optim.AdamW(
                self.averaged().values(), lr=r.lr, betas=r.betas, eps=r.eps, weight_decay=r.weight_decay
            )
        ]

    def averaged(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def loss(self, batch: Batch, step: int, number: int) -> tuple[Tensor, Mapping[str, Any]]:
        value = loss(self.network, batch, self.recipe, draws(self.recipe.seed, "loss", step, number))
        return value, {"size": f"{len(batch)}x{batch.frames}x{batch.height}x{batch.width}"}


def choose_trainable(model: ToraNetwork, which: str) -> dict[str, nn.Parameter]:
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


def loss(network: nn.Module, batch: Batch, recipe: FullRecipe, generator: torch.Generator) -> Tensor:
    """Return the mean flow loss of a batch, a float32 scalar.

    Times, noise, frame mask and caption dropout are drawn on the CPU in this order.
    """
    x0 = batch.latents_BCTHW
    flow = RectifiedFlow(recipe.flow)
    size = ClipSize(batch.height, batch.width, batch.frames)
    times = flow.sample_times(len(batch), size, generator).to(x0.device)
    noise = torch.randn(x0.shape, generator=generator).to(x0.device)
    mask = training_mask(len(batch), x0.shape[2], generator, recipe.frame_masks)
    dropped = (torch.rand(len(batch), generator=generator) < recipe.text_dropout).to(x0.device)
    captions = network.model.y_embedder.drop(batch.text, dropped)

    def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        return network(
            batch.motion,
            x=x,
            timestep=timestep,
            y=captions,
            mask=batch.text_mask_BL,
            x_mask=x_mask,
            fps=batch.fps,
            height=batch.height,
            width=batch.width,
        )

    # a mask without given frames would cost a second modulation for the same numbers
    given = None if bool(mask.all()) else mask.to(x0.device)
    return flow.loss(denoise, x0, times, noise, given).mean()


def shard(network: GuidedNetwork, world: World, precision: str) -> None:
    """Shard a network in place, one group per block, one per fuser, one of the extractor and one of the rest.

    Weights, gradients' sums and optimiser states are float32. With `bf16` the blocks compute in bfloat16 from a
    rounded copy of the weights, as upstream's ZeRO-2 training does, and gradients are averaged in float32. The
    extractor computes in float32, because its batch statistics would suffer most and it costs next to nothing; the
    rotary frequencies stay unrounded.
    """
    half = torch.bfloat16 if precision == "bf16" else None
    reduce = torch.float32 if half else None
    # the network casts its inputs itself; time steps must not be rounded to 8 bits before it does
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=reduce, cast_forward_inputs=False)
    casting = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=reduce)
    # the extractor returns views, and nothing writes into them in place
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    model = network.model
    fusers = [f for group in (model.fuser, model.fuser_spatial) if group is not None for f in group]
    for fuser in fusers:
        fully_shard(fuser, mesh=world.mesh, mp_policy=casting)
    for block in (*model.spatial_blocks, *model.temporal_blocks):
        fully_shard(block, mesh=world.mesh, mp_policy=policy)
    if model.traj_extractor is not None:
        fully_shard(model.traj_extractor, mesh=world.mesh)
    fully_shard(network, mesh=world.mesh, mp_policy=policy, ignored_params={model.rope.freqs})


def fill(model: ToraNetwork, state: Mapping[str, Tensor] | None, world: World) -> None:
    """Give a sharded network on the meta device its tensors.

    Args:
        model: the network inside the one that was sharded.
        state: whole tensors in the first process, anything in the others; None leaves the values to a checkpoint.
        world: the processes.
    """
    model.to_empty(device=world.device)
    if state is None:
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    whole: dict[str, Any] = {
        key: value.float() if value.is_floating_point() else value for key, value in state.items()
    }
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, whole if world.first else {}, options=options)
