"""The control video that Wan-Fun-Control follows: a white spot per path on black.

A spot is a Gaussian (sigma 40 px in a square of 200 px) cut to a disc and scaled to the size of the video; at the
border the whole spot is squeezed into what is left of its square. Where spots meet, the brighter one is seen. Nothing
tells hidden points from visible ones, nor one path from another.

Facts: aigc-apps/VideoX-Fun 804a425, `comfyui/comfyui_nodes.py`, node `CreateTrajectoryBasedOnKJNodes` (Apache-2.0). It
takes whole pixels, as the editor of kijai/ComfyUI-KJNodes rounds them (3f20054, `nodes/curve_nodes.py`).

Shape legend: N paths, T frames, H height, W width.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from toraeval.types import ByteArray, Trajectories

MAP_SIDE, SIGMA = 200, 40
RADIUS, AT_SIZE = 50, 1280 * 720  # half the side of a spot, at this number of pixels
LEAST = 4  # pixels of a side; a smaller rest of a spot is not drawn


def control_video(paths: Trajectories) -> ByteArray:
    """Return the control video, uint8 (T, H, W, 3)."""
    width, height = paths.canvas
    radius = int(RADIUS * ((height * width) / AT_SIZE) ** 0.5)
    video = np.zeros((paths.num_frames, height, width), np.uint8)
    for path in np.rint(paths.tracks_NT2).astype(np.int64):
        for frame, (x, y) in zip(video, path.tolist(), strict=True):
            left, top = max(x - radius, 0), max(y - radius, 0)
            right, bottom = min(x + radius, width - 1), min(y + radius, height - 1)
            if right - left < LEAST or bottom - top < LEAST:
                continue
            spot = cv2.resize(spot_map(), (right - left, bottom - top))
            part = frame[top:bottom, left:right]
            np.maximum(part, spot, out=part)
    return np.repeat(video[..., None], 3, axis=-1)


@lru_cache(maxsize=1)
def spot_map() -> ByteArray:
    """Return the uint8 (200, 200) spot; 255 at its middle."""
    offset = np.arange(MAP_SIDE) - MAP_SIDE / 2
    square = -1 / 2 * (offset[:, None] ** 2 / SIGMA**2 + offset[None, :] ** 2 / SIGMA**2)
    peak = 1 / (2 * np.pi * SIGMA**2)
    bell = (peak * np.exp(square)).astype(np.float32)
    disc = np.zeros((MAP_SIDE, MAP_SIDE), np.float32)
    cv2.circle(disc, (MAP_SIDE // 2, MAP_SIDE // 2), MAP_SIDE // 2 - 1, 1, -1)
    bell *= disc
    return (bell / bell.max() * 255).astype(np.uint8)
