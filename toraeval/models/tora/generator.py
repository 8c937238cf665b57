"""The `tora` generator: checks its options and picks the size that does the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from toraeval.config import ToraConfig
from toraeval.models.shared.network.config import SIZES
from toraeval.models.tora.generator_full import FullTora
from toraeval.models.tora.generator_nano import VERSION, NanoTora
from toraeval.models.tora.options_full import FullOptions
from toraeval.registry import unknown
from toraeval.types import Case, UserError, Video

PRECISIONS = ("bf16", "fp32")
SHARED = {f.name for f in fields(ToraConfig)} - {f.name for f in fields(FullOptions)} | {"steps", "guidance"}


class Tora:
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
        if config.steps is not None and not 1 <= config.steps <= 1000:
            raise UserError(f"tora: steps={config.steps}; allowed: 1 to 1000")
        if config.guidance is not None and not 1.0 <= config.guidance < float("inf"):
            raise UserError(f"tora: guidance={config.guidance}; allowed: 1 (off) and larger")
        if config.precision not in PRECISIONS:
            raise UserError(f"tora: precision={config.precision}; allowed: {', '.join(PRECISIONS)}")
        if config.size == "nano":
            for field in fields(config):
                value = getattr(config, field.name)
                if field.name not in SHARED and value is not None:
                    raise UserError(
                        f"tora: size=nano has no option {field.name} (got {value}); allowed: leave it out, or size=xl2"
                    )
        self.size = config.size
        self._made: NanoTora | FullTora = NanoTora(config) if config.size == "nano" else FullTora(config)

    def prepare(self) -> None:
        """Load the weights, once."""
        self._made.prepare()

    def prepare_cases(self, cases: Sequence[Case]) -> None:
        """Encode the captions of these cases, once; the embedded size has nothing to encode."""
        if isinstance(self._made, FullTora):
            self._made.prepare_cases(cases)

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse lengths and sizes that this model cannot make.

        Raises:
            UserError: a length or size outside the range of the model's size.
        """
        self._made.check(frames, height, width)

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case that `generate` would refuse; no weights are loaded.

        Raises:
            UserError: a case that does not fit the model's size or its `condition`.
        """
        self._made.check_case(case, seed)

    def fingerprint(self) -> dict[str, Any]:
        """Return size, options, hashes of all weights and generator version."""
        return self._made.fingerprint()

    def generate(self, case: Case, seed: int) -> Video:
        """Generate one clip of exactly `case.frames` frames.

        Raises:
            UserError: a case that does not fit the model's size or its `condition`.
        """
        return self._made.generate(case, seed)
