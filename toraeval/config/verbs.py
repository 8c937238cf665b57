"""Options of `run`, `bench` and `score`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

STAGES = ("generate", "track", "score")
KEEP = ("preview", "lossless", "none")
# Own clips are pictures of the world: the networks of the procedural world would say nothing about them.
COMPARING: dict[str, dict[str, Any]] = {
    "fvd": {"backbone": "efficientnet_lite0"},
    "fid": {},
    "lpips": {"backbone": "efficientnet_lite0"},
    "ssim": {},
    "psnr": {},
}
"""Metric -> options, added where own clips have references and no metric was chosen."""


@dataclass
class ClusterConfig:
    """Options of `executor=slurm` and `executor=ray`.

    Attributes:
        jobs: how many jobs at most work at the same time.
        cpus: processors of each job, and its `workers` where that is `auto`.
        gpus: GPUs of each job; its workers then are as many.
        memory_gb: memory of each job, by default the scheduler's (slurm).
        minutes: time limit of each job; what it did not finish, further jobs do (slurm).
        partition, account: of Slurm.
        parameters: further options of sbatch, e.g. `{constraint: a100, requeue: true}`.
        scheduler: `slurm`, or `local` for processes of this machine, to try the command before (slurm).
        address: of a running Ray cluster, `auto` or host:port; by default one on this machine (ray).
    """

    jobs: int = 2
    cpus: int = 1
    gpus: int = 0
    memory_gb: int | None = None
    minutes: int = 240
    partition: str | None = None
    account: str | None = None
    parameters: Any = None
    scheduler: str = "slurm"
    address: str | None = None


@dataclass
class CommonConfig:
    """What `run`, `bench` and `score` share.

    Attributes:
        tracker: the point tracker.
        metrics: chosen by `metric=NAME` or `'metric=[A,B]'`.
        stages: any of generate, track, score.
        keep: what stays of each video after scoring: preview, lossless or none; none also deletes what earlier commands
            kept of finished clips.
        workers: processes over cases; `auto` is one per core or GPU, as far as memory and work suffice. Results do not
            depend on it.
        overlap: clips that each process writes, tracks and scores while it generates another one: a number, `off`, or
            `auto`, which is 2 on a GPU as far as memory suffices and off on the CPU. Results do not depend on it.
        executor: where the samples are worked on: local (this machine), slurm (through submitit) or ray.
        cluster: options of `executor=slurm` and `executor=ray`.
        fail_fast: stop at the first case that fails, further models included.
        dry_run: say what would be done and what is missing, then stop.
        results: folder of everything that is written.
    """

    tracker: Any = MISSING
    metrics: dict[str, Any] = field(default_factory=dict)
    stages: list[str] = field(default_factory=lambda: list(STAGES))
    keep: str = "preview"
    workers: Any = "auto"
    overlap: Any = "auto"
    executor: str = "local"
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    fail_fast: bool = False
    dry_run: bool = False
    results: str = "results"


@dataclass
class CasesConfig(CommonConfig):
    """What `run` and `bench` share: which cases of a suite, at which size.

    Attributes:
        suite: the test cases.
        height, width: requested frame size, pixels, 16 to 4096.
        seeds: sampling seeds, each one a sample of every case.
        limit: only the first N cases; for trying.
        samples: only these case ids.
        floor: also measure the tracker on the ground truth of the same cases.
    """

    suite: Any = MISSING
    height: int = 512
    width: int = 512
    seeds: list[int] = field(default_factory=lambda: [0])
    limit: int | None = None
    samples: list[str] | None = None
    floor: bool = True


@dataclass
class RunConfig(CasesConfig):
    """`python -m toraeval run`.

    Attributes:
        model: the generator.
        frames: requested number of frames, 2 to 1024.
    """

    model: Any = MISSING
    frames: int = 16


@dataclass
class AblationsConfig:
    """`python -m toraeval bench preset=ablations`: what is trained before it is compared.

    Attributes:
        steps: training steps of each variant and seed; 160 take about 4 minutes on two free cores.
        backbone_steps: steps of the common start, without paths.
        clips: distinct clips of 17 frames.
        split, cases: what the variants are scored on: a split of `shapes` and the number of its cases.
        folder: where autoencoder, clips and weights lie; keep it to resume later.
        workers: processes, one thread each; one on a GPU.
        seeds: of new weights and draws; every variant is trained with each of them.
        device: cpu or cuda.
    """

    steps: int = 160
    backbone_steps: int = 280
    clips: int = 4096
    split: str = "validation"
    cases: int = 32
    folder: str = "training_state"
    workers: int = 2
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    device: str = "cpu"


@dataclass
class BenchConfig(CasesConfig):
    """`python -m toraeval bench`: the options of `run`, with lists of models and lengths.

    Attributes:
        models: registry names; each one takes its options from `conf/model/<name>.yaml` and `model_options`. A name
            with options of its own, `{name: motionctrl, long_video: direct}`, is a further row; `frames: [64, 128]`
            among them keeps it to these lengths.
        model_options: `model_options.tora.steps=20` and the like.
        frames: requested numbers of frames, 2 to 1024.
        sizes: `[[height, width], ...]`: every model and length at each of these sizes, in place of height and width.
        ablations: train and compare variants of Tora nano instead of running `models`.
    """

    ablations: AblationsConfig | None = None
    models: list[Any] = field(default_factory=list)
    model_options: dict[str, Any] = field(default_factory=dict)
    frames: list[int] = field(default_factory=list)
    sizes: list[Any] = field(default_factory=list)


@dataclass
class ValidateConfig:
    """`python -m toraeval validate`.

    Attributes:
        suite: whose cases are read.
        frames, height, width: length and size at which the cases are made, by default those of the suite's protocol.
    """

    suite: Any = MISSING
    frames: int | None = None
    height: int | None = None
    width: int | None = None


@dataclass
class ScoreConfig(CommonConfig):
    """`python -m toraeval score`: the user's own videos.

    Attributes:
        videos: a folder of videos, or one video file.
        trajectories: a folder of trajectory files, or one file; `all:FILE` serves every clip.
        references: a folder of clips to compare with, named like the videos, or one clip; gives FVD, FID, LPIPS.
        label: name of the method in tables; the folder's name by default.
        canvas: `[width, height]` of trajectory files that state none, or `clip`. By default the video's own size; where
            a format's project has a canvas of its own that would do as well, one of the two has to be chosen.
        format: of the trajectory files; by default recognised by suffix and content.
        layout: `nt` or `tn` for arrays (N,T,2) or (T,N,2) where the video's length does not tell.
        units: `pixels`, `normalised` and others; needed where coordinates look like fractions of the frame.
        align: how a path of another length meets its video: `resample` (the whole path in the whole clip) or
            `cut` (point k belongs to frame k; only the frames both have are scored).
        allow_damaged: also score what decodes of damaged or cut files, and mark their rows.
        limit: only the first N pairs.
    """

    videos: str = MISSING
    trajectories: str = MISSING
    references: str | None = None
    label: str | None = None
    canvas: Any = None
    format: str = "auto"
    layout: str = "auto"
    units: str = "auto"
    align: str = "resample"
    allow_damaged: bool = False
    limit: int | None = None
