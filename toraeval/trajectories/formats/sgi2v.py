"""SG-I2V's `traj.npy` (N, 2+F, 2): two corners of a box per object, then the F places of its centre.

The corners are not motion: they are left out, and a file that looks like it under another name is refused.
"""

from __future__ import annotations

import numpy as np

from toraeval.trajectories.checks import fail
from toraeval.trajectories.formats.arrays import without_batch
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw
from toraeval.types import FloatArray

NAME, PICTURES = "traj.npy", ("img.png", "img.jpg", "img.jpeg")
CORNERS = 2


def fits(source: PathFile) -> bool:
    """Tell whether the file has SG-I2V's name and content.

    Raises:
        UserError: it has one of the two only, so that it can be read in two ways.
    """
    shape = source.shape()
    if len(shape) != 3 or shape[2] != 2 or shape[1] < CORNERS + 2 or not shape[0]:
        return False
    name = source.path.name.lower()
    boxed, centred = _boxed(source)
    if name == NAME and centred:
        return True
    beside = any((source.path.parent / picture).is_file() for picture in PICTURES)
    if boxed or (name == NAME and beside):
        why = (
            "points 1 and 2 are the corners of a box around point 3"
            if boxed
            else "its name, and a picture beside it"
        )
        allowed = "format=sgi2v if so (corners are left out), format=numpy if these are places of the object"
        fail(source.path, "this may be a file of SG-I2V with box corners", why, allowed)
    return False


def read(source: PathFile) -> Raw:
    """Read the centres of the boxes; pixels of the picture beside the file.

    Raises:
        UserError: shape or dtype are wrong.
    """
    tracks = without_batch(source.path, source.array(), 4)
    if tracks.ndim != 3 or tracks.shape[1] < CORNERS + 2:
        fail(source.path, "wrong shape", str(tracks.shape), "(N, 2 + F, 2) with F >= 2")
    return Raw(
        tracks[:, CORNERS:],
        notes=("the two box corners of every object (SG-I2V) are left out",),
        certain=True,
    )


def _boxed(source: PathFile) -> tuple[bool, bool]:
    """Tell whether the first two points of every object are corners of a box around the third, and around its centre.

    The corners of a path would be jumps: away and back, each longer than twice any later step.
    """
    raw = np.asarray(source.array())
    if raw.dtype.kind not in "iuf":
        return False, False
    with np.errstate(all="ignore"):
        tracks: FloatArray = raw.astype(np.float64)
        first, second, third = (tracks[:, index] for index in range(3))
        inside = (second - first > 1) & (third >= first) & (third <= second)
        centred = inside & (np.abs((first + second) / 2 - third) <= 1 + 0.02 * np.abs(second - first))
        steps = np.linalg.norm(np.diff(tracks, axis=1), axis=-1)
        jumps = steps[:, :CORNERS].min(axis=1) > 2 * steps[:, CORNERS:].max(axis=1)
    return bool(inside.all() and (jumps.all() or centred.all())), bool(centred.all())


FORMATS = (Format("sgi2v", ("npy",), fits, read, "traj.npy with box corners in front (SG-I2V)"),)
