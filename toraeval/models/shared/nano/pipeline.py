"""Latents of one clip from an embedded model: noise -> rectified flow under first frame, caption and paths.

All embedded models share the sampler and the latents of the linear patch autoencoder, so that they differ in their
networks and in how paths enter these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.noise import initial_noise
from toraeval.models.shared.rectified_flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.models.shared.sampling_options import SamplingOptions
from toraeval.types import ByteArray, FloatArray


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
Conditions = Callable[[Any, LinearPatchAutoencoder, ClipRequest, Tensor, int], dict[str, Any]]


@torch.no_grad()
def sample_latents(
    network: Any,
    vae: LinearPatchAutoencoder,
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
    (height, width), frames = request.size, request.tracks_NT2.shape[1]
    shape = (1, network.latent_channels, *vae.latent_size(frames, height, width))
    z = initial_noise(request.key, request.seed, shape)
    known = vae.encode(request.given_THWC)[None]
    z[:, :, : known.shape[2]] = known
    mask = torch.ones(1, shape[2])
    mask[:, : known.shape[2]] = 0.0
    copies = 1 if options.guidance == 1.0 else 2
    first = known[:, :, :1]
    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
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
