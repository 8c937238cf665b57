"""The guide video that LTX's motion-track LoRA follows: a coloured trail of discs per path.

Each frame shows the points of the last 51 moments, the oldest first, drawn where the picture's short side is 1080 px,
then scaled down. Nothing in it tells hidden points from visible ones. Red and blue are exchanged, as in the training.

Facts: Lightricks/ComfyUI-LTXVideo aceeae9, `sparse_tracks.py`, node `LTXVDrawTracks` (LTX-2 Community
License; reimplemented from what it does).

Shape legend: N paths, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from toraeval.models.shared.flow_colour import Float32Array
from toraeval.types import ByteArray, Trajectories

SHORT_SIDE = 1080
TRAIL = 50  # moments before the present one that are still shown
SMALLEST, LARGEST = 2, 8  # radius in pixels of the drawing, of the oldest and the newest disc
RAMP = np.array([[0, 0, 1], [0, 1, 0], [1, 1, 0], [1, 0, 0]])  # oldest to newest, RGB


def guide_video(paths: Trajectories) -> ByteArray:
    """Return the guide video as it is fed: uint8 (T, H, W, 3), channels in the order that the LoRA was trained on."""
    frames = [np.rint(frame * np.float32(255)).astype(np.uint8) for frame in guide_frames(paths)]
    return np.stack(frames)


def guide_frames(paths: Trajectories) -> Iterator[npt.NDArray[np.float16]]:
    """Yield the node's float16 (H, W, 3) frames from 0 to 1."""
    width, height = paths.canvas
    size = drawing_size(width, height)
    scale = np.array([size[0] / width, size[1] / height])
    centres_NT2 = np.rint((paths.tracks_NT2 * scale).astype(np.float32)).astype(np.int64)
    for moment in range(paths.num_frames):
        drawing = np.zeros((size[1], size[0], 3), np.float32)
        for past in range(max(0, moment - TRAIL), moment + 1):
            radius, colour = look(moment - past)
            for centre in centres_NT2[:, past]:
                draw_disc(drawing, centre, radius, colour)
        small = F.interpolate(
            torch.from_numpy(drawing).permute(2, 0, 1)[None],
            size=(height, width),
            mode="bilinear",
            align_corners=False,
        )
        yield small[0].permute(1, 2, 0)[..., [2, 1, 0]].half().numpy()


def drawing_size(width: int, height: int) -> tuple[int, int]:
    """Return `(width, height)` of the drawing: the short side has 1080 px, the long one is truncated."""
    if height <= width:
        return int(width * SHORT_SIDE / height), SHORT_SIDE
    return SHORT_SIDE, int(height * SHORT_SIDE / width)


def look(age: int) -> tuple[np.float32, Float32Array]:
    """Return radius in pixels and float32 RGB colour of a disc that is `age` moments old."""
    ratio = np.float32(1) - np.float32(age) / np.float32(TRAIL)
    radius = np.float32(SMALLEST) + np.float32(LARGEST - SMALLEST) * ratio
    third = 0 if ratio <= np.float32(1 / 3) else 1 if ratio <= np.float32(2 / 3) else 2
    step = (ratio - np.float32(third / 3)) * np.float32(3)
    low, high = RAMP[third], RAMP[third + 1]
    rising, falling = (high > low) * step, (high < low) * (np.float32(1) - step)
    return radius, (rising + falling + (high & low)).astype(np.float32)


def draw_disc(
    drawing: Float32Array, centre: npt.NDArray[np.int64], radius: np.float32, colour: Float32Array
) -> None:
    """Fill the pixels whose distance from the centre is at most the radius; the drawing is changed."""
    reach = LARGEST + 1
    height, width = drawing.shape[:2]
    x, y = int(centre[0]), int(centre[1])
    left, top = max(x - reach, 0), max(y - reach, 0)
    right, bottom = min(x + reach + 1, width), min(y + reach + 1, height)
    if left >= right or top >= bottom:
        return
    rows, columns = np.ogrid[top - y : bottom - y, left - x : right - x]
    inside = (rows**2 + columns**2).astype(np.float32) <= radius * radius
    drawing[top:bottom, left:right][inside] = colour
