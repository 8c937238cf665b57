"""From a case to a video with an embedded model: trajectories, first frame and caption in, frames out.

The steps of the paper in order: trajectory -> colour-coded motion picture -> autoencoder
-> trajectory extractor -> fusers inside the transformer; noise -> rectified flow under
first frame and caption -> latents -> frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from toraeval.geometry import extend_points, native_frames
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.captioned import CaptionedSTDiT
from toraeval.models.shared.rectified_flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.models.shared.trajectory import all_tracks
from toraeval.types import ByteArray, Case, FloatArray, UserError

# From network, autoencoder, targets of 1 + 4k moments in pixels, latent of the first frame (1, C, 1, h, w) and a number
# of rows to what `predict_clean` is told of the paths, that many times in a batch.
Conditions = Callable[[Any, LinearPatchAutoencoder, FloatArray, Tensor, int], dict[str, Any]]


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
    model: CaptionedSTDiT,
    vae: LinearPatchAutoencoder,
    prompt: str,
    first_frame_HWC: ByteArray,
    tracks_NT2: FloatArray,
    noise: Tensor,
    fps: float,
    options: SamplingOptions,
    conditions: Conditions,
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
    model: CaptionedSTDiT,
    vae: LinearPatchAutoencoder,
    case: Case,
    seed: int,
    options: SamplingOptions,
    conditions: Conditions,
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
