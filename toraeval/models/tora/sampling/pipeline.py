"""From a request to a video with Tora on Open-Sora's autoencoder and T5.

Order, as in Open-Sora v1.2.0 `scripts/inference.py`: caption features; given frames and the trajectory picture
through the autoencoder; noise with the given frames pasted in; rectified flow under guidance; decoding. Long videos
are made clip after clip, each starting with the re-encoded last 17 frames of the one before.

Legend: T frames, H, W pixels, t, h, w latent grid, L caption tokens, D caption channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.network.step_cache import StepCache, joint_facts
from toraeval.models.shared.noise import initial_noise, keyed_generator
from toraeval.models.shared.rectified_flow import ClipSize, RectifiedFlow
from toraeval.models.shared.sampling_options import at_work
from toraeval.models.shared.trajectory import integer_points
from toraeval.models.tora.autoencoder.tiling import Tiling
from toraeval.models.tora.autoencoder.video import OpenSoraVAE
from toraeval.models.tora.conditions.given_frames import (
    Condition,
    apply_conditions,
    continuation,
    loop_spans,
    overlap_frames,
)
from toraeval.models.tora.conditions.motion import motion_input
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.models.tora.options import ToraOptions
from toraeval.types import ByteArray, FloatArray, UserError

OVERLAP = 5  # latent frames that a clip takes over from the one before


@dataclass(frozen=True)
class VideoRequest:
    """One video.

    Attributes:
        key: name of the case; it and the seed decide all noise.
        seed: sampling seed.
        frames, height, width: what to make, sides multiples of 8.
        told_size: (height, width) that the network is given, before rounding to multiples of 8.
        fps: frames per second.
        tracks_NT2: paths of T moments in pixels of the made picture, or None.
        references: given pictures uint8 (height, width, 3).
        conditions: where the references go.
    """

    key: str
    seed: int
    frames: int
    height: int
    width: int
    told_size: tuple[int, int]
    fps: float
    tracks_NT2: FloatArray | None = None
    references: Sequence[ByteArray] = ()
    conditions: Sequence[Condition] = ()


@dataclass(frozen=True)
class Caption:
    """Features of one caption: float (1,1,L,D) and int64 mask (1,L), 1 for tokens."""

    features: Tensor
    mask: Tensor


class VideoPipeline:
    """Runs loaded networks; holds no state between videos.

    Args:
        model: transformer, with extractor and fusers if it is a `Tora` with a fuser.
        vae: autoencoder.
        options: how to sample.
        device: where to compute; with `offload` the networks wait on the CPU.
    """

    def __init__(
        self, model: STDiT3 | ToraNetwork, vae: OpenSoraVAE, options: ToraOptions, device: torch.device
    ) -> None:
        self.model, self.vae, self.options, self.device = model, vae, options, device
        self.sampling = options.sampling()
        self._caches: list[StepCache] = []
        if not options.offload:
            model.to(device)
            vae.to(device)
        if options.compile:
            with at_work(model, device, options.offload):
                model.compile_blocks()

    @torch.no_grad()
    def generate(self, request: VideoRequest, captions: Sequence[Caption]) -> ByteArray:
        """Make a video.

        Args:
            request: what to make.
            captions: one per clip of a long video; the last one holds for all further clips.

        Returns:
            uint8 (T, H, W, 3).

        Raises:
            UserError: conditions that do not fit, or latents that are not finite.
        """
        videos: list[ByteArray] = []
        self._caches = []
        for loop, (start, end) in enumerate(loop_spans(request.frames, self.options.loop_frames, OVERLAP)):
            caption = captions[min(loop, len(captions) - 1)]
            before = videos[-1][-overlap_frames(OVERLAP) :] if videos else None
            latents = self._sample(request, caption, loop, (start, end), before)
            if not torch.isfinite(latents).all():
                raise UserError(f"tora: case {request.key} gave non-finite latents; try precision=fp32")
            clip = self._decode(latents, end - start)
            videos.append(clip if before is None else clip[len(before) :])
        return np.concatenate(videos)

    def cache_facts(self) -> dict[str, object]:
        """Return what the cache did in the last video, added up over its clips; nothing without one."""
        return joint_facts(self._caches)

    def _sample(
        self,
        request: VideoRequest,
        caption: Caption,
        loop: int,
        span: tuple[int, int],
        before: ByteArray | None,
    ) -> Tensor:
        """Sample the latents (1,C,t,h,w) of one clip."""
        key, frames = f"{request.key}/loop{loop}" if loop else request.key, span[1] - span[0]
        shape = (1, self.vae.latent_channels, *self.vae.latent_size(frames, request.height, request.width))
        with at_work(self.vae, self.device, self.options.offload):
            posterior = None
            if self.options.posterior == "sample":
                posterior = keyed_generator(f"{key}/posterior", request.seed)
            given = [*(picture[None] for picture in request.references)]
            conditions = list(request.conditions)
            if before is not None:
                conditions.append(continuation(loop, len(given), OVERLAP))
                given.append(before)
            references = [self._encode(clip, posterior) for clip in given]
            motion = self._motion_latents(request, span, posterior)
        noise = initial_noise(key, request.seed, shape).to(self.device)
        z, ratios = apply_conditions(noise, [references], [conditions], loop, self.options.align)
        if bool((ratios == 0).all()):
            raise UserError(
                f"case {request.key}: the given frames fill all {shape[2]} latent frames of {frames} frames, nothing "
                "is left to make; allowed: more frames, or condition=text"
            )
        # without given frames no mask is needed: the numbers are the same and the modulation is half the work
        mask = ratios if bool((ratios != 1).any()) else None
        with at_work(self.model, self.device, self.options.offload):
            self.model.step_cache = cache = self.options.new_cache()
            self._caches += [] if cache is None else [cache]
            try:
                return self._denoise(request, caption, key, frames, z, mask, motion)
            finally:
                self.model.step_cache = None

    def _denoise(
        self,
        request: VideoRequest,
        caption: Caption,
        key: str,
        frames: int,
        z: Tensor,
        mask: Tensor | None,
        motion: Tensor | None,
    ) -> Tensor:
        model, copies = self.model, 1 if self.sampling.guidance == 1.0 else 2
        y = caption.features.to(self.device)
        if copies == 2:
            y = torch.cat((y, model.y_embedder.null(1).to(y)))
        # the null caption is cut to the prompt's own tokens, see `precompute_text`
        text = model.precompute_text(y, caption.mask.to(self.device))
        features = None
        if motion is not None and isinstance(model, ToraNetwork):
            features = [f.expand(copies, -1, -1, -1) for f in model.encode_motion(motion.to(self.device))]
        height, width = (float(side) for side in request.told_size)
        rate = torch.tensor([request.fps], device=self.device)

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            out: Tensor = model(
                x,
                timestep,
                x_mask=x_mask,
                fps=rate,
                height=height,
                width=width,
                motion=features,
                text=text,
            )
            return out

        return RectifiedFlow().sample(
            denoise,
            z,
            self.sampling.steps,
            self.sampling.guidance,
            ClipSize(height, width, float(frames)),
            mask,
            lambda step: initial_noise(f"{key}/step{step}", request.seed, tuple(z.shape)).to(z),
        )

    def _motion_latents(
        self, request: VideoRequest, span: tuple[int, int], posterior: torch.Generator | None
    ) -> Tensor | None:
        """Draw and encode the paths of one clip; None where there are none or the network has no use for them."""
        if request.tracks_NT2 is None or self.model.config.fuser == "none":
            return None
        tracks = request.tracks_NT2[:, span[0] : span[1]]
        points = integer_points(tracks, request.width, request.height)
        size = (request.height, request.width)
        return motion_input(self.model.config, self.vae, points_NT2=points, size=size, generator=posterior)

    def _encode(self, video_THWC: ByteArray, posterior: torch.Generator | None) -> Tensor:
        """Encode uint8 frames to float32 latents (C,t,h,w); without a generator the mode of the posterior."""
        pixels = torch.from_numpy(np.ascontiguousarray(video_THWC)).to(self.device).permute(3, 0, 1, 2)[None]
        return self.vae.encode(pixels.float() / 127.5 - 1, posterior, posterior is not None)[0].float()

    def _decode(self, latents: Tensor, frames: int) -> ByteArray:
        """Decode latents to uint8 (T,H,W,3)."""
        tile = self.options.tiling
        tiling = Tiling(tile, max(1, tile // 4)) if tile else None
        with at_work(self.vae, self.device, self.options.offload):
            parts = [
                ((chunk[0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
                for chunk in self.vae.decode_chunks(latents, frames, tiling)
            ]
        return torch.cat(parts, dim=1).permute(1, 2, 3, 0).contiguous().numpy()
