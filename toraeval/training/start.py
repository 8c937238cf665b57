"""From the options of `train` to the training or task that they name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from toraeval.config.training import training_options
from toraeval.config.trainings import TrainingOptions


def main(given: Mapping[str, Any]) -> int:
    """Train, or do what belongs to a training; returns the exit code.

    Args:
        given: options by name; None stands for the default of the training that is wanted.

    Raises:
        UserError: an option that is unknown, out of range or of another training.
        MissingAsset: weights that are not there.
    """
    return run(training_options(given))


def run(chosen: TrainingOptions) -> int:
    """Train, or do the task that options belong to; see `main`."""
    module, _, function = chosen.made_by.partition(":")
    return int(getattr(importlib.import_module(f"toraeval.training.recipes.{module}"), function)(chosen))
