"""The `tora` generator: checks its options and picks the size that does the work."""

from __future__ import annotations

from typing import Any

from toraeval.models.shared.base import Generator
from toraeval.models.tora.options import NANO_VERSION, SIZES, ToraOptions


class Tora(Generator):
    """Trajectory-guided diffusion transformer (arXiv 2407.21705).

    Args:
        options: fields of `ToraOptions`.

    Returns:
        The generator of the size, whose code alone is imported.

    Raises:
        UserError: an unknown size, an option outside its range, or one that the size does not have.
        MissingAsset: a size whose weights are not there.
    """

    name = "tora"
    version = NANO_VERSION
    options_class = ToraOptions

    def __new__(cls, **options: Any) -> Generator:  # type: ignore[misc]
        config = ToraOptions(**options)
        if SIZES[config.size].embedded:
            from toraeval.models.tora.nano import NanoTora

            return NanoTora(config)
        from toraeval.models.tora.opensora import OpenSoraTora

        return OpenSoraTora(config)
