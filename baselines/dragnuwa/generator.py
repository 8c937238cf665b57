"""The `dragnuwa` generator."""

from __future__ import annotations

from dataclasses import dataclass

from ..process.runner import UpstreamOptions
from ..unet.generator import RivalOptions
from ..unet.rival import Rival


@dataclass
class DragNUWAOptions(RivalOptions, UpstreamOptions):
    """Options of `model=dragnuwa`; its own ones are for size=upstream.

    Attributes:
        fit: how the first frame is brought to 576x320: `cover` (scaled and cropped, as the demo does), `pad` or
            `stretch`.
        frame_policy: how a length other than 14 is reached: `windows` (one after another, cut to the length) or
            `stretch` (one window over the whole path, frames repeated).
        motion_bucket: amount of motion that Stable Video Diffusion is given, 1 to 255; the demo's is 4.
    """

    fit: str = "cover"
    frame_policy: str = "windows"
    motion_bucket: int = 4


class DragNUWA(Rival):
    """DragNUWA (arXiv 2308.08089): an embedded U-Net with its multi-scale fusion, or a fork of the authors' code.

    Args:
        options: fields of `DragNUWAOptions`.
    """

    name = "dragnuwa"
    options_class = DragNUWAOptions
    upstream = "dragnuwa.upstream:UpstreamDragNUWA"
    default_steps = 4  # chosen by `train task=steps`, see docs/models/dragnuwa_steps.csv
