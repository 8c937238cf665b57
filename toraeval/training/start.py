"""From the options of `train` to the training or task that they name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from toraeval.config import training as options

FUNCTIONS: dict[type[options.TrainingOptions], str] = {
    options.NanoOptions: "train:main",
    options.FullSizeOptions: "full_size:main",
    options.TrackerOptions: "tracker:main",
    options.PairNetOptions: "metric_nets:main",
    options.ClipNetOptions: "metric_nets:main",
    options.TuneOptions: "tune:main",
    options.StepsOptions: "evaluate:choose_steps",
    options.ValidateOptions: "validation:main",
    options.EvaluateOptions: "evaluate:follow",
    options.TrialsOptions: "trials:main",
    options.LongRunOptions: "long_run:main",
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
    return run(options.training_options(given))


def run(chosen: options.TrainingOptions) -> int:
    """Train, or do the task that options belong to; see `main`."""
    module, _, function = FUNCTIONS[type(chosen)].partition(":")
    return int(getattr(importlib.import_module(f"toraeval.training.recipes.{module}"), function)(chosen))
