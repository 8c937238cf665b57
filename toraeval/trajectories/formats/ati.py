"""ATI's `.pth`: a torch archive with one `bytes` object, which is an `.npz` of 8 x (x, y, visible).

Read without torch: the archive is a zip file, and its pickle is opened by `safe_pickle`.

A file holds 121 moments, of which ATI's loader picks 81: the first, then two of every three (bytedance/ATI 168b443,
`wan/utils/motion.py`, Apache-2.0).

Shape legend: N paths, S samples of the file, T frames that the loader picks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toraeval import geometry
from toraeval.trajectories import safe_pickle
from toraeval.trajectories.array_files import ArrayFile
from toraeval.trajectories.checks import fail
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw
from toraeval.types import Trajectories

SCALE, FPS, SAMPLES, FRAMES = 8.0, 24.0, 121, 81
PICKED = np.concatenate([[0], 1 + np.arange(1, 2 * (SAMPLES - 1), 3) // 2])
"""Which of the 121 moments the loader picks, int64 (81,)."""


def placed(paths: Trajectories) -> Trajectories:
    """Return 121 moments of which the loader picks the path at 81 frames; 121 moments stay as they are.

    The moments that it passes over lie between their neighbours, and are as visible as the one before.
    """
    if paths.num_frames == SAMPLES:
        return paths
    paths = geometry.resample(paths, FRAMES) if paths.num_frames != FRAMES else paths
    tracks_NS2 = np.empty((paths.num_objects, SAMPLES, 2))
    visible_NS = np.empty((paths.num_objects, SAMPLES), dtype=bool)
    tracks_NS2[:, PICKED], visible_NS[:, PICKED] = paths.tracks_NT2, paths.visible_NT
    between = np.setdiff1d(np.arange(SAMPLES), PICKED)
    tracks_NS2[:, between] = (tracks_NS2[:, between - 1] + tracks_NS2[:, between + 1]) / 2
    visible_NS[:, between] = visible_NS[:, between - 1]
    return replace(paths, tracks_NT2=tracks_NS2, visible_NT=visible_NS)


def triples(paths: Trajectories) -> np.ndarray:
    """Return what a file holds of 121 moments: float32 (N, 121, 1, 3), 8 x (x, y, visible)."""
    values = np.concatenate([paths.tracks_NT2, paths.visible_NT[..., None]], axis=-1)
    return (values[:, :, None] * SCALE).astype(np.float32)


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
