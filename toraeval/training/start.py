"""From the options of `train` to the training or task that they name."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from toraeval.config.training import training_options


def main(given: Mapping[str, Any]) -> int:
    """Train, or do what belongs to a training; returns the exit code.

    Of the options, by name, None stands for the default of the training that is wanted.

    Raises:
        UserError: an option that is unknown, out of range or of another training.
        MissingAsset: weights that are not there.
    """
    chosen = training_options(given)
    return int(resolve_name(f"toraeval.training.recipes.{chosen.made_by}")(chosen))
