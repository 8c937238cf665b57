"""Options of a training run of an embedded model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toraeval.models.shared.rectified_flow import FlowConfig


@dataclass(frozen=True)
class TrainConfig:
    """Options of a run.

    The budget is `samples` clips, else `steps`, else `minutes` of training time; all of them are saved and added up
    over restarts. All shares below are shares of the budget.
    """

    data: str = "training_state/shards"
    out: str = "training_state/nano"
    vae: str = "training_state/vae.safetensors"
    model: str = "tora"  # a name of `toraeval.training.recipes.learners.LEARNERS`
    network: Any = None  # configuration of the network; the model's own embedded size if not given
    minutes: float = 110.0
    steps: int | None = None
    samples: int | None = None
    dense_share: float = 0.15  # stage 1: dense flow; the rest sees sparse trajectories
    window_share: float = 0.6  # after it every second step sees whole pictures
    window: int = 5  # token rows and columns of a window around a path: 2.6 times cheaper
    group_window: int | None = None  # squares of a window around all of several objects; None: whole pictures
    group_share: float = 0.34  # of the windowed steps, on several objects, once there are such
    single_share: float = 0.35  # clips with one object only
    clock: str = "wall"  # what `minutes` and the log count: `wall` or `processor` time of this worker
    compile: bool = False  # run the blocks through `torch.compile`; only transformers can
    decay_share: float = 0.25  # the last part, over which the learning rate falls to zero
    lr_matrix: float = 2e-3  # Muon, block matrices
    lr_other: float = 1e-3  # AdamW, everything else
    warmup_steps: int = 100
    clip: float = 1.0
    ema: float = 0.998
    text_dropout: float = 0.1
    channel_power: float = 0.5  # channel weights: component variance to this power
    save_minutes: float = 4.0
    seed: int = 0
    tokens: int = 2560  # per batch and worker
    clips: int | None = None  # use only so many clips of each length, all that are there if not given
    start: str | None = None  # weights file to begin from
    start_motion: bool = True  # take what reads the paths from it too; else it begins anew
    workers: int = 2  # processes of one thread each; beats one process of two threads on a shared machine
    device: str = "cpu"
    validation: str | None = None  # folder of validation clips; without it the loss on them is not measured
    validation_share: float = 0.1  # part of the budget between two measurements
    lengths: Mapping[int, float] = field(default_factory=lambda: {17: 0.66, 33: 0.2, 65: 0.09, 129: 0.05})
    late_lengths: Mapping[int, float] = field(default_factory=lambda: {17: 0.5, 33: 0.2, 65: 0.17, 129: 0.13})
    flow: FlowConfig = field(default_factory=lambda: FlowConfig(prediction="clean", loc=1.5, t_min=0.4))
