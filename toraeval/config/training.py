"""Options of `train`: one class for each kind of training and for each task around it, and one table of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, get_type_hints

from toraeval.registry import unknown
from toraeval.types import UserError

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
    """What every training and task takes.

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


@dataclass
class TrackerOptions(SmallNetOptions):
    """The learned tracker.

    Attributes:
        workers: processes of one thread each.
        frames: of a clip.
        points: that are followed in it.
    """

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


@dataclass
class TuneOptions(TrainingOptions):
    """Search the learning rates by short runs of equal length.

    Attributes:
        tries: number of rates; each is twice the one before, and the middle one is the default.
        samples: clips that each run is trained on.
        clips: number of 17-frame clips to render.
        workers: processes.
        seed: seed of weights and draws, the same for every run.
        table: CSV to write, `docs/models/<model>_tuning.csv` if not given.
    """

    tries: int = 3
    samples: int = 4000
    clips: int = 9000
    workers: int = 2
    seed: int = 0
    table: str | None = None


@dataclass
class StepsOptions(TrainingOptions):
    """Choose the sampling steps: those with the lowest TrajError on validation cases.

    Attributes:
        weights: weights file, the shipped one if not given.
        candidates: numbers of steps.
        cases: validation cases.
        frames: of each case.
        table: CSV to write, `docs/models/<model>_steps.csv` if not given.
    """

    weights: str | None = None
    candidates: list[int] = field(default_factory=lambda: [1, 2, 4, 8])
    cases: int = 16
    frames: int = 16
    table: str | None = None


@dataclass
class ValidateOptions(TrainingOptions):
    """Measure the validation loss of weights.

    Attributes:
        weights: weights file, the shipped one if not given.
        clips: of each kind.
        table: CSV to write, `docs/models/<model>_validation.csv` if not given.
    """

    weights: str | None = None
    clips: int = 32
    table: str | None = None


@dataclass
class EvaluateOptions(TrainingOptions):
    """Follow a run: TrajError and pictures of validation cases from its last checkpoint.

    Attributes:
        cases: validation cases.
        frames: of each case.
        split: of the world.
        steps: of the sampler, the model's own number if not given.
        averaged: take the moving average of the weights.
        sheet: PNG of frames to write.
    """

    cases: int = 8
    frames: int = 16
    split: str = "validation"
    steps: int | None = None
    averaged: bool = False
    sheet: str | None = None


@dataclass
class TrialsOptions(TrainingOptions):
    """Short runs of equal processor time, in `folder`/trials, that choose the recipe of the embedded models.

    Attributes:
        data: holds autoencoder, shards and validation clips.
        minutes: processor minutes of each trial.
        clips: of 17 frames that every trial may see.
        part: number of the first trial that is made.
        parts: machines that share the trials; this one makes every `parts`-th from `part` on.
        names: only these trials, separated by commas.
        table: CSV to write.
    """

    data: str = "training_state/gen2"
    minutes: float = 6.0
    clips: int = 4032
    part: int = 0
    parts: int = 1
    names: str = ""
    table: str = "docs/models/recipe.csv"


@dataclass
class LongRunOptions(TrainingOptions):
    """Train all embedded models of the second generation with one recipe and equal clips.

    Attributes:
        samples: clips that every model sees.
        clips: of 17 frames to render; changing it later changes what is drawn.
        workers: models that are trained at a time.
        trials: folder of `task=trials`, read once; without finished trials the defaults stand.
        models: which, separated by commas, in this order.
        status: only say how far they are.
    """

    samples: int = 100_000
    clips: int = 12_032
    workers: int = 2
    trials: str = "training_state/trials"
    models: str = ",".join(EMBEDDED)
    status: bool = False


KINDS: dict[str, type[TrainingOptions]] = {
    **{f"model={name}": NanoOptions for name in EMBEDDED},
    **{f"model=tora size={size}": FullSizeOptions for size in FULL_SIZES},
    "model=shapes_tracker": TrackerOptions,
    "model=shapes_clip": PairNetOptions,
    "model=shapes_video": ClipNetOptions,
}
"""What can be trained, and its options."""
TASKS: dict[str, type[TrainingOptions]] = {
    "tune": TuneOptions,
    "steps": StepsOptions,
    "validate": ValidateOptions,
    "evaluate": EvaluateOptions,
    "trials": TrialsOptions,
    "long_run": LongRunOptions,
}
"""What belongs to the training of embedded models, and its options."""


def _union() -> type:
    """Return a class of all options, whose defaults are None where the kind of training decides them."""
    found: dict[str, Any] = {}
    for kind in (*KINDS.values(), *TASKS.values()):
        for name, hint in get_type_hints(kind).items():
            if name not in TrainingOptions.__dataclass_fields__:
                found.setdefault(name, (name, hint | None, field(default=None)))
    made = make_dataclass("TrainConfig", found.values(), bases=(TrainingOptions,))
    made.__module__, made.__doc__ = __name__, "Every option of `python -m toraeval train`."
    return made


TrainConfig = _union()


def training_options(given: Mapping[str, Any]) -> TrainingOptions:
    """Return the options of the training or task that is wanted, with its own defaults.

    Args:
        given: fields of `TrainConfig`; None stands for the default.

    Raises:
        UserError: an unknown model, size or task, or an option that belongs to another one.
    """
    task, size = given.get("task") or "train", given.get("size") or "nano"
    model = given.get("model") or "tora"
    wanted = f"model={model}" if size == "nano" else f"model={model} size={size}"
    table = KINDS
    if task != "train":
        wanted, table = f"task={task}", {f"task={name}": options for name, options in TASKS.items()}
        if task in TASKS and (model not in EMBEDDED or size != "nano"):
            raise UserError(
                f"train: {wanted} with model={model} size={size}; allowed: model={', '.join(EMBEDDED)}"
            )
    if wanted not in table:
        raise UserError(unknown("training", wanted, table))
    kind = table[wanted]
    own = {f.name for f in fields(kind)}
    values = {name: value for name, value in given.items() if value is not None}
    for name in values.keys() - own:
        others = [place for place, other in (KINDS | {f"task={t}": o for t, o in TASKS.items()}).items()
                  if name in {f.name for f in fields(other)}]  # fmt: skip
        raise UserError(f"train: {name}={values[name]} belongs to {', '.join(others)}; got {wanted}")
    return kind(**values)


def sections() -> dict[str, type[TrainingOptions]]:
    """Return the class of options of each training and task, under all that share it."""
    names: dict[type[TrainingOptions], list[str]] = {}
    for title, kind in {**KINDS, **{f"task={task}": options for task, options in TASKS.items()}}.items():
        names.setdefault(kind, []).append(title)
    return {", ".join(titles): kind for kind, titles in names.items()}
