"""How path files are to be read, what is known of their clip, and what a reader found in a file.

Shape legend: A and B two axes of which one is the objects and the other the moments.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from toraeval import registry
from toraeval.trajectories.checks import check_canvas
from toraeval.types import BoolArray, FloatArray, UserError

Canvas = tuple[int, int]
Order = Literal["nt", "tn", "either"]
LAYOUTS = ("auto", "nt", "tn")
UNITS = ("auto", "pixels", "normalised", "signed", "tapnet", "cotracker")
CLIP = "clip"


@dataclass(frozen=True)
class ClipFacts:
    """The clip that paths belong to.

    Attributes:
        size: `(width, height)` in pixels, or None.
        frames: number of frames, or None.
        name: picks the item of a file that holds several.
    """

    size: Canvas | None = None
    frames: int | None = None
    name: str = ""


@dataclass(frozen=True)
class PathReading:
    """How path files are to be read; every `auto` is settled from the file, the clip or the format.

    Attributes:
        canvas: `(width, height)` of coordinates in files that state none, `clip` for the clip's own, or None.
        format: a name of `toraeval.trajectories.FORMATS`.
        layout: `nt` for arrays (N,T,2), `tn` for (T,N,2).
        units: `pixels`; `normalised`: x = u * width for u in 0..1, or x = (u + 1) / 2 * width where a coordinate is
            negative; `signed`: the latter; `tapnet`: x = u * width - 0.5; `cotracker`: x = u * (width - 1).
        prefix: what stands before these options in the command that reads, or None where it has none of them.

    Raises:
        UserError: an unknown word, or a canvas that is not two whole numbers.
    """

    canvas: Canvas | Literal["clip"] | None = None
    format: str = "auto"
    layout: str = "auto"
    units: str = "auto"
    prefix: str | None = ""

    def __post_init__(self) -> None:
        if self.canvas is not None and self.canvas != CLIP:
            object.__setattr__(self, "canvas", check_canvas("canvas", self.canvas))
        for name, allowed in (("layout", LAYOUTS), ("units", UNITS)):
            if getattr(self, name) not in allowed:
                raise UserError(registry.unknown(f"value of {name}", str(getattr(self, name)), allowed))

    def advice(self, *words: str) -> str:
        """Return what a message advises beside what is allowed anyway: words around `option=value`, or nothing."""
        if self.prefix is None:
            return ""
        return "".join(re.sub(r"\b(canvas|layout|units)=", rf"{self.prefix}\1=", word) for word in words)

    def canvas_of(self, clip: ClipFacts) -> Canvas | None:
        """Return the canvas that was asked for, in pixels."""
        if self.canvas != CLIP:
            return self.canvas  # type: ignore[return-value]
        if clip.size is None:
            raise UserError("canvas=clip: there is no clip here; allowed: canvas=[width,height]")
        return clip.size


@dataclass(frozen=True)
class Raw:
    """What a reader found in a file.

    Attributes:
        values: float64 (A,B,2); NaN where a place is unknown.
        order: what A and B are: `nt`, `tn`, or `either` where the format does not say.
        visible: bool (A,B), or None: everywhere.
        canvas: as the file states it, or None.
        default_canvas: the one that the format's own project uses, or None.
        units: `pixels`; `stated` where the file itself says that they are; or another value of `UNITS`.
        fps, names: as in `Trajectories`.
        notes: what the reader left out or took for granted.
        line: the line in the file of a point given by its indices in A and B, or None.
        certain: False where other tools write the same shape with the axes exchanged.
    """

    values: FloatArray
    order: Order = "nt"
    visible: BoolArray | None = None
    canvas: Canvas | None = None
    default_canvas: Canvas | None = None
    units: str = "pixels"
    fps: float | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    line: Callable[[int, int], int | None] = lambda a, b: None
    certain: bool = False
