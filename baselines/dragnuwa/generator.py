"""The `dragnuwa` generator."""

from __future__ import annotations

from toraeval.config.models import DragNUWAConfig

from ..unet.rival import Rival


class DragNUWA(Rival):
    """DragNUWA (arXiv 2308.08089): an embedded U-Net with its multi-scale fusion, or a fork of the authors' code.

    Args:
        options: fields of `toraeval.config.models.DragNUWAConfig`.
    """

    name = "dragnuwa"
    options_class = DragNUWAConfig
    upstream = "dragnuwa.upstream:UpstreamDragNUWA"
    default_steps = (
        2  # chosen by `toraeval.training.recipes.choose_steps`, see docs/models/dragnuwa_steps.csv
    )
