"""A user's picture as first frame: decoded, brought to the requested size, and its paths moved with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from toraeval import geometry
from toraeval.types import ByteArray, Trajectories
from toraeval.video import read_picture

METHOD = "pillow bicubic cover, centre crop"
# Canvas and picture count as one when their shapes agree to rounding of a resize.
_SAME_ASPECT = 0.01


def open_picture(path: Path) -> Image.Image:
    """Decode a picture to RGB, upright as its EXIF says, transparency over white.

    Raises:
        UserError: see `read_picture`.
    """
    return Image.fromarray(read_picture(path))


def fit(
    picture: Image.Image, width: int, height: int, squeeze: bool = False
) -> tuple[ByteArray, geometry.CoverCrop]:
    """Resize a picture until it covers the frame and crop the centre; return uint8 (H, W, 3) and the plan.

    With `squeeze` both sides are resized to the frame's instead, whatever the picture's shape.
    """
    plan = fit_plan(picture.size, (width, height), squeeze)
    if plan.scaled != picture.size:
        picture = picture.resize(plan.scaled, Image.Resampling.BICUBIC)
    return np.asarray(picture.crop(plan.box), dtype=np.uint8).copy(), plan


def fit_plan(source: tuple[int, int], target: tuple[int, int], squeeze: bool = False) -> geometry.CoverCrop:
    """Return how pictures of a size are brought to the frame; sizes are `(width, height)`."""
    if squeeze:
        return geometry.CoverCrop(source, target, (0, 0), target)
    return geometry.cover_crop(source, target)


def place_paths(trajectories: Trajectories, plan: geometry.CoverCrop) -> tuple[Trajectories, str]:
    """Move paths to the frame that `plan` makes of the picture.

    Paths whose canvas has the picture's shape lie on the picture and take its resize and crop. Paths on a canvas
    of another shape lie on the frame, as in Tora's and DragNUWA's own scripts, and are stretched to it.

    Returns:
        The paths on the frame's canvas, hidden where the crop removed them, and `picture` or `frame`.
    """
    canvas, size = trajectories.canvas, plan.source
    if abs(canvas[0] * size[1] / (canvas[1] * size[0]) - 1) > _SAME_ASPECT:
        return geometry.to_canvas(trajectories, *plan.target), "frame"
    tracks = plan.apply(geometry.scale_points(trajectories.tracks_NT2, canvas, size))
    visible = trajectories.visible_NT & geometry.inside_canvas(tracks, plan.target)
    moved = Trajectories(
        tracks, visible, plan.target, trajectories.fps, trajectories.source, trajectories.names
    )
    return moved, "picture"
