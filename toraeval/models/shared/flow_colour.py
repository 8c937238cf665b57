"""Colour code of optical flow (Baker et al., ICCV 2007), with the very bytes of torchvision's `flow_to_image`.

Reimplemented from the description of the code and checked against recorded pictures of torchvision 0.29.

Shape legend: T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from toraeval.types import ByteArray

Float32Array = npt.NDArray[np.float32]


@lru_cache(maxsize=1)
def colour_wheel() -> ByteArray:
    """Return the uint8 (55, 3) Middlebury colour wheel (Baker et al., ICCV 2007)."""
    # (steps, rising or falling channel, channel that stays at 255, rising?)
    arcs = (
        (15, 1, 0, True),
        (6, 0, 1, False),
        (4, 2, 1, True),
        (11, 1, 2, False),
        (13, 0, 2, True),
        (6, 2, 0, False),
    )
    rows = []
    for steps, moving, full, rising in arcs:
        arc = np.zeros((steps, 3))
        ramp = np.floor(255 * np.arange(steps) / steps)
        arc[:, full] = 255
        arc[:, moving] = ramp if rising else 255 - ramp
        rows.append(arc)
    return np.concatenate(rows).astype(np.uint8)


def polar(flow: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return lengths float32 (...) of vectors (..., 2), and their directions from -1 to 1, in half turns."""
    u, v = flow[..., 0], flow[..., 1]
    turn = (np.arctan2(-v, -u) / np.float32(np.pi)).astype(np.float32, copy=False)
    return np.sqrt(u * u + v * v), turn


def torch_polar(flow: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return `polar` as torchvision computes it: torch's float32 functions round some values otherwise than NumPy's."""
    import torch

    u, v = (torch.from_numpy(np.ascontiguousarray(flow[..., axis])) for axis in (0, 1))
    return (u * u + v * v).sqrt().numpy(), (torch.atan2(-v, -u) / torch.pi).numpy()


def torch_magnitude(flow: Float32Array) -> Float32Array:
    """Return the lengths alone, as `torch_polar` computes them."""
    import torch

    return torch.from_numpy(flow[..., 0] ** 2 + flow[..., 1] ** 2).sqrt().numpy()


def flow_colours(
    flow: Float32Array,
    max_radius: float,
    to_polar: Callable[[Float32Array], tuple[Float32Array, Float32Array]] = polar,
) -> ByteArray:
    """Colour-code flow vectors: hue is the direction, paleness the missing magnitude, white is rest.

    Args:
        flow: float32 (..., 2) in pixels.
        max_radius: magnitude in pixels that gets the full colour (the maximum of the clip).
        to_polar: how lengths and directions are computed; `torch_polar` gives torchvision's very bytes.

    Returns:
        uint8 (..., 3) RGB. Same numbers as torchvision 0.29 `flow_to_image`.
    """
    scaled = flow / np.float32(np.float32(max_radius) + np.finfo(np.float32).eps)
    radius, turn = to_polar(scaled)
    radius = radius[..., None]
    place = (turn + 1) / np.float32(2) * np.float32(54)
    low = np.floor(place).astype(np.int64)
    part = (place - low.astype(np.float32))[..., None]
    wheel = colour_wheel().astype(np.float32) / np.float32(255)
    colour = (1 - part) * wheel[low] + part * wheel[np.where(low + 1 == 55, 0, low + 1)]
    levels = np.floor(255 * (1 - radius * (1 - colour)))
    # the peak may be one rounding below 0 and wraps to 255, as in torchvision; int16 makes that so on every machine
    return levels.astype(np.int16).astype(np.uint8)


def flow_video(flow_THW2: Float32Array, frames_per_maximum: int | None = None) -> ByteArray:
    """Colour-code a clip, bit for bit as torchvision does.

    Args:
        flow_THW2: float32, pixels.
        frames_per_maximum: how many consecutive frames share one normaliser; None is the whole clip (inference of
            Tora), 2 its training (alibaba/Tora 9a23dce, `sat/train_video.py::flow_to_image_in_batches`).

    Returns:
        uint8 (T, H, W, 3).
    """
    video = np.empty((*flow_THW2.shape[:3], 3), np.uint8)
    group = frames_per_maximum or max(len(flow_THW2), 1)
    for start in range(0, len(flow_THW2), group):
        part = slice(start, start + group)
        largest = max(float(torch_magnitude(frame).max()) for frame in flow_THW2[part])
        for t in range(*part.indices(len(flow_THW2))):
            video[t] = flow_colours(flow_THW2[t], largest, torch_polar)
    return video
