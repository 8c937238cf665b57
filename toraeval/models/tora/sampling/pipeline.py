"""From a case to a video with Tora: trajectories, first frame and caption in, frames out.

The steps of the paper in order: trajectory -> colour-coded motion picture -> autoencoder
-> trajectory extractor -> fusers inside the transformer; noise -> rectified flow under
first frame and caption -> latents -> frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toraeval import geometry
from toraeval.geometry import extend_points, native_frames
from toraeval.models.tora.autoencoder.linear_patches import BLOCK, STRIDE_T, LinearPatchAutoencoder
from toraeval.models.tora.conditions.compression import compress_flow
from toraeval.models.tora.conditions.trajectory import flow_patches, integer_points, trajectory_patches
from toraeval.models.tora.network.config import STDiTConfig
from toraeval.models.tora.network.entity import entity_maps
from toraeval.models.tora.network.model import Tora
from toraeval.models.tora.sampling.rectified_flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.types import ByteArray, Case, FloatArray, UserError

# From network, autoencoder, targets of 1 + 4k moments in pixels, latent of the first frame (1, C, 1, h, w) and a number
# of rows to what `predict_clean` is told of the paths, that many times in a batch.
Conditions = Callable[[Tora, LinearPatchAutoencoder, FloatArray, Tensor, int], dict[str, Any]]


@dataclass(frozen=True)
class SamplingOptions:
    """How to sample.

    Attributes:
        steps: Euler steps.
        guidance: classifier-free guidance scale; 1 turns it off and halves the cost.
        precision: `bf16` or `fp32` for the transformer.
        prediction: what the network predicts, `clean` or `velocity`.
    """

    steps: int
    guidance: float = 1.0
    precision: str = "bf16"
    prediction: str = "clean"


def all_tracks(case: Case, canvas: tuple[int, int] | None = None) -> FloatArray:
    """Return the paths of objects and then of the camera, (N, T, 2) in pixels of a `(width, height)` canvas.

    Without a canvas they stay on that of the case.
    """
    given = [case.trajectories] if case.camera is None else [case.trajectories, case.camera]
    if canvas is not None and canvas != (case.width, case.height):
        given = [geometry.to_canvas(paths, *canvas) for paths in given]
    return np.concatenate([paths.tracks_NT2 for paths in given])


def motion_latents(vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, height: int, width: int) -> Tensor:
    """Draw and encode the motion picture of 1 + 4k moments; float32 (1, C, t, h, w).

    Blocks that stay white are encoded once, so the cost grows with the marks and not with the picture.
    """
    points = integer_points(tracks_NT2, width, height)
    t, h, w = vae.latent_size(points.shape[1], height, width)
    video = np.full((STRIDE_T, height, width, 3), 255, np.uint8)
    white = vae.encode(video[:1])[:, 0, 0, 0]
    latents = white.view(-1, 1, 1, 1).repeat(1, t, h, w)
    by_chunk: dict[int, list[tuple[int, int, int, ByteArray]]] = {}
    for frame, top, left, patch in trajectory_patches(points, width, height):
        by_chunk.setdefault((frame + STRIDE_T - 1) // STRIDE_T, []).append((frame, top, left, patch))
    for chunk, patches in by_chunk.items():
        video[:] = 255
        for frame, top, left, patch in patches:
            video[(frame - 1) % STRIDE_T, top : top + patch.shape[0], left : left + patch.shape[1]] = patch
        low = [min(p[1 + k] for p in patches) // 32 for k in (0, 1)]
        high = [-(-max(p[1 + k] + p[3].shape[k] for p in patches) // 32) for k in (0, 1)]
        part = video[:, low[0] * 32 : high[0] * 32, low[1] * 32 : high[1] * 32]
        # a chunk of four frames is encoded as the second latent of a five-frame clip
        encoded = vae.encode(np.concatenate([part[:1], part]))[:, 1]
        latents[:, chunk, low[0] : high[0], low[1] : high[1]] = encoded
    return latents[None]


def motion_input(
    config: STDiTConfig,
    vae: LinearPatchAutoencoder,
    tracks_NT2: FloatArray,
    height: int,
    width: int,
    first_1C1hw: Tensor | None = None,
) -> Tensor:
    """Make the extractor's input from the targets of 1 + 4k moments, as `compression` and `binding` say.

    Args:
        config: of the network.
        vae: fitted autoencoder.
        tracks_NT2: targets in pixels of the (width, height) picture.
        height, width: of the picture in pixels.
        first_1C1hw: latent of the first frame; needed with `binding=entity`.

    Returns:
        float32 (1, motion_in_channels, t, h, w).
    """
    flow = _flow_input(config, vae, tracks_NT2, height, width)
    if config.binding == "none":
        return flow
    assert first_1C1hw is not None
    looks = entity_maps(first_1C1hw[0, :, 0].permute(1, 2, 0), tracks_NT2)
    return torch.cat((flow, looks.permute(3, 0, 1, 2)[None]), 1)


def _flow_input(
    config: STDiTConfig, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, height: int, width: int
) -> Tensor:
    if config.compression == "vae":
        return motion_latents(vae, tracks_NT2, height, width)
    patches = flow_patches(integer_points(tracks_NT2, width, height), width, height)
    frames, stride = tracks_NT2.shape[1], config.latent_stride
    cells = compress_flow(patches, config.compression, frames, height, width, stride, config.motion_unshuffle)
    return torch.from_numpy(cells).permute(3, 0, 1, 2)[None]


def motion_conditions(
    model: Tora, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, first: Tensor, rows: int
) -> dict[str, Any]:
    """Return the features of Tora's trajectory extractor; see `Conditions`."""
    if model.traj_extractor is None:
        return {"motion": None}
    height, width = (BLOCK * int(side) for side in first.shape[3:])
    motion = motion_input(model.config, vae, tracks_NT2, height, width, first)
    return {"motion": [f.repeat(rows, 1, 1, 1) for f in model.encode_motion(motion)]}


def keyed_generator(key: str, seed: int) -> torch.Generator:
    """Return a CPU generator whose draws depend on a key and a seed only."""
    digest = hashlib.sha256(f"tora/{key}/{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def initial_noise(key: str, seed: int, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal noise from a CPU generator keyed by case and seed.

    Time is drawn frame by frame, so that a longer clip starts from the same noise.
    """
    generator = keyed_generator(key, seed)
    _, c, t, h, w = shape
    return torch.stack([torch.randn(1, c, h, w, generator=generator) for _ in range(t)], dim=2)


@torch.no_grad()
def sample_latents(
    model: Tora,
    vae: LinearPatchAutoencoder,
    prompt: str,
    first_frame_HWC: ByteArray,
    tracks_NT2: FloatArray,
    noise: Tensor,
    fps: float,
    options: SamplingOptions,
    conditions: Conditions = motion_conditions,
) -> Tensor:
    """Sample the latents of one clip.

    Args:
        model, vae: loaded weights.
        prompt: caption.
        first_frame_HWC: uint8 first frame; it is kept as the clean first latent.
        tracks_NT2: targets at 1 + 4k moments, pixels of the first frame.
        noise: (1, C, t, h, w), see `initial_noise`.
        fps: frames per second.
        options: sampling options.
        conditions: how the network is told of the paths.

    Returns:
        float32 (C, t, h, w).
    """
    height, width = first_frame_HWC.shape[:2]
    first = vae.encode(first_frame_HWC[None])[None]
    flow = RectifiedFlow(FlowConfig(prediction=options.prediction))
    copies = 1 if options.guidance == 1.0 else 2
    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
        y = model.encode_text([prompt])
        if copies == 2:
            y = torch.cat((y, model.y_embedder.null(1).to(y)))
        text = model.precompute_text(y)
        paths = conditions(model, vae, tracks_NT2, first, copies)
        rate = torch.tensor([fps])

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            cond = first.repeat(copies, 1, 1, 1, 1)
            return model.predict_clean(x, timestep, x_mask, cond, fps=rate, text=text, **paths)

        z = noise.clone()
        z[:, :, :1] = first
        mask = torch.ones(1, z.shape[2])
        mask[:, 0] = 0.0
        size = ClipSize(float(height), float(width), float(tracks_NT2.shape[1]))
        # frames to be generated are noisy from the start, so no fresh noise is ever needed
        return flow.sample(
            denoise,
            z,
            options.steps,
            options.guidance,
            size,
            mask,
            draw_noise=lambda step: torch.zeros_like(z),
        )[0]


def generate_frames(
    model: Tora,
    vae: LinearPatchAutoencoder,
    case: Case,
    seed: int,
    options: SamplingOptions,
    conditions: Conditions = motion_conditions,
) -> ByteArray:
    """Generate the 1 + 4k frames that hold a case's, uint8 (T, H, W, 3); frame 0 is the given one.

    Raises:
        UserError: the latents are not finite.
    """
    assert case.first_frame_HWC is not None
    native = native_frames(case.frames)
    shape = (1, model.config.in_channels, *vae.latent_size(native, case.height, case.width))
    latents = sample_latents(
        model,
        vae,
        case.prompt,
        case.first_frame_HWC,
        extend_points(all_tracks(case), native),
        initial_noise(f"{case.suite}/{case.id}", seed, shape),
        case.fps,
        options,
        conditions,
    )
    if not torch.isfinite(latents).all():
        raise UserError(f"tora: case {case.id} gave non-finite latents; try precision=fp32")
    frames = vae.decode(latents)
    frames[0] = case.first_frame_HWC  # given, so it is not replaced by its lossy reconstruction
    return frames
