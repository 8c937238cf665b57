"""Options of the tasks around the training of the embedded models, one class each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from toraeval.allowed import COUNT, POSITIVE, Numbers
from toraeval.config.trainings import EMBEDDED, TrainingOptions


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

    made_by: ClassVar = "train:tune"
    limits: ClassVar = {"tries": COUNT, "samples": COUNT, "workers": COUNT}

    tries: int = 3
    samples: int = 360
    clips: int = 6144
    workers: int = 1
    seed: int = 0
    table: str | None = None


@dataclass
class OfWeights(TrainingOptions):
    """A task about weights.

    Attributes:
        weights: weights file, the shipped one if not given.
    """

    weights: str | None = None


@dataclass
class OnCases(TrainingOptions):
    """A task that generates validation cases.

    Attributes:
        cases: validation cases.
        frames: of each case.
    """

    limits: ClassVar = {"cases": COUNT, "frames": COUNT}

    cases: int = 8
    frames: int = 16


@dataclass
class SeveralTrainings(TrainingOptions):
    """A task of several trainings.

    Attributes:
        workers: trainings that run at a time.
        device: `cpu` or `cuda`.
        batch: factor on the clips of a step.
    """

    limits: ClassVar = {"workers": COUNT}

    workers: int = 1
    device: str = "cpu"
    batch: int = 1


@dataclass
class StepsOptions(OfWeights, OnCases):
    """Choose the sampling steps: those with the lowest TrajError on validation cases.

    Attributes:
        candidates: numbers of steps.
        table: CSV to write, `docs/models/<model>_steps.csv` if not given.
    """

    made_by: ClassVar = "evaluate:choose_steps"
    limits: ClassVar = {"candidates": COUNT}

    candidates: list[int] = field(default_factory=lambda: [1, 2, 4, 8])
    cases: int = 16
    table: str | None = None


@dataclass
class ValidateOptions(OfWeights):
    """Measure the validation loss of weights.

    Attributes:
        clips: of each kind.
        table: CSV to write, `docs/models/<model>_validation.csv` if not given.
    """

    made_by: ClassVar = "validation:main"
    limits: ClassVar = {"clips": COUNT}

    clips: int = 32
    table: str | None = None


@dataclass
class EvaluateOptions(OnCases):
    """Follow a run: TrajError and pictures of validation cases from its last checkpoint.

    Attributes:
        split: of the world.
        steps: of the sampler, the model's own number if not given.
        averaged: take the moving average of the weights.
        sheet: PNG of frames to write.
    """

    made_by: ClassVar = "evaluate:follow"

    split: str = "validation"
    steps: int | None = None
    averaged: bool = False
    sheet: str | None = None


@dataclass
class TrialsOptions(SeveralTrainings):
    """Short runs of equal processor time, in `folder`/trials, that choose the recipe of the embedded models.

    Attributes:
        data: holds autoencoder, shards and validation clips.
        minutes: processor minutes of each trial.
        samples: clips that each trial is trained on, instead of `minutes`.
        clips: of 17 frames that every trial may see.
        part: number of the first trial that is made.
        parts: machines that share the trials; this one makes every `parts`-th from `part` on.
        names: only these trials, separated by commas.
        table: CSV to write.
    """

    made_by: ClassVar = "trials:run"
    limits: ClassVar = {"minutes": POSITIVE}

    data: str = "training_state/gen2"
    minutes: float = 6.0
    samples: int | None = None
    clips: int = 4032
    part: int = 0
    parts: int = 1
    names: str = ""
    table: str = "docs/models/recipe.csv"


@dataclass
class LongRunOptions(SeveralTrainings):
    """Train all embedded models with one recipe and equal clips.

    Attributes:
        samples: clips that every model sees.
        clips: of 17 frames to render; changing it later changes what is drawn.
        renderers: processes that render clips, as many as `workers` if not given.
        models: which, separated by commas, in this order.
        status: only say how far they are.
    """

    made_by: ClassVar = "long_run:run"
    limits: ClassVar = {"samples": COUNT, "clips": Numbers(64)}

    samples: int = 10_000
    clips: int = 6144
    workers: int = 2
    renderers: int | None = None
    models: str = ",".join(EMBEDDED)
    status: bool = False
