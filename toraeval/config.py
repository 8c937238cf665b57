"""Options of every verb and component as dataclasses in Hydra's ConfigStore; YAML files only set values."""

from __future__ import annotations

import copy
import functools
import inspect
import typing
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from toraeval import registry
from toraeval.types import UserError

STAGES = ("generate", "track", "score")
KEEP = ("preview", "lossless", "none")
PLAIN = (int, float, bool, str, int | None, float | None, str | None, list[int], list[float], list[str])
"""Types of derived options that are checked; any other type is left to the part itself."""
GROUPS = ("model", "suite", "tracker", "metric")
TRAINING_BUCKETS: dict[str, dict[int, list[float]]] = {
    "720p": {17: [0.1, 1]},
    "480p": {102: [0.2, 1], 51: [0.3, 2]},
    "240p": {102: [0.4, 4], 51: [0.6, 8], 17: [0.8, 16]},
    "144p": {17: [0.8, 25], 1: [1.0, 25]},
}
"""{resolution: {frames: [chance, clips per batch]}} of the full model's training, unless given otherwise."""


@dataclass
class ToraConfig:
    """See `toraeval.models.tora.generator.Tora`; None stands for the default of the size.

    The options from `vae` on are those of the full sizes, see `toraeval.models.tora.generator_xl2.FullOptions`.

    Attributes:
        size: nano, xl2 or tiny.
        steps: sampling steps, 1 to 1000.
        guidance: classifier-free guidance scale, at least 1; 1 turns it off.
        precision: bf16 or fp32.
        weights: file or folder of your own; at size=xl2 also `random`, for timings.
        condition: auto (what the case gives), text, first_frame or first_last_frame.
    """

    name: str = "tora"
    size: str = "nano"
    steps: int | None = None
    guidance: float | None = None
    precision: str = "bf16"
    weights: str | None = None
    condition: str = "auto"
    vae: str | None = None
    text_encoder: str | None = None
    device: str | None = None
    aesthetic: float | None = None
    motion_score: float | None = None
    camera_motion: str | None = None
    clean_prompt: bool | None = None
    posterior: str | None = None
    tiling: int | None = None
    compile: bool | None = None
    offload: bool | None = None
    align: int | None = None
    loop_frames: int | None = None


@dataclass
class ToraCogVideoXConfig:
    """Options of `model=tora_cogvideox`.

    Attributes:
        variant: `t2v`, or `i2v`, which needs a first frame.
        weights: folder or sat file; by default where `fetch` puts it.
        format: `diffusers`, `sat`, `split`, or `auto` to recognise it.
        vae: autoencoder in diffusers' layout; by default `vae/` beside the weights.
        text_encoder: T5 v1.1 XXL with tokenizer; by default beside the weights.
        steps: sampling steps, 1 to 1000.
        guidance: classifier-free guidance scale, at least 1; 1 turns it off.
        dynamic_guidance: `published`, `step_index` or `off`, see `solver.guidance_scale`.
        unconditional: caption features of the unconditional half: of the `empty` caption, `zeros`, or `auto`: zeros
            for sat, whose training drops captions to zeros, otherwise empty, each as its code has it.
        zero_snr: `all`, `sampled`, or `auto`: sampled for sat, see `solver.Solver`.
        posterior: `sample` (as published) or `mode` of the autoencoder for trajectories and first frame.
        learned_positions: `on`, `off` or `auto`, see `checkpoint.load_transformer`.
        precision: `bf16` or `fp32`.
        device: `cpu`, `cuda`, `cuda:1`, ..., or `auto`: a GPU where there is one.
        offload: keep each network on the CPU while it is not in use.
        tiling: run the autoencoder on overlapping tiles; less memory, faint seams.
    """

    name: str = "tora_cogvideox"
    variant: str = "t2v"
    weights: str | None = None
    format: str = "auto"
    vae: str | None = None
    text_encoder: str | None = None
    steps: int = 50
    guidance: float = 6.0
    dynamic_guidance: str = "published"
    unconditional: str = "auto"
    zero_snr: str = "auto"
    posterior: str = "sample"
    learned_positions: str = "auto"
    precision: str = "bf16"
    device: str = "auto"
    offload: bool = False
    tiling: bool = False


@dataclass
class GroundTruthConfig:
    name: str = "ground_truth"


@dataclass
class StaticConfig:
    name: str = "static"


@dataclass
class PrecomputedConfig:
    """See `toraeval.models.precomputed.Precomputed`."""

    name: str = "precomputed"
    videos: str = MISSING
    label: str | None = None
    cut: bool = False


@dataclass
class ShapesConfig:
    """See `toraeval.suites.shapes.Shapes`."""

    name: str = "shapes"
    split: str = "test"
    count: int = 16


@dataclass
class FolderConfig:
    """See `toraeval.suites.folder.Folder`."""

    name: str = "folder"
    path: str = MISSING
    canvas: list[int] | None = None
    rule: str = "index"
    fps: float = 8.0


@dataclass
class CoTracker3Config:
    """See `toraeval.trackers.cotracker`."""

    name: str = MISSING
    checkpoint: str | None = None
    sha256: str | None = None
    weights: str = "checkpoint"
    source: str = "github"
    repo_dir: str | None = None
    revision: str = "82e02e8029753ad4ef13cf06be7f4fc5facdda4d"
    device: str = "cpu"


@dataclass
class CoTracker3OfflineConfig(CoTracker3Config):
    name: str = "cotracker3_offline"
    chunk_frames: int = 8


@dataclass
class CoTracker3OnlineConfig(CoTracker3Config):
    name: str = "cotracker3_online"
    support_grid: bool = False


@dataclass
class TrajErrorConfig:
    name: str = "traj_error"


SCHEMAS: dict[str, dict[str, type]] = {
    "model": {
        "tora": ToraConfig,
        "tora_cogvideox": ToraCogVideoXConfig,
        "ground_truth": GroundTruthConfig,
        "static": StaticConfig,
        "precomputed": PrecomputedConfig,
    },
    "suite": {"shapes": ShapesConfig, "folder": FolderConfig},
    "tracker": {
        "cotracker3_offline": CoTracker3OfflineConfig,
        "cotracker3_online": CoTracker3OnlineConfig,
    },
    "metric": {"traj_error": TrajErrorConfig},
}


@dataclass
class CommonConfig:
    """What `run`, `bench` and `score` share.

    Attributes:
        tracker: the point tracker.
        metrics: chosen by `metric=NAME` or `'metric=[A,B]'`.
        stages: any of generate, track, score.
        keep: what stays of each video after scoring: preview, lossless or none.
        workers: processes over cases; results do not depend on it.
        fail_fast: stop at the first case that fails.
        dry_run: say what would be done and what is missing, then stop.
        results: folder of everything that is written.
    """

    tracker: Any = MISSING
    metrics: dict[str, Any] = field(default_factory=dict)
    stages: list[str] = field(default_factory=lambda: list(STAGES))
    keep: str = "preview"
    workers: int = 1
    fail_fast: bool = False
    dry_run: bool = False
    results: str = "results"


@dataclass
class RunConfig(CommonConfig):
    """`python -m toraeval run`.

    Attributes:
        model: the generator.
        suite: the test cases.
        frames, height, width: what is asked of the generator.
        seeds: sampling seeds, each one a sample of every case.
        limit: only the first so many cases; for trying.
        samples: only these case ids.
        floor: also measure the tracker on the ground truth of the same cases.
    """

    model: Any = MISSING
    suite: Any = MISSING
    frames: int = 16
    height: int = 512
    width: int = 512
    seeds: list[int] = field(default_factory=lambda: [0])
    limit: int | None = None
    samples: list[str] | None = None
    floor: bool = True


@dataclass
class AblationsConfig:
    """`python -m toraeval bench preset=ablations`: what is trained before it is compared.

    Attributes:
        steps: training steps of each variant; 340 take about 9 minutes on two free cores.
        backbone_steps: steps of the common start, without paths.
        clips: distinct clips of 17 frames.
        split, cases: what the variants are scored on: a split of `shapes` and the number of its cases.
        folder: where autoencoder, clips and weights lie; keep it to go on later.
        workers: processes, one thread each.
        seed: seed of new weights and draws.
    """

    steps: int = 340
    backbone_steps: int = 280
    clips: int = 4096
    split: str = "validation"
    cases: int = 32
    folder: str = "training_state"
    workers: int = 2
    seed: int = 0


@dataclass
class BenchConfig(CommonConfig):
    """`python -m toraeval bench`: the fields of `run`, with lists of models and lengths.

    Attributes:
        models: registry names; each one takes its options from `conf/model/<name>.yaml` and `model_options`.
        model_options: `model_options.tora.steps=20` and the like.
        frames: lengths.
        ablations: train and compare variants of Tora nano instead of running `models`.
    """

    ablations: AblationsConfig | None = None
    models: list[str] = field(default_factory=list)
    model_options: dict[str, Any] = field(default_factory=dict)
    suite: Any = MISSING
    frames: list[int] = field(default_factory=list)
    height: int = 512
    width: int = 512
    seeds: list[int] = field(default_factory=lambda: [0])
    limit: int | None = None
    samples: list[str] | None = None
    floor: bool = True


@dataclass
class ScoreConfig(CommonConfig):
    """`python -m toraeval score`: the user's own videos.

    Attributes:
        videos: a folder of videos, or one video file.
        trajectories: a folder of trajectory files, or one file.
        label: name of the method in tables; the folder's name by default.
        canvas: `[width, height]` of trajectory files that state none; by default 256 x 256 for text,
            576 x 320 for DragNUWA's JSON, and the video's own size for NumPy arrays.
        align: how a path of another length meets its video: `resample` (the whole path in the whole clip) or
            `cut` (point k belongs to frame k; only the frames both have are scored).
        limit: only the first so many pairs.
    """

    videos: str = MISSING
    trajectories: str = MISSING
    label: str | None = None
    canvas: list[int] | None = None
    align: str = "resample"
    limit: int | None = None


@dataclass
class FullSizeOptions:
    """Options of `python -m toraeval train` that only `size=xl2` and `size=tiny` have; see docs/training.md.

    Attributes:
        data: `shapes`, or a folder of videos with captions.
        flow_estimator, flow_weights: of optical flow for a folder: `dis`, `raft` with its weights, or `given`.
        buckets: {resolution: {frames: [chance, clips]}}, see `toraeval.training.buckets`; `TRAINING_BUCKETS` if not
            given.
        enlarge: admit videos with fewer pixels than a bucket.
        cut: how clips are cut out of videos, the fields of `toraeval.training.video_folder.CutRules`.
        cache: folder for latents of clips that are met again; each video then gives one fixed cut.
        vae, text_encoder: folders of published weights, or `random` to try the training without.
        posterior: `mode` or `sample` of the autoencoder.
        stage_steps: steps on dense flow, then on sparse trajectories.
        batches_per_step: batches whose gradients are averaged; a multiple of the number of processes.
        trainable: `motion` (extractor and fusers) or `all`.
        fuser, fuser_place, compression: the paper's designs, see `toraeval.models.tora.config.STDiTConfig`.
        lr, weight_decay, betas, eps, clip, warmup_steps: of AdamW, per stage.
        average: decay of the moving average of the weights.
        text_dropout: share of clips without their caption.
        frame_masks: share of clips under each mask of given frames, by default Open-Sora's.
        precision: `bf16` (computed from float32 weights) or `fp32`.
        checkpointing: recompute blocks in the backward pass to save memory.
        save_every, keep: steps between checkpoints, and how many stay.
        tensorboard: also write TensorBoard events.
    """

    data: str = "shapes"
    flow_estimator: str = "dis"
    flow_weights: str | None = None
    buckets: Any = None
    enlarge: bool = False
    cut: Any = None
    cache: str | None = None
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
    save_every: int = 500
    keep: int = 2
    tensorboard: bool = False


@dataclass
class TrainConfig(FullSizeOptions):
    """`python -m toraeval train`.

    Attributes:
        model, size: `tora`, and `nano`, `xl2` or `tiny`, the test size of the full model.
        minutes: nano only: training time in all, added up over restarts; rendering comes on top.
        clips: number of 17-frame clips to render, longer ones follow in fixed proportion; for the other sizes the
            number of scenes of `data=shapes`.
        folder: where everything that is written lies; keep it to go on later.
        workers: nano only: processes, one thread each on the CPU; 1 on a GPU.
        device: `cpu` or `cuda`.
        start: weights to begin from: a file or folder, `shipped` (nano), `random`, or nothing.
        export: where the trained weights go; inside `folder` if not given.
        seed: seed of weights and draws.
    """

    model: str = "tora"
    size: str = "nano"
    minutes: float = 110.0
    clips: int = 9000
    folder: str = "training_state"
    workers: int = 2
    device: str = "cpu"
    start: str | None = None
    export: str | None = None
    seed: int = 0


VERBS: dict[str, type] = {"run": RunConfig, "bench": BenchConfig, "score": ScoreConfig, "train": TrainConfig}


def conf_dir(verb: str = "run") -> Path:
    """Return the absolute folder of a verb's YAML files: beside the package in a checkout, inside it when installed.

    `train` has a folder of its own: its `model` is a word, while elsewhere `model` is a group of files.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "run.yaml").is_file():
            return folder / "training" if verb == "train" else folder
    raise UserError(f"the folder conf/ is missing beside {package}; install toraeval again")


def register_schemas(verb: str = "run") -> None:
    """Put the schemas of a verb into Hydra's ConfigStore.

    A part without a YAML file, e.g. from another distribution, is put there as well.
    """
    store = ConfigStore.instance()
    store.store(group="schema", name=verb, node=VERBS[verb])
    for kind in () if verb == "train" else GROUPS:
        for name in registry.names(kind):
            store.store(group=f"schema/{kind}", name=name, node=schema_of(kind, name))
            if not (conf_dir() / kind / f"{name}.yaml").is_file():
                package = f"metrics.{name}" if kind == "metric" else kind
                store.store(group=kind, name=name, node=schema_of(kind, name), package=package)


def schema_of(kind: str, name: str) -> type:
    """Return the dataclass of a part's options.

    Parts that are slow to import have theirs in `SCHEMAS`; the options of any other part, also of one from
    another distribution, are the keyword arguments of its constructor.
    """
    if name in SCHEMAS[kind] and registry.entry(kind, name).target.startswith(("toraeval.", "baselines.")):
        return SCHEMAS[kind][name]
    constructor = registry.load(kind, name).__init__
    hints = typing.get_type_hints(constructor)
    fields: list[Any] = [("name", str, field(default=name))]
    for parameter in list(inspect.signature(constructor).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = MISSING if parameter.default is parameter.empty else parameter.default
        made = field(default_factory=functools.partial(copy.copy, default))
        hint = hints.get(parameter.name, Any)
        fields.append((parameter.name, hint if hint in PLAIN else Any, made))
    return make_dataclass(f"{name}_options", fields)


def choices(group: str) -> list[str]:
    """Return the options of a config group: registered components, or the YAML files of a preset group."""
    if group in GROUPS:
        return registry.names(group)
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
