"""What every metric is: a declaration, from which definition, docs and sanity checks derive, and a function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.store.main_metric import main_columns
from toraeval.types import Case, FloatArray, Part, Score, Tracks, UserError, Video, counted

Found = tuple[dict[str, float], dict[str, FloatArray]] | str
"""Values (NaN = could not be computed) and arrays of one case, or the reason why there are none."""

BACKBONE = "BACKBONE"
"""Stands in names of columns for the network they rest on: numbers of different networks never share a column."""

NO_VIDEO = "no video: the metric looks at frames"
DEVICES = ("cpu", "cuda")
LEAST = {"max_frames": 1, "clip_stride": 1, "min_videos": 2, "resamples": 0}
"""Smallest values of the options that several metrics have."""


class Metric(Part, ABC):
    """A named, versioned measurement of one case: its attributes say what it is, `examine` computes it.

    Attributes:
        name: registry name, also the main column of the tables.
        version: raised whenever the same input would give another number.
        direction: `lower` or `higher`, whichever is better.
        units: unit of the main value; `units_in_full` says more where that is not enough.
        value_range: smallest and largest value, in words.
        formula: of the main value.
        main: the values that tables show; by default the one named like the metric, else the first column.
        pooling: how numbers of a case become one, and what weighs the same.
        excluded: what is left out, hidden points included.
        lost_points: what becomes of points that the tracker calls lost.
        details: further facts of the definition; words may name attributes in braces.
        columns: every value and what it means; `BACKBONE` stands for the name of the network.
        source: where the definition comes from.
        expected: column -> how it must order spoilt videos, see `toraeval.metrics.shared.expectations`.
        needs_video: whether it looks at frames; one that does not gets a video only if it is at hand.
        of_set: whether its values belong to a set of samples (`SetMetric`).
        backbones: the networks it may rest on; `backbone` is the chosen one.
        keyed: the options, by attribute, that change a value: all of its fingerprint besides name and version.
        cache: folder in which it keeps what all models share, or None.
    """

    __slots__ = ()  # any class can be given this base afterwards

    name: str
    version: str
    direction: str = ""
    units: str = ""
    units_in_full: str = ""
    value_range: str = ""
    formula: str = ""
    main: tuple[str, ...] = ()
    pooling: str = ""
    excluded: tuple[str, ...] = ()
    lost_points: str = ""
    details: Mapping[str, Any] = {}
    columns: Mapping[str, str] = {}
    source: str = ""
    expected: Mapping[str, tuple[str, ...]] = {}
    needs_video: bool = False
    of_set: bool = False
    backbones: tuple[str, ...] = ()
    backbone: str = ""
    keyed: tuple[str, ...] = ()
    cache: Path | None = None

    def take(self, **options: Any) -> None:
        """Keep options as attributes of the same name, `cache` as a path.

        Raises:
            UserError: an option that cannot be.
        """
        choices = {"backbone": self.backbones, "device": DEVICES}
        for option, value in options.items():
            if option in LEAST and value < LEAST[option]:
                raise UserError(f"{self.name}: {option}={value}; allowed: whole numbers >= {LEAST[option]}")
            if option in choices and value not in choices[option]:
                raise UserError(f"{self.name}: {option}={value}; allowed: {', '.join(choices[option])}")
        folder = options.get("cache")
        vars(self).update(options | {"cache": Path(folder) if folder else self.cache})

    def score(self, case: Case, tracks: Tracks | None, video: Video | None = None) -> Score:
        """Return the values and arrays of one case, or a `Score` whose `skipped` says why there are none: never a 0.

        Raises:
            MissingAsset: no weights, or a package is absent.
            UserError: tracks, video or reference do not fit the case.
        """
        return self.scored(self.examine(case, tracks, video))

    def examine(self, case: Case, tracks: Tracks | None, video: Video | None) -> Found:
        """Return the values and arrays of one case, or the reason why there are none."""
        raise NotImplementedError(f"metric {self.name} defines neither examine nor score")

    def scored(self, found: Found) -> Score:
        """Return what was found as a `Score`; values that could not be computed are absent."""
        if isinstance(found, str):
            return Score(self.name, self.version, skipped=found)
        values = {column: value for column, value in found[0].items() if np.isfinite(value)}
        return Score(self.name, self.version, values, found[1])

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a value.

        Raises:
            MissingAsset: no weights.
        """
        options = {option: getattr(self, option) for option in self.keyed}
        return {"metric": self.name, "version": self.version} | {
            option: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for option, value in options.items()
        }

    @property
    def main_columns(self) -> tuple[str, ...]:
        """The values that tables show."""
        return main_columns(self.name, self.definition())

    def named(self, column: str) -> str:
        """Return a column with the name of the network."""
        return column.replace(BACKBONE, self.backbone)

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data, to be written beside every table."""
        optional = {
            "range": self.value_range,
            "formula": self.formula,
            "main": list(map(self.named, self.main)),
            "pooling": self.pooling,
            "excluded": list(self.excluded),
            "lost_points": self.lost_points,
            **{
                name: fact.format_map(vars(self)) if isinstance(fact, str) else fact
                for name, fact in self.details.items()
            },
            "columns": {self.named(column): words for column, words in self.columns.items()},
            "source": self.source,
        }
        return {
            "metric": self.name,
            "version": str(self.version),
            "direction": self.direction,
            "units": self.units_in_full or self.units,
            **{name: fact for name, fact in optional.items() if fact},
        }


class SetMetric(Metric):
    """A metric whose value belongs to a set of samples, e.g. a distance between two distributions.

    `score` then stores what one sample contributes in `Score.arrays`; its `values` may be empty, and `skipped`
    says why a sample contributes nothing.
    """

    __slots__ = ()

    of_set = True

    @abstractmethod
    def pool(self, contributions: Mapping[str, Mapping[str, FloatArray]]) -> Score:
        """Return the values of the set.

        Args:
            contributions: sample id -> the arrays that `score` gave for it, in the order of the suite; the
                value must not depend on this order.

        Returns:
            Values of the set, or a `Score` whose `skipped` says why there are none, e.g. too few samples.
        """


def check_video(metric: str, case: Case, video: Video) -> None:
    """Refuse a clip that does not belong to the case.

    Raises:
        UserError: another number of frames or another size than the case asks for.
    """
    asked, found = (case.frames, case.height, case.width), (video.num_frames, video.height, video.width)
    if asked != found:
        raise UserError(
            f"{metric}: case {case.id} has a video of {counted(found[0], 'frame')} of {found[2]}x{found[1]}, expected "
            f"{asked[0]} of {asked[2]}x{asked[1]}"
        )
