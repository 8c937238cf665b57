"""From caption features, tracks and first frame to a video with Tora on CogVideoX.

The steps of alibaba/Tora 9a23dce, `diffusers-version/tora/{t2v,i2v}_pipeline.py`: colour-coded trajectory picture ->
autoencoder -> features of every layer; noise -> solver under text guidance -> latents -> frames. What differs: the
features are computed once, not in every step; image-to-video with guidance works (upstream doubles the trajectory
latents in every step and fails in the second).

Legend: B batch, T latent frames, C channels, H rows, W columns, L text tokens, E text width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toraeval.geometry import extend_points
from toraeval.models.shared.noise import Draw
from toraeval.models.shared.sampling_options import at_work
from toraeval.models.shared.trajectory import integer_points, trajectory_video
from toraeval.models.tora_cogvideox.autoencoder import VideoAutoencoder
from toraeval.models.tora_cogvideox.solver import Solver, guidance_scale
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer, rotary_positions
from toraeval.types import ByteArray, FloatArray, UserError, counted


@dataclass(frozen=True)
class DenoisingOptions:
    """How to sample.

    Attributes:
        guidance: classifier-free guidance scale; 1 turns it off and halves the cost.
        dynamic_guidance: see `guidance_scale`.
        posterior: `sample` or `mode` of the autoencoder, for the trajectory picture and the first frame.
        device: where the networks run.
        offload: keep each network on the CPU while it is not in use.
    """

    guidance: float = 6.0
    dynamic_guidance: str = "published"
    posterior: str = "sample"
    device: torch.device | str = "cpu"
    offload: bool = False


@dataclass(frozen=True)
class Networks:
    """The loaded parts.

    Attributes:
        transformer: velocity network.
        autoencoder: for trajectory picture, first frame and result.
        solver: schedule and step.
    """

    transformer: ToraCogVideoXTransformer
    autoencoder: VideoAutoencoder
    solver: Solver


@dataclass(frozen=True)
class RequestedClip:
    """What is asked for.

    Attributes:
        tracks_NT2: targets in pixels of the clip; the last one is held if there are fewer than `frames`.
        frames: 1 + 8k; with other counts the autoencoder groups latent frames wrongly.
        height, width: in pixels.
        first_frame_HWC: uint8, for networks that take it.
    """

    tracks_NT2: FloatArray
    frames: int
    height: int
    width: int
    first_frame_HWC: ByteArray | None = None


def trajectory_picture(tracks_NT2: FloatArray, height: int, width: int) -> Tensor:
    """Draw tracks, pixels of a width x height canvas, as upstream does; float32 (1, 3, T, height, width) in [-1, 1].

    Upstream truncates coordinates to integer pixels, so the picture has the path up to a pixel.
    """
    video = trajectory_video(integer_points(tracks_NT2, width, height), width, height, "opencv")
    return torch.from_numpy(video).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


@torch.no_grad()
def denoise(
    model: ToraCogVideoXTransformer,
    solver: Solver,
    latents_BTCHW: Tensor,
    text_BLE: Tensor,
    flow_BTCHW: Tensor | None,
    draw: Draw,
    options: DenoisingOptions,
    image_BTCHW: Tensor | None = None,
) -> Iterator[Tensor]:
    """Yield the latents after each step.

    Args:
        model: velocity network.
        solver: schedule and step.
        latents_BTCHW: standard normal noise, B = 1; its type is that of the network.
        text_BLE: caption features; with guidance B = 2, first the unconditional ones.
        flow_BTCHW: scaled latents of the trajectory picture, or None for no trajectory.
        draw: noise of the solver.
        options: sampling options.
        image_BTCHW: scaled latents of the first frame, zero in later frames; for networks that take it.

    Raises:
        UserError: a batch of another size, or a first frame where the network takes none and the reverse.
    """
    guided = options.guidance > 1
    if latents_BTCHW.shape[0] != 1 or text_BLE.shape[0] != 1 + guided:
        raise UserError(
            f"tora_cogvideox: {counted(text_BLE.shape[0], 'caption')} for {counted(latents_BTCHW.shape[0], 'clip')} "
            "at guidance "
            f"{options.guidance:g}; allowed: one clip, with {1 + guided} (unconditional first if 2)"
        )
    if model.config.takes_first_frame != (image_BTCHW is not None):
        wanted = "needs" if image_BTCHW is None else "takes no"
        raise UserError(f"tora_cogvideox: this network {wanted} latents of a first frame")
    _, t, _, h, w = latents_BTCHW.shape
    rotary = rotary_positions(model.config, t, h, w, latents_BTCHW.device)
    motion = None if flow_BTCHW is None else model.encode_motion(flow_BTCHW)
    latents, clean = latents_BTCHW, None
    for index, timestep in enumerate(solver.timesteps):
        seen = latents if image_BTCHW is None else torch.cat((latents, image_BTCHW), 2)
        times = torch.full((1 + guided,), timestep, device=latents.device)
        velocity = model(seen.repeat(1 + guided, 1, 1, 1, 1), text_BLE, times, motion, rotary).float()
        if guided:
            scale = guidance_scale(
                options.dynamic_guidance, options.guidance, len(solver.timesteps), timestep, index
            )
            without, given = velocity.chunk(2)
            velocity = without + scale * (given - without)
        latents, clean = solver.step(index, velocity, latents, clean, draw)
        latents = latents.to(latents_BTCHW.dtype)
        yield latents


def sample_frames(
    networks: Networks, text_BLE: Tensor, clip: RequestedClip, draw: Draw, options: DenoisingOptions
) -> ByteArray:
    """Generate one clip.

    Noise is drawn for the first frame, the trajectory picture, the latents, then the solver.

    Args:
        networks: loaded parts.
        text_BLE: see `denoise`.
        clip: what is asked for.
        draw: all noise.
        options: sampling options.

    Returns:
        uint8 (frames, height, width, 3).

    Raises:
        UserError: a size that the learned positions do not have, or latents that are not finite.
    """
    model, vae = networks.transformer, networks.autoencoder
    t, h, w = vae.latent_size(clip.frames, clip.height, clip.width)
    check_positions(model, clip.frames, h, w)
    dtype = text_BLE.dtype
    picture = trajectory_picture(extend_points(clip.tracks_NT2, clip.frames), clip.height, clip.width)
    image = None
    with at_work(vae, options.device, options.offload):
        if clip.first_frame_HWC is not None:
            pixels = torch.from_numpy(np.ascontiguousarray(clip.first_frame_HWC)).permute(2, 0, 1)[None]
            first = vae.encode_image(
                (pixels.float() / 127.5 - 1).to(options.device, dtype), options.posterior, draw
            )
            image = torch.cat((first, first.new_zeros(1, first.shape[1], t - 1, h, w)), 2).transpose(1, 2)
        flow = vae.encode(picture.to(options.device, dtype), options.posterior, draw).transpose(1, 2)
    noise = draw(flow.new_empty(1, t, model.config.latent_channels, h, w))
    with at_work(model, options.device, options.offload):
        for latents in denoise(model, networks.solver, noise, text_BLE, flow, draw, options, image):
            last = latents
    if not torch.isfinite(last).all():
        raise UserError("tora_cogvideox: sampling gave non-finite latents; try precision=fp32")
    with at_work(vae, options.device, options.offload):
        video = vae.decode(last.transpose(1, 2))[0]
    levels = (video.float() / 2 + 0.5).clamp(0, 1).mul(255).round()
    return levels.to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def check_positions(model: ToraCogVideoXTransformer, frames: int, rows: int, columns: int) -> None:
    """Refuse latents of another size than the table of learned positions, if it is used.

    Raises:
        UserError: the size differs.
    """
    c = model.config
    if model.learned_positions and (frames, rows, columns) != (
        c.sample_frames,
        c.sample_height,
        c.sample_width,
    ):
        raise UserError(
            f"tora_cogvideox: learned positions exist for {c.sample_frames} frames of {8 * c.sample_width}x"
            f"{8 * c.sample_height} only, not for {frames} of {8 * columns}x{8 * rows}; ask for that size or set "
            "learned_positions=off"
        )
