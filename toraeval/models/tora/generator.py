"""The `tora` generator: checks its options and picks the size that does the work."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from toraeval.config import ToraConfig
from toraeval.models.shared.network.config import SIZES
from toraeval.models.shared.sized import SizedGenerator
from toraeval.models.tora.generator_full import FullTora
from toraeval.models.tora.generator_nano import VERSION, NanoTora
from toraeval.models.tora.options_full import FullOptions
from toraeval.registry import unknown
from toraeval.types import UserError

SHARED = {f.name for f in fields(ToraConfig)} - {f.name for f in fields(FullOptions)} | {"steps", "guidance"}


class Tora(SizedGenerator):
    """Trajectory-guided diffusion transformer (arXiv 2407.21705).

    Args:
        options: fields of `toraeval.config.ToraConfig`; `size` is `nano` (embedded), `xl2` (the published network)
            or `tiny` (for tests), None stands for the size's default.

    Raises:
        UserError: an unknown size, an option outside its range, or one that the size does not have.
        MissingAsset: a size whose weights are not there.
    """

    name = "tora"
    version = VERSION
    options_class = ToraConfig

    def __init__(self, **options: Any) -> None:
        config = self.options_class(**options)
        if config.size not in SIZES:
            raise UserError(f"tora: {unknown('size', config.size, SIZES)}")
        if config.size == "nano":
            for field in fields(config):
                value = getattr(config, field.name)
                if field.name not in SHARED and value is not None:
                    raise UserError(
                        f"tora: size=nano has no option {field.name} (got {value}); allowed: leave it out, or size=xl2"
                    )
        super().__init__(config.size, NanoTora(config) if config.size == "nano" else FullTora(config))
