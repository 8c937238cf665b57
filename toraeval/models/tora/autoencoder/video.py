"""Video autoencoder of Open-Sora v1.2: 2-D autoencoder, then temporal autoencoder on chunks of 17 frames.

Structure, constants and parameter names follow Open-Sora v1.2.0 `opensora/models/vae/vae.py` (OpenSoraVAE_V1_2); the
numbers are equal. A video of any size is encoded to floor(H / 8) x floor(W / 8) cells, so decoding returns
8 * floor(H / 8) x 8 * floor(W / 8) pixels: 240 x 426 comes back as 240 x 424. Chunks share nothing, which shows as
small steps every 17 frames; the published weights were trained so and other chunk lengths are worse.

Noise order when sampling: one draw [B*T,C,h,w] for the 2-D latents of all frames (frames of the first clip first),
then one draw [B,C,t,h,w] per chunk in order of time.

Legend: B clips, C channels, T frames, t latent frames, H, W pixels, h, w latent cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.models.shared.noise import Draw, seeded_draw
from toraeval.models.tora.autoencoder.spatial import SpatialVAE, SpatialVAEConfig
from toraeval.models.tora.autoencoder.temporal import TemporalVAE, TemporalVAEConfig
from toraeval.models.tora.autoencoder.tiling import Tiling
from toraeval.types import UserError, counted

# How upstream names the two networks, and options that say where their weights once came from.
SPATIAL_TYPE, TEMPORAL_TYPE = "VideoAutoencoderKL", "VAE_Temporal_SD"
SOURCES = {"type", "from_pretrained", "subfolder", "local_files_only", "cache_dir", "micro_batch_size"}
MAX_PIXEL = 1.5  # pixels lie in -1..1; resampling overshoots a little, while 0..255 must not pass


@dataclass(frozen=True)
class OpenSoraVAEConfig:
    """Shape and constants of the video autoencoder; the defaults are those of the published weights.

    Raises:
        ValueError: parts that do not fit together.
    """

    spatial: SpatialVAEConfig = field(default_factory=SpatialVAEConfig)
    temporal: TemporalVAEConfig = field(default_factory=TemporalVAEConfig)
    chunk_frames: int = 17  # frames that the temporal autoencoder sees at once
    shift: tuple[float, ...] = (-0.10, 0.34, 0.27, 0.98)
    scale: tuple[float, ...] = (3.85, 2.32, 2.33, 3.06)
    micro_batch: int = 1  # frames in the 2-D autoencoder at once: memory only, no number depends on it

    def __post_init__(self) -> None:
        object.__setattr__(self, "shift", tuple(self.shift))
        object.__setattr__(self, "scale", tuple(self.scale))
        if self.spatial.latent_channels != self.temporal.in_out_channels:
            raise ValueError(
                f"vae: the 2-D autoencoder gives {self.spatial.latent_channels} channels, the temporal one "
                f"takes {self.temporal.in_out_channels}"
            )
        if not len(self.shift) == len(self.scale) == self.temporal.embed_dim or 0 in self.scale:
            raise ValueError(
                f"vae: shift {self.shift} and scale {self.scale} must have {self.temporal.embed_dim} entries, "
                "scale none of them 0"
            )
        if min(self.chunk_frames, self.micro_batch) < 1:
            raise ValueError(
                f"vae: chunk_frames {self.chunk_frames} and micro_batch {self.micro_batch} must be at least 1"
            )

    @classmethod
    def from_upstream(cls, options: Mapping[str, Any]) -> OpenSoraVAEConfig:
        """Build from the `config.json` of a published folder.

        Raises:
            ValueError: a part of a kind that is not implemented.
        """
        spatial, temporal = options.get("vae_2d") or {}, options.get("vae_temporal") or {}
        for part, allowed in ((spatial, SPATIAL_TYPE), (temporal, TEMPORAL_TYPE)):
            if part.get("type", allowed) != allowed:
                raise ValueError(f"vae: autoencoder of type {part['type']!r}; allowed: {allowed}")
        found = {name: options[name] for name in ("shift", "scale") if name in options}
        if options.get("micro_frame_size"):
            found["chunk_frames"] = options["micro_frame_size"]
        return cls(
            spatial=SpatialVAEConfig.from_upstream({k: v for k, v in spatial.items() if k not in SOURCES}),
            temporal=TemporalVAEConfig.from_upstream({k: v for k, v in temporal.items() if k not in SOURCES}),
            **found,
        )


class OpenSoraVAE(nn.Module):
    """Encode videos to normalised latents and decode them, with the state-dict keys of the published weights.

    Args:
        config: shapes and constants.
    """

    def __init__(self, config: OpenSoraVAEConfig | None = None) -> None:
        super().__init__()
        self.config = config or OpenSoraVAEConfig()
        self.spatial_vae = SpatialVAE(self.config.spatial)
        self.temporal_vae = TemporalVAE(self.config.temporal)
        self.register_buffer("scale", torch.tensor(self.config.scale).view(1, -1, 1, 1, 1))
        self.register_buffer("shift", torch.tensor(self.config.shift).view(1, -1, 1, 1, 1))
        self.scale: Tensor
        self.shift: Tensor

    @property
    def latent_channels(self) -> int:
        """Channels of the latents (4)."""
        return self.config.temporal.embed_dim

    def latent_size(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Return (t, h, w) of a video: 5 latent frames per 17 frames, ceil(rest / 4), and whole cells of 8 pixels.

        Raises:
            UserError: no frame, or a side shorter than one cell.
        """
        stride = self.config.spatial.stride
        if frames < 1 or min(height, width) < stride:
            raise UserError(
                f"vae: {counted(frames, 'frame')} of {width}x{height}; allowed: at least 1 frame and "
                f"{stride}x{stride} pixels"
            )
        chunks, rest = divmod(frames, self.config.chunk_frames)
        per_chunk = self.temporal_vae.latent_frames(self.config.chunk_frames)
        return chunks * per_chunk + self.temporal_vae.latent_frames(rest), height // stride, width // stride

    @torch.no_grad()
    def encode(
        self, video_BCTHW: Tensor, generator: torch.Generator | None = None, sample: bool = False
    ) -> Tensor:
        """Encode a video.

        Args:
            video_BCTHW: float [B,3,T,H,W] in -1..1, on any device; any T, H and W from 8.
            generator: where the noise comes from when `sample`.
            sample: sample both posteriors, as upstream does, instead of taking their modes.

        Returns:
            normalised latents [B,4,t,h,w] in the dtype and on the device of the weights.

        Raises:
            UserError: wrong shape or dtype, or values that are not pixels.
        """
        self._check_video(video_BCTHW)
        if sample and generator is None:
            raise UserError("vae: sample=True needs a generator (torch.Generator with a seed); got None")
        draw = seeded_draw(generator) if sample and generator is not None else None
        return self.compress(self.spatial_vae.encode(video_BCTHW, draw, self.config.micro_batch), draw)

    def compress(self, latents_BCTHW: Tensor, draw: Draw | None = None) -> Tensor:
        """Encode 2-D latents [B,4,T,h,w] in chunks along time to normalised latents [B,4,t,h,w].

        Args:
            latents_BCTHW: scaled latents of the 2-D autoencoder.
            draw: source of noise, called once per chunk; None takes the mode.
        """
        chunks = latents_BCTHW.split(self.config.chunk_frames, dim=2)
        parts = [self.temporal_vae.encode(chunk).latents(draw) for chunk in chunks]
        return (torch.cat(parts, dim=2) - self.shift) / self.scale

    @torch.no_grad()
    def decode_chunks(self, z_BCTHW: Tensor, frames: int, tiling: Tiling | None = None) -> Iterator[Tensor]:
        """Decode chunk by chunk, so that the whole video need not fit into memory.

        Args:
            z_BCTHW: float normalised latents [B,4,t,h,w], on any device.
            frames: length T of the video; t must be that of `latent_size`.
            tiling: decode frames in tiles; inexact, see `tiling`.

        Yields:
            the next 17 or fewer frames [B,3,n,8h,8w], about -1..1 and not clamped.

        Raises:
            UserError: latents of another shape, not finite, or too large for float16 weights.
        """
        self._check_latents(z_BCTHW, frames)
        for chunk in self.expand_chunks(z_BCTHW, frames):
            video = self.spatial_vae.decode(chunk, self.config.micro_batch, tiling)
            if video.dtype == torch.float16 and not video.isfinite().all():
                raise UserError("vae: decoding in float16 overflowed; allowed here: precision bf16 or fp32")
            yield video

    def expand_chunks(self, z_BCTHW: Tensor, frames: int) -> Iterator[Tensor]:
        """Decode normalised latents to scaled 2-D latents [B,4,n,h,w], 17 or fewer frames at a time."""
        latents = z_BCTHW.to(self.scale.device, self.scale.dtype) * self.scale + self.shift
        for chunk in latents.split(self.temporal_vae.latent_frames(self.config.chunk_frames), dim=2):
            count = min(self.config.chunk_frames, frames)
            yield self.temporal_vae.decode(chunk, count)
            frames -= count

    def _check_video(self, video: Tensor) -> None:
        channels = self.config.spatial.in_channels
        if video.ndim != 5 or video.shape[1] != channels or not video.is_floating_point():
            raise UserError(
                f"vae: expected a floating-point video [B,{channels},T,H,W], got {video.dtype} {list(video.shape)}"
            )
        if not video.shape[0]:
            raise UserError("vae: a batch of no videos")
        self.latent_size(*video.shape[2:])
        low, high = (float(end) for end in video.aminmax())
        if not -MAX_PIXEL <= low <= high <= MAX_PIXEL:
            raise UserError(f"vae: pixels from {low:g} to {high:g}; allowed: -1 to 1")

    def _check_latents(self, z: Tensor, frames: int) -> None:
        stride = self.config.spatial.stride
        if z.ndim != 5 or z.shape[1] != self.latent_channels or not z.is_floating_point():
            raise UserError(
                f"vae: expected floating-point latents [B,{self.latent_channels},t,h,w], "
                f"got {z.dtype} {list(z.shape)}"
            )
        needed = self.latent_size(frames, z.shape[3] * stride, z.shape[4] * stride)[0]
        if z.shape[2] != needed:
            raise UserError(
                f"vae: {counted(frames, 'frame')} have {counted(needed, 'latent frame')}, got {z.shape[2]}"
            )
        if not z.isfinite().all():
            raise UserError(f"vae: {int((~z.isfinite()).sum())} of {z.numel()} latents are not finite")
