"""The `tora` generator: checks its options and picks the size that does the work."""

from __future__ import annotations

from typing import Any

from toraeval.models.shared.sized import SizedGenerator
from toraeval.models.tora.nano import VERSION, NanoTora
from toraeval.models.tora.opensora import OpenSoraTora
from toraeval.models.tora.options import SIZES, ToraOptions


class Tora(SizedGenerator):
    """Trajectory-guided diffusion transformer (arXiv 2407.21705).

    Args:
        options: fields of `ToraOptions`.

    Raises:
        UserError: an unknown size, an option outside its range, or one that the size does not have.
        MissingAsset: a size whose weights are not there.
    """

    name = "tora"
    version = VERSION
    options_class = ToraOptions

    def __init__(self, **options: Any) -> None:
        config = ToraOptions(**options)
        super().__init__(config.size, (NanoTora if SIZES[config.size].embedded else OpenSoraTora)(config))
