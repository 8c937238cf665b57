"""Clips from an embedded model: the latents of one pass, and long clips window after window or all frames at once.

All embedded models share the sampler (noise -> rectified flow under first frame, caption and paths) and the latents of
the linear patch autoencoder, so that they differ in their networks and in how paths enter these.

Legend of the shape suffixes: N paths, T frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toraeval.allowed import check_option
from toraeval.geometry import extend_points, native_frames, windows
from toraeval.models.shared.sampling_options import SamplingOptions
from toraeval.types import ByteArray, FloatArray

if TYPE_CHECKING:
    from torch import Tensor

BLOCK, STRIDE_T = 32, 4  # pixels of a side and frames that one latent of the embedded models stands for
WINDOW = 17  # the first frame, given, and 16 new ones
MODES = ("autoregressive", "direct")
OVERLAPS = (1, 5, 9)  # shared frames that are whole latent frames: 1 + 4k

Make = Callable[["Window", ByteArray, FloatArray], ByteArray]


@dataclass(frozen=True)
class ClipRequest:
    """One pass of an embedded model.

    Attributes:
        key, seed: decide the noise.
        prompt: caption.
        given_THWC: uint8 frames that the clip begins with, 1 + 4k.
        tracks_NT2: targets at 1 + 4k moments, pixels of the given frames.
        fps: frames per second.
    """

    key: str
    seed: int
    prompt: str
    given_THWC: ByteArray
    tracks_NT2: FloatArray
    fps: float

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.given_THWC.shape[1:3]
        return height, width


# From network, autoencoder, request, latent of the first frame (1, C, 1, h, w) and the number of rows of a batch, 1 or
# 2 with the caption left out of the second, to what `predict_clean` is given of caption and paths.
Conditions = Callable[[Any, Any, ClipRequest, "Tensor", int], dict[str, Any]]


def sample_latents(
    network: Any,
    vae: Any,
    request: ClipRequest,
    options: SamplingOptions,
    conditions: Conditions,
) -> Tensor:
    """Sample the latents of one clip, float32 (C, t, h, w); those of the given frames are kept clean.

    Args:
        network, vae: loaded weights; the network has `latent_channels` and `predict_clean`.
        request: what to make.
        options: sampling options.
        conditions: how caption and paths enter the network.
    """
    import torch

    from toraeval.models.shared.noise import initial_noise
    from toraeval.models.shared.rectified_flow import ClipSize, FlowConfig, RectifiedFlow

    (height, width), frames = request.size, request.tracks_NT2.shape[1]
    shape = (1, network.latent_channels, *vae.latent_size(frames, height, width))
    z = initial_noise(request.key, request.seed, shape)
    known = vae.encode(request.given_THWC)[None]
    z[:, :, : known.shape[2]] = known
    mask = torch.ones(1, shape[2])
    mask[:, : known.shape[2]] = 0.0
    copies = 1 if options.guidance == 1.0 else 2
    first = known[:, :, :1]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
        told = conditions(network, vae, request, first, copies)
        cond, rate = first.repeat(copies, 1, 1, 1, 1), torch.tensor([request.fps])

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            return network.predict_clean(x, timestep, x_mask, cond, fps=rate, **told)  # type: ignore[no-any-return]

        return RectifiedFlow(FlowConfig(prediction="clean")).sample(
            denoise,
            z,
            options.steps,
            options.guidance,
            ClipSize(float(height), float(width), float(frames)),
            mask,
            # frames to be generated are noisy from the start, so no fresh noise is ever needed
            draw_noise=lambda step: torch.zeros_like(z),
        )[0]


@dataclass(frozen=True)
class Window:
    """One pass of the model.

    Attributes:
        index: number of the window.
        start: frame of the clip at which it begins.
        frames: that it makes, 1 + 4k, those beyond the clip's end included.
        known: how many of them are given: the first frame of the clip, or the last frames of the window before.
    """

    index: int
    start: int
    frames: int
    known: int


def plan_windows(frames: int, mode: str = "autoregressive", overlap: int = 1) -> list[Window]:
    """Cut a clip into windows of 17 frames, or make one long one; up to 17 frames both are one window of 17.

    The last window keeps the length that the model was trained on and is cut afterwards.

    Args:
        frames: of the clip.
        mode: `autoregressive` or `direct`.
        overlap: frames that a window is given of the one before.

    Raises:
        UserError: an unknown mode or an overlap that is not 1, 5 or 9.
    """
    check_option("model", "long_video", mode, MODES)
    check_option("model", "overlap", overlap, OVERLAPS)
    if mode == "direct":
        return [Window(0, 0, max(WINDOW, native_frames(frames)), 1)]
    return [
        Window(i, start, WINDOW, overlap if i else 1)
        for i, (start, _) in enumerate(windows(frames, WINDOW, overlap))
    ]


def seams(plan: list[Window]) -> list[int]:
    """Return the frames at which new windows show for the first time."""
    return [window.start + window.known for window in plan[1:]]


def make_windows(
    plan: list[Window], first_frame_HWC: ByteArray, tracks_NT2: FloatArray, make: Make
) -> ByteArray:
    """Make windows one after another, each from the last frames of the one before.

    Args:
        plan: from `plan_windows`.
        first_frame_HWC: uint8 first frame of the clip.
        tracks_NT2: paths over the whole clip; beyond its end they rest.
        make: gets a window, its given frames uint8 (known, H, W, 3) and its part of the paths (N, frames, 2), and
            returns uint8 (frames, H, W, 3).

    Returns:
        uint8 (T, H, W, 3) with all frames that were made; frame 0 is the given one, and shared frames are those of
        the earlier window.
    """
    last = plan[-1]
    tracks = extend_points(tracks_NT2, last.start + last.frames)
    out = np.empty((last.start + last.frames, *first_frame_HWC.shape), np.uint8)
    out[0] = first_frame_HWC
    for window in plan:
        stop, fresh = window.start + window.frames, window.start + window.known
        made = make(window, out[window.start : fresh], tracks[:, window.start : stop])
        if len(plan) == window.known == 1 and made.flags.writeable:  # no second copy of a long clip
            made[0] = first_frame_HWC
            return made
        out[fresh:stop] = made[window.known :]
    return out
