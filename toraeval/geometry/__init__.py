"""Every coordinate conversion, path resampling and frame alignment of the benchmark.

Nothing else rescales points. The convention stands in `toraeval.geometry.paths`; the rules of upstream projects are in
`toraeval.geometry.upstream`.
"""

from __future__ import annotations

from toraeval.geometry.paths import (
    RESAMPLING_RULES,
    CoverCrop,
    IntArray,
    cover_crop,
    cut,
    extend,
    extend_points,
    inside_canvas,
    native_frames,
    resample,
    resample_points,
    scale_points,
    to_canvas,
    windows,
)
from toraeval.geometry.upstream import (
    DRAGNUWA_CANVAS,
    DRAGNUWA_FRAMES,
    TORA_CANVAS,
    cotracker_scale,
    dragnuwa_path,
    motionctrl_path,
    tapnet_scale,
    tora_path,
    tora_pixels,
    tora_process_points,
    tora_read_points,
)

__all__ = [
    "DRAGNUWA_CANVAS",
    "DRAGNUWA_FRAMES",
    "RESAMPLING_RULES",
    "TORA_CANVAS",
    "CoverCrop",
    "IntArray",
    "cotracker_scale",
    "cover_crop",
    "cut",
    "dragnuwa_path",
    "extend",
    "extend_points",
    "inside_canvas",
    "motionctrl_path",
    "native_frames",
    "resample",
    "resample_points",
    "scale_points",
    "tapnet_scale",
    "to_canvas",
    "tora_path",
    "tora_pixels",
    "tora_process_points",
    "tora_read_points",
    "windows",
]
