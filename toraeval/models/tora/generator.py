"""The `tora` generator: checks its options and picks the size that does the work."""

from __future__ import annotations

from typing import Any

from toraeval.models.shared.base import Generator
from toraeval.models.shared.sized import SizedGenerator
from toraeval.models.tora.options import NANO_VERSION, SIZES, ToraOptions


class Tora(SizedGenerator):
    """Trajectory-guided diffusion transformer (arXiv 2407.21705).

    Args:
        options: fields of `ToraOptions`.

    Raises:
        UserError: an unknown size, an option outside its range, or one that the size does not have.
        MissingAsset: a size whose weights are not there.
    """

    name = "tora"
    version = NANO_VERSION
    options_class = ToraOptions

    def __init__(self, **options: Any) -> None:
        config = ToraOptions(**options)
        super().__init__(config.size, _generator(config))


def _generator(options: ToraOptions) -> Generator:
    """Return what makes the clips of a size; the other sizes' code is not imported."""
    if SIZES[options.size].embedded:
        from toraeval.models.tora.nano import NanoTora

        return NanoTora(options)
    from toraeval.models.tora.opensora import OpenSoraTora

    return OpenSoraTora(options)
