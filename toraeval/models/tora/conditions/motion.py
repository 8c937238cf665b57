"""From trajectories or flow to the input of the trajectory extractor on Open-Sora's autoencoder.

Tora (arXiv 2407.21705, section 3.2) colours the flow, encodes the picture with the video autoencoder and compares
that with two compressions without an autoencoder; see `compression`. Inference and training of the release differ
(alibaba/Tora 9a23dce, `diffusers-version/tora/traj_utils.py` and `sat/train_video.py`): `STAGES` holds how.

The clip is drawn and encoded chunk by chunk, so that memory does not grow with its length.

Shape legend: N objects, T frames, H, W pixels, C channels, t latent frames, h, w latent cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toraeval.allowed import check_option
from toraeval.models.shared.flow_colour import (
    Float32Array,
    flow_colours,
    torch_magnitude,
    torch_polar,
)
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.trajectory import (
    IntArray,
    blur_flow,
    check_sources,
    flow_patches,
    sparse_flow,
)
from toraeval.models.tora.autoencoder.video import OpenSoraVAE
from toraeval.models.tora.conditions.compression import FLOW_SCALE, FlowPatch, compress_flow
from toraeval.models.tora.conditions.flow_sampling import check_flow
from toraeval.types import ByteArray, UserError

Patches = Callable[[], Iterator[FlowPatch]]


@dataclass(frozen=True)
class Stage:
    """How a stage draws motion.

    Attributes:
        border: what the blur of trajectories sees beyond the picture, see `trajectory.BORDERS`.
        frames_per_maximum: consecutive frames that share the normaliser of the colour code; None is the whole clip.
    """

    border: str
    frames_per_maximum: int | None


STAGES = {"inference": Stage("mirror", None), "training": Stage("zero", 2)}


def motion_input(
    config: STDiTConfig,
    vae: OpenSoraVAE,
    *,
    points_NT2: IntArray | None = None,
    size: tuple[int, int] | None = None,
    flow_THW2: Float32Array | None = None,
    stage: str = "inference",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the motion of one clip and bring it to latent size.

    Args:
        config: its `compression`, `latent_stride` and `motion_unshuffle` are used.
        vae: autoencoder of the clip; it sets the intervals and, with `vae` compression, encodes the colour picture.
        points_NT2: whole pixels `(x, y)` inside the picture; give these and `size`, or `flow_THW2`.
        size: (height, width) of the picture in pixels.
        flow_THW2: flow in pixels, shown as it is; frame 0 zero, frame t the motion from t - 1 to t.
        stage: one of `STAGES`.
        generator: samples the posterior of the autoencoder from it; None takes the mode.

    Returns:
        float32 (1, C, t, h, w) with C of `config.motion_in_channels`, on the device of the autoencoder.

    Raises:
        UserError: an unknown stage, points outside, flow that is not finite, or a clip the autoencoder cannot take.
    """
    check_option("motion", "stage", stage, STAGES)
    if flow_THW2 is not None and points_NT2 is None and size is None:
        check_flow(flow_THW2)
        frames, height, width = flow_THW2.shape[:3]
        patches = _flow_patches(flow_THW2)
    elif points_NT2 is not None and size is not None and flow_THW2 is None:
        frames, (height, width) = points_NT2.shape[1], size
        patches = _point_patches(points_NT2, height, width, STAGES[stage].border)
    else:
        raise UserError("motion: give either points_NT2 with size, or flow_THW2")
    t, h, w = vae.latent_size(frames, height, width)
    chunk = vae.config.chunk_frames
    if config.compression == "vae":
        video = _colour_chunks(patches, frames, height, width, chunk, STAGES[stage].frames_per_maximum)
        return torch.cat([_encode(vae, part, generator) for part in video], dim=2)
    stride = config.latent_stride
    cropped = _cropped(patches(), h * stride, w * stride)
    cells = compress_flow(
        cropped, config.compression, frames, h * stride, w * stride, stride, config.motion_unshuffle, chunk
    )
    assert len(cells) == t
    return torch.from_numpy(cells).permute(3, 0, 1, 2)[None].to(next(vae.buffers()).device)


def motion_facts(config: STDiTConfig, stage: str) -> dict[str, Any]:
    """Return what `motion_input` does under these options, for fingerprints and records."""
    rule = STAGES[stage]
    facts: dict[str, Any] = {"compression": config.compression, "stage": stage, "blur_border": rule.border}
    if config.compression == "vae":
        return {**facts, "colour_normaliser_frames": rule.frames_per_maximum or "clip"}
    return {**facts, "flow_scale_px": FLOW_SCALE, "unshuffle": config.motion_unshuffle}


def _flow_patches(flow_THW2: Float32Array) -> Patches:
    return lambda: ((t, 0, 0, flow_THW2[t]) for t in range(len(flow_THW2)))


def _point_patches(points_NT2: IntArray, height: int, width: int, border: str) -> Patches:
    check_sources(points_NT2, width, height)
    if border == "mirror":
        return lambda: flow_patches(points_NT2, width, height)

    def whole_frames() -> Iterator[FlowPatch]:
        for t in range(1, points_NT2.shape[1]):
            yield t, 0, 0, blur_flow(sparse_flow(points_NT2[:, t - 1 : t + 1], width, height), border)[1]

    return whole_frames


def _colour_chunks(
    patches: Patches,
    frames: int,
    height: int,
    width: int,
    chunk: int,
    frames_per_maximum: int | None,
) -> Iterator[ByteArray]:
    """Yield the colour picture in pieces of `chunk` frames; the flow is walked through twice, not kept."""
    largest = np.zeros(frames, np.float32)
    for t, _, _, flow in patches():
        largest[t] = max(largest[t], torch_magnitude(flow).max())
    group = frames_per_maximum or frames
    for start in range(0, frames, group):
        largest[start : start + group] = largest[start : start + group].max()
    waiting = patches()
    patch = next(waiting, None)
    for start in range(0, frames, chunk):
        video = np.full((min(chunk, frames - start), height, width, 3), 255, np.uint8)
        while patch is not None and patch[0] < start + len(video):
            t, top, left, flow = patch
            part = video[t - start, top : top + flow.shape[0], left : left + flow.shape[1]]
            part[...] = flow_colours(flow, largest[t], torch_polar)
            patch = next(waiting, None)
        yield video


def _encode(vae: OpenSoraVAE, video_THWC: ByteArray, generator: torch.Generator | None) -> Tensor:
    device = next(vae.buffers()).device
    pixels = torch.from_numpy(video_THWC).to(device).permute(3, 0, 1, 2)[None]
    return vae.encode(pixels.float() / 127.5 - 1.0, generator, sample=generator is not None).float()


def _cropped(patches: Iterator[FlowPatch], height: int, width: int) -> Iterator[FlowPatch]:
    for t, top, left, flow in patches:
        kept = flow[: max(height - top, 0), : max(width - left, 0)]
        if kept.size:
            yield t, top, left, kept
