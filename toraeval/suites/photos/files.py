"""The photographs of the suite `photos`: files, words, splits, cut-outs and points that can be recognised.

Sources, authors and licences of every picture: `photographs/LICENSES.md`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from toraeval.types import BoolArray, ByteArray, FloatArray

FOLDER = Path(__file__).parent / "photographs"

# No photograph is in two splits. Grounds are seen through a moving window, cut-outs move over them.
GROUNDS: dict[str, dict[str, str]] = {
    "test": {
        "mountains": "a mountain valley with snow and a path",
        "stream": "a stream between rocks in a forest",
        "brushes": "paint brushes full of bright paint",
        "gravel": "grey gravel",
        "pagoda": "a Chinese pagoda above a lake",
    },
    "validation": {
        "meadow": "a green meadow below autumn trees and mountains",
        "brick": "a grey brick pavement",
        "dandelion": "dandelions in a field at sunset",
    },
    "train": {
        "sunset": "a mountain top at sunset",
        "grass": "dry grey grass",
        "dogs": "two dogs at a wooden house",
        "drum": "a room with a table, a bottle and a drum",
    },
}


@dataclass(frozen=True)
class CutOut:
    """An object that is cut from its photograph.

    Attributes:
        words: what it is, for captions.
        anchor: pixel of the photograph whose place in the video is the track, rich in structure and near the middle.
    """

    words: str
    anchor: tuple[int, int]


CUT_OUTS: dict[str, dict[str, CutOut]] = {
    "test": {
        "cat": CutOut("a cat's face", (200, 140)),
        "coffee": CutOut("a cup of coffee on a red saucer", (235, 251)),
        "dahlia": CutOut("an orange dahlia", (341, 200)),
        "pagoda": CutOut("a Chinese pagoda", (180, 267)),
    },
    "validation": {
        "dandelion": CutOut("a dandelion", (253, 193)),
        "fig": CutOut("a red bowl with half a fig", (670, 315)),
    },
    "train": {
        "dogs": CutOut("a brown dog", (363, 596)),
        "drum": CutOut("a drum", (255, 590)),
    },
}
ANCHORS = {name: cut_out.anchor for group in CUT_OUTS.values() for name, cut_out in group.items()}


@cache
def photograph(name: str) -> ByteArray:
    """Return a photograph as uint8 RGB (H, W, 3)."""
    with Image.open(FOLDER / f"{name}.jpg") as picture:
        return np.asarray(picture.convert("RGB"))


@cache
def outline(name: str) -> BoolArray:
    """Return the pixels of a photograph's cut-out as bool (H, W)."""
    with Image.open(FOLDER / f"{name}.mask.png") as picture:
        return np.asarray(picture.convert("1"), dtype=bool)


@cache
def half_size(name: str) -> float:
    """Return half the longer side of the box around a cut-out, in pixels of its photograph."""
    rows, columns = np.nonzero(outline(name))
    return 0.5 * float(max(np.ptp(rows), np.ptp(columns)) + 1)


@cache
def corners(name: str) -> FloatArray:
    """Return float64 (K, 2) pixels of a photograph around which it has structure in both directions."""
    return np.array(json.loads((FOLDER / "points.json").read_text())[name], dtype=np.float64)


@cache
def files_hash(split: str) -> str:
    """Return the SHA-256 over every file that a split uses."""
    names = sorted({f"{name}.jpg" for name in (*GROUNDS[split], *CUT_OUTS[split])})
    names += sorted(f"{name}.mask.png" for name in CUT_OUTS[split])
    digest = hashlib.sha256()
    for name in [*names, "points.json"]:
        digest.update(name.encode() + (FOLDER / name).read_bytes())
    return digest.hexdigest()
