"""How an embedded video model is trained: the values, and what follows from them for each step.

Stage 1 sees dense flow, stage 2 sparse trajectories (arXiv 2407.21705, section 3.4); one object comes before several,
windows around the paths before whole pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toraeval.config.trainings import NanoOptions
from toraeval.models.shared.rectified_flow import FlowConfig
from toraeval.training.data.batches import StepPlan
from toraeval.training.engine.parts import Counters, Recipe, Row
from toraeval.training.recipes.learners import learner


@dataclass(frozen=True)
class NanoRecipe(Recipe):
    """Values of a training.

    The budget is `samples` clips, else `steps`, else `minutes` of training time; all of them are saved and added up
    over restarts. All shares below are shares of the budget.
    """

    data: str = "training_state/shards"
    out: str = "training_state/nano"
    vae: str = "training_state/vae.safetensors"
    model: str = "tora"  # a name of `toraeval.training.recipes.learners.LEARNERS`
    network: Any = None  # configuration of the network; the model's own embedded size if not given
    minutes: float = NanoOptions.minutes
    steps: int | None = None
    samples: int | None = None
    dense_share: float = 0.15  # stage 1: dense flow; the rest sees sparse trajectories
    window_share: float = 0.6  # after it every second step sees whole pictures
    window: int = 5  # rows and columns, in squares of 64 px, of a window around a path: 2.6 times cheaper
    group_window: int | None = None  # squares of a window around all of several objects; None: whole pictures
    group_share: float = 0.34  # of the windowed steps, on several objects, once there are such
    single_share: float = 0.0  # clips with one object only
    clock: str = "wall"  # what `minutes` and the log count: `wall` or `processor` time of the first process
    compile: bool = False  # run the blocks through `torch.compile`; only transformers can
    decay_share: float = 0.25  # the last part, over which the learning rate falls to zero
    lr_matrix: float = 4e-3  # Muon, block matrices
    lr_other: float = 2e-3  # AdamW, everything else
    warmup_steps: int = 100
    clip: float = 1.0
    ema: float = 0.998
    text_dropout: float = 0.1
    channel_power: float = 0.5  # channel weights: component variance to this power
    save_minutes: float = 4.0
    seed: int = 0
    tokens: int = 640  # per batch and process
    clips: int | None = None  # use no more clips of each length, all that are there if not given
    start: str | None = None  # weights file to begin from
    start_motion: bool = True  # take what reads the paths from it too; else it starts from scratch
    workers: int = NanoOptions.workers  # of one thread each, better than one of two on a shared machine
    device: str = "cpu"
    validation: str | None = None  # file of validation clips; without it the loss on them is not measured
    validation_share: float = 0.1  # part of the budget between two measurements
    lengths: Mapping[int, float] = field(default_factory=lambda: {17: 0.66, 33: 0.2, 65: 0.09, 129: 0.05})
    late_lengths: Mapping[int, float] = field(default_factory=lambda: {17: 0.5, 33: 0.2, 65: 0.17, 129: 0.13})
    flow: FlowConfig = field(default_factory=lambda: FlowConfig(prediction="clean", loc=3.0, t_min=0.4))

    log_every = 20

    def __post_init__(self) -> None:
        if self.network is None:
            object.__setattr__(self, "network", learner(self.model).configure())

    @property
    def batches_per_step(self) -> int:  # type: ignore[override]
        """Each process draws one batch."""
        return self.workers

    def progress(self, done: Counters) -> float:
        if self.samples is not None:
            return done.clips / self.samples
        if self.steps is not None:
            return done.step / self.steps
        return done.seconds / (60 * self.minutes)

    def plan(self, done: Counters) -> StepPlan:
        """Return what the next step trains on.

        Batches are read ahead, so what decides is the state when the step is made and not when it is read; only a
        budget of minutes cannot know it.
        """
        progress, step = self.progress(done), done.step
        motion = "dense" if progress < self.dense_share else "sparse"
        if not learner(self.model).follows(self.network):
            motion = "none"
        objects = 1 if progress < self.single_share else 3
        late = progress >= self.window_share
        lengths = self.late_lengths if late else self.lengths
        # a window holds one path, so whole pictures are mixed in once there are several objects
        if late and step % 2 == 0:
            return StepPlan(motion, lengths, objects, min_objects=1 if step % 4 else min(2, objects))
        if not late and objects > 1 and self.group_window is not None:
            if int(step * self.group_share) > int((step - 1) * self.group_share):
                return StepPlan(motion, lengths, objects, self.group_window, min_objects=2)
        elif not late and objects > 1 and step % 3 == 0:
            return StepPlan(motion, lengths, objects)
        return StepPlan(motion, lengths, 1, self.window)

    def factor(self, done: Counters) -> float:
        """Return the factor on both learning rates: warm-up, constant, then linear decay."""
        tail = (1.0 - self.progress(done)) / self.decay_share
        return max(0.0, min(1.0, (done.step + 1) / self.warmup_steps, tail))

    def learning_rate(self, base: float, done: Counters) -> float:
        return base * self.factor(done)

    def decay(self, step: int) -> float:
        return min(self.ema, (1 + step) / (10 + step))

    def row(self, done: Counters, loss: float, norm: float, facts: Sequence[Mapping[str, Any]]) -> Row:
        plan = self.plan(done)
        return {
            **done.row(),
            "loss": f"{loss:.5f}",
            "grad_norm": f"{norm:.3f}",
            "lr_factor": f"{self.factor(done):.3f}",
            "motion": plan.motion,
            "max_objects": plan.max_objects,
            "window": plan.window or 0,
        }
