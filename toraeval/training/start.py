"""From the options of `train` to the training or task that they name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from toraeval.config import training_tasks as tasks
from toraeval.config import trainings
from toraeval.config.training import training_options

FUNCTIONS: dict[type[trainings.TrainingOptions], str] = {
    trainings.NanoOptions: "train:main",
    trainings.FullSizeOptions: "full_size:main",
    trainings.TrackerOptions: "tracker:main",
    trainings.PairNetOptions: "metric_nets:main",
    trainings.ClipNetOptions: "metric_nets:main",
    tasks.TuneOptions: "tune:main",
    tasks.StepsOptions: "evaluate:choose_steps",
    tasks.ValidateOptions: "validation:main",
    tasks.EvaluateOptions: "evaluate:follow",
    tasks.TrialsOptions: "trials:main",
    tasks.LongRunOptions: "long_run:main",
}
"""Functions of modules of `toraeval.training.recipes` by the class of options that they take."""


def main(given: Mapping[str, Any]) -> int:
    """Train, or do what belongs to a training; returns the exit code.

    Args:
        given: options by name; None stands for the default of the training that is wanted.

    Raises:
        UserError: an option that is unknown, out of range or of another training.
        MissingAsset: weights that are not there.
    """
    return run(training_options(given))


def run(chosen: trainings.TrainingOptions) -> int:
    """Train, or do the task that options belong to; see `main`."""
    module, _, function = FUNCTIONS[type(chosen)].partition(":")
    return int(getattr(importlib.import_module(f"toraeval.training.recipes.{module}"), function)(chosen))
