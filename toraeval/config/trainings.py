"""Options of what can be trained, one class each; see `toraeval.config.training` for how one is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from toraeval.allowed import COUNT, NOT_NEGATIVE, POSITIVE, Limit, Numbers, check_options

TRAINING_BUCKETS: dict[str, dict[int, list[float]]] = {
    "720p": {17: [0.1, 1]},
    "480p": {102: [0.2, 1], 51: [0.3, 2]},
    "240p": {102: [0.4, 4], 51: [0.6, 8], 17: [0.8, 16]},
    "144p": {17: [0.8, 25], 1: [1.0, 25]},
}
"""{resolution: {frames: [chance, clips per batch]}} of the full model's training, unless given otherwise."""
EMBEDDED = ("tora", "wan_move", "motionctrl", "dragnuwa")
FULL_SIZES = ("xl2", "tiny")


@dataclass
class TrainingOptions:
    """What every training and task takes; options of a class are checked against its `limits` when it is made.

    Attributes:
        model: `tora`, `wan_move`, `motionctrl` or `dragnuwa`; `shapes_tracker`; `shapes_clip` or `shapes_video`.
        size: `nano`; of Tora also `xl2` or `tiny`, the test size of the full model.
        task: `train`, or what belongs to it: `tune` (learning rates), `steps` (of the sampler), `validate` (loss),
            `evaluate` (of a run), `trials` (of the recipe), `long_run` (all embedded models).
        folder: where everything that is written lies; keep it to resume.
    """

    model: str = "tora"
    size: str = "nano"
    task: str = "train"
    folder: str = "training_state"

    made_by: ClassVar[str]
    """`module:function` below `toraeval.training.recipes`."""
    limits: ClassVar[Mapping[str, Limit]] = {}

    def __post_init__(self) -> None:
        what = "train" if self.task == "train" else f"train task={self.task}"
        for kind in type(self).__mro__:
            if issubclass(kind, TrainingOptions):
                check_options(what, self, **kind.limits)


@dataclass
class NanoOptions(TrainingOptions):
    """An embedded video model.

    Attributes:
        minutes: training time in all, added up over restarts; rendering comes on top.
        samples: clips to train on in all, instead of `minutes`.
        rate: factor on the learning rates.
        clips: number of 17-frame clips to render, longer ones follow in fixed proportion.
        workers: processes, one thread each on the CPU; 1 on a GPU.
        device: `cpu` or `cuda`.
        start: weights to begin from: a file, `shipped`, or nothing.
        export: where the trained weights go; inside `folder` if not given.
        seed: seed of weights and draws.
    """

    made_by: ClassVar = "train:main"
    limits: ClassVar = {
        **dict.fromkeys(("minutes", "rate"), POSITIVE),
        **dict.fromkeys(("samples", "workers"), COUNT),
        "clips": Numbers(
            64, 2_000_000
        ),  # beyond it the scenes of 17-frame clips would meet those of 33 frames
        "seed": NOT_NEGATIVE,
    }

    minutes: float = 110.0
    samples: int | None = None
    rate: float = 1.0
    clips: int = 9000
    workers: int = 2
    device: str = "cpu"
    start: str | None = None
    export: str | None = None
    seed: int = 0


@dataclass
class FullSizeOptions(TrainingOptions):
    """The full model or its test size.

    Attributes:
        data: `shapes`, or a folder of videos with captions.
        flow_estimator: of optical flow for a folder: `dis`, `raft` with its weights, or `given`.
        flow_weights: file of weights for `raft`.
        buckets: {resolution: {frames: [chance, clips]}}, see `toraeval.training.data.buckets`;
            `TRAINING_BUCKETS` if not given.
        enlarge: admit videos with fewer pixels than a bucket.
        cut: how clips are cut out of videos, the fields of `toraeval.training.data.video_folder.CutRules`.
        cache: folder for latents of clips that are met again; each video then gives one fixed cut.
        clips: number of scenes of `data=shapes`.
        start: folder of weights to begin from, or `random`.
        vae: folder of the autoencoder's published weights, or `random` to try the training without.
        text_encoder: folder of the text encoder's published weights, or `random` to try the training without.
        posterior: `mode` or `sample` of the autoencoder.
        stage_steps: steps on dense flow, then on sparse trajectories.
        batches_per_step: batches whose gradients are averaged; a multiple of the number of processes.
        trainable: `motion` (extractor and fusers) or `all`.
        fuser: one of the paper's designs of the fuser, see `toraeval.models.shared.network.config.STDiTConfig`.
        fuser_place: where the fuser stands in a block, see there.
        compression: how trajectories are compressed along time, see there.
        lr: learning rate of AdamW, per stage.
        weight_decay: of AdamW.
        betas: of AdamW.
        eps: of AdamW.
        clip: largest norm of the gradient.
        warmup_steps: steps at the start of a stage over which the learning rate rises.
        average: decay of the moving average of the weights.
        text_dropout: share of clips without their caption.
        frame_masks: share of clips under each mask of given frames, by default Open-Sora's.
        precision: `bf16` (computed from float32 weights) or `fp32`.
        checkpointing: recompute blocks in the backward pass to save memory.
        device: `cpu` or `cuda`; the number of processes is torchrun's.
        save_every: steps between checkpoints.
        keep: checkpoints that stay.
        tensorboard: also write TensorBoard events.
        export: where the trained weights go; inside `folder` if not given.
        seed: seed of weights and draws.
    """

    made_by: ClassVar = "full_size:main"
    limits: ClassVar = {"save_every": COUNT, "keep": COUNT}

    data: str = "shapes"
    flow_estimator: str = "dis"
    flow_weights: str | None = None
    buckets: Any = None
    enlarge: bool = False
    cut: Any = None
    cache: str | None = None
    clips: int = 9000
    start: str | None = None
    vae: str | None = None
    text_encoder: str | None = None
    posterior: str = "mode"
    stage_steps: list[int] = field(default_factory=lambda: [15000, 15000])
    batches_per_step: int = 1
    trainable: str = "motion"
    fuser: str = "adaptive_norm"
    fuser_place: str = "temporal"
    compression: str = "vae"
    lr: float = 2e-5
    weight_decay: float = 0.0
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-15
    clip: float = 1.0
    warmup_steps: int = 1000
    average: float = 0.99
    text_dropout: float = 0.1
    frame_masks: Any = None
    precision: str = "bf16"
    checkpointing: bool = True
    device: str = "cpu"
    save_every: int = 500
    keep: int = 2
    tensorboard: bool = False
    export: str | None = None
    seed: int = 0


@dataclass
class SmallNetOptions(TrainingOptions):
    """A small network of the benchmark itself.

    Attributes:
        minutes: training time in all, added up over restarts; rendering comes on top.
        lr: highest learning rate.
        batch: clips or pairs per step and process.
        export: where the trained weights go; into the package if not given.
        seed: seed of weights and draws.
    """

    minutes: float = 15.0
    lr: float = 1e-3
    batch: int = 2
    export: str | None = None
    seed: int = 0

    limits: ClassVar = {"minutes": POSITIVE, "lr": POSITIVE, "batch": COUNT, "seed": NOT_NEGATIVE}


@dataclass
class TrackerOptions(SmallNetOptions):
    """The learned tracker.

    Attributes:
        workers: processes of one thread each.
        frames: of a clip.
        points: that are followed in it.
    """

    made_by: ClassVar = "tracker:main"
    limits: ClassVar = {"workers": COUNT, "frames": Numbers(2, 128), "points": COUNT}

    workers: int = 2
    frames: int = 12
    points: int = 6


@dataclass
class PairNetOptions(SmallNetOptions):
    """The metric network of pictures and captions.

    Attributes:
        scenes: size of the rendered pool.
        threads: of torch.
    """

    made_by: ClassVar = "metric_nets:main"
    limits: ClassVar = {"batch": Numbers(4), "threads": COUNT}

    minutes: float = 12.0
    lr: float = 2e-3
    batch: int = 96  # a picture costs a tenth of a clip, and contrast needs many others in a batch
    scenes: int = 16000
    threads: int = 2


@dataclass
class ClipNetOptions(PairNetOptions):
    """The metric network of clips.

    Attributes:
        pictures: weights of `shapes_clip`, whose picture encoder it looks with; the shipped ones if not given.
    """

    batch: int = 32
    scenes: int = 6000
    pictures: str | None = None
