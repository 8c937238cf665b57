"""Sample one window of an embedded rival: given frames, caption and paths in, frames out.

Rectified flow with the sampler of Tora nano, so that models differ in their networks only.

Legend of the shape suffixes: N paths, T frames, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from toraeval.models.shared.nano.caption_encoder import tokenise
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.nano.pipeline import SamplingOptions, initial_noise
from toraeval.models.shared.rectified_flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.trajectories.displacement import displacement_maps
from toraeval.types import ByteArray, Case, FloatArray, UserError

from .network import UNet
from .windows import Window


@torch.no_grad()
def sample_window(
    network: UNet,
    vae: LinearPatchAutoencoder,
    case: Case,
    seed: int,
    options: SamplingOptions,
    window: Window,
    given_THWC: ByteArray,
    tracks_NT2: FloatArray,
) -> ByteArray:
    """Generate the frames of one window.

    The noise depends on suite, case, window and seed alone. Under guidance the null half sees what the published
    code shows it: MotionCtrl's an empty flow, DragNUWA's the same drags.

    Args:
        network, vae: loaded weights.
        case: caption, size and frame rate are taken from it.
        seed: sampling seed.
        options: sampling options; `prediction` must be `clean`.
        window: which one.
        given_THWC: uint8 frames that it begins with.
        tracks_NT2: its paths in pixels of the case's canvas.

    Returns:
        uint8 (window.frames, H, W, 3), the given frames as the autoencoder returns them.

    Raises:
        UserError: the latents are not finite.
    """
    shape = (1, network.config.latent_channels, *vae.latent_size(window.frames, case.height, case.width))
    z = initial_noise(f"{case.suite}/{case.id}/{window.index}", seed, shape)
    known = vae.encode(given_THWC)[None]
    z[:, :, : known.shape[2]] = known
    mask = torch.ones(1, shape[2])
    mask[:, : known.shape[2]] = 0.0
    copies = 1 if options.guidance == 1.0 else 2
    cond = known[:, :, :1].repeat(copies, 1, 1, 1, 1)
    maps = torch.from_numpy(displacement_maps(tracks_NT2, case.width, case.height))[None]
    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
        y = network.encode_words(torch.tensor([tokenise(case.prompt)]))
        if copies == 2:
            y = torch.cat((y, network.drop_text(y, torch.ones(1, dtype=torch.bool))))
            maps = torch.cat((maps, maps if network.null_keeps_paths else torch.zeros_like(maps)))
        motion, rate = network.encode_motion(maps), torch.tensor([case.fps])

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            return network.predict_clean(x, timestep, x_mask, cond, y=y, motion=motion, fps=rate)

        latents = RectifiedFlow(FlowConfig(prediction=options.prediction)).sample(
            denoise,
            z,
            options.steps,
            options.guidance,
            ClipSize(float(case.height), float(case.width), float(window.frames)),
            mask,
            # frames to be generated are noisy from the start, so no fresh noise is ever needed
            draw_noise=lambda step: torch.zeros_like(z),
        )[0]
    if not torch.isfinite(latents).all():
        raise UserError(
            f"{network.design}: case {case.id} gave non-finite latents in window {window.index}; try precision=fp32"
        )
    return vae.decode(latents)
