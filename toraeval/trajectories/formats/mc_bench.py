"""MC-Bench's `meta_data.json` (MotionPro): the key points of every drag, beside the first frame.

Source: HiDream-ai/MotionPro@347097c, `eval_mc_bench.py`: the points are brought to 16 frames by a monotone cubic.
"""

from __future__ import annotations

import numpy as np

from toraeval import geometry
from toraeval.trajectories.checks import outline
from toraeval.trajectories.formats.json_tracks import joined, pairs
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.reading import Raw
from toraeval.video import picture_size

KEY, FRAMES = "traj_key_points", 16
PICTURE = "first_frame.png"
SHAPE = f'{{"{KEY}": [[[x, y], ...], ...]}}'


def fits(source: PathFile) -> bool:
    """Tell whether the file is a JSON object with the drags' key."""
    return isinstance(source.json.data, dict) and KEY in source.json.data


def read(source: PathFile) -> Raw:
    """Read the drags as 16 moments each; the canvas is the size of `first_frame.png` beside the file.

    Raises:
        UserError: wrong JSON types, or a picture that cannot be read.
    """
    file = source.json
    if not isinstance(file.data, dict):
        file.fail([], "no drags", outline(file.data), SHAPE)
    drags = file.data.get(KEY)
    if not isinstance(drags, list) or not drags:
        file.fail([KEY], "no drags", outline(drags), SHAPE)
    points = [pairs(file, [KEY, index], drag, least=1) for index, drag in enumerate(drags)]
    points = [np.repeat(drag, 2, axis=0) if len(drag) == 1 else drag for drag in points]
    tracks = [geometry.resample_points(drag, FRAMES, "pchip")[0] for drag in points]
    whole = all((drag == np.rint(drag)).all() for drag in points)
    notes = (f"key points brought to {FRAMES} moments by the monotone cubic of MC-Bench",)
    picture = source.path.parent / PICTURE
    return joined(
        file,
        tracks,
        lambda index, point: [KEY, index],
        canvas=picture_size(picture) if picture.is_file() else None,
        units="stated" if whole else "pixels",  # whole numbers are pixels, in the corner of the picture, too
        notes=notes,
        certain=True,
    )


FORMATS = (Format("mc_bench", ("json",), fits, read, f'JSON {{"{KEY}": ...}} (MC-Bench)'),)
