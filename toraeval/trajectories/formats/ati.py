"""ATI's `.pth`: a torch archive with one `bytes` object, which is an `.npz` of 8 x (x, y, visible).

Read without torch: the archive is a zip file, and its pickle is opened by `safe_pickle`.
"""

from __future__ import annotations

import numpy as np

from toraeval.trajectories import safe_pickle
from toraeval.trajectories.array_files import ArrayFile
from toraeval.trajectories.checks import fail
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw

SCALE, FPS, SAMPLES = 8.0, 24.0, 121


def read(source: PathFile) -> Raw:
    """Read the tracks, pixels of the picture; samples (0,0,0), which pad short tracks, count as hidden.

    Raises:
        UserError: the archive holds something else, or shape or dtype are wrong.
    """
    path, allowed = source.path, "a torch archive with one bytes object (ATI)"
    with ArrayFile(path) as file:
        if file.kind != "torch":
            fail(path, "not a torch archive", file.kind, allowed)
        data = safe_pickle.load(path, file.member("data.pkl"))
    if not isinstance(data, bytes):
        fail(path, "not a track file", type(data).__name__, allowed)
    with ArrayFile(path, data) as inner:
        if inner.names not in (["array"], ["arr_0"]):
            fail(path, "wrong keys", inner.names, "array")
        raw = inner.read(inner.names[0])
    if raw.dtype.kind not in "iuf" or raw.ndim not in (3, 4) or raw.shape[-1] != 3 or min(raw.shape) < 1:
        fail(path, "wrong shape", f"{raw.dtype} {raw.shape}", "(N,T,1,3)")
    if raw.ndim == 4 and raw.shape[2] != 1:
        fail(path, "wrong shape", f"{raw.dtype} {raw.shape}", "(N,T,1,3)")
    with np.errstate(all="ignore"):  # NaN and infinity are refused later, with their place
        tracks = raw.reshape(raw.shape[0], raw.shape[1], 3).astype(np.float64) / SCALE
    visible = tracks[..., 2] > 0.5
    points = np.where((tracks == 0).all(axis=-1)[..., None], np.nan, tracks[..., :2])
    fps = FPS if tracks.shape[1] == SAMPLES else None
    return Raw(points, visible=visible, fps=fps, certain=True)


FORMATS = (Format("ati", ("torch",), lambda source: True, read, ".pth, a torch archive (ATI)"),)
