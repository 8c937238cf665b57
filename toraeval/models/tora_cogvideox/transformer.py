"""CogVideoX's transformer (diffusers) with Tora's trajectory extractor and motion-guidance fusers inside.

Structure and parameter names follow alibaba/Tora 9a23dce, `diffusers-version/tora/transformer_3d.py`
(`ToraTransformer3DModel`, Apache-2.0): a fuser changes the video tokens of a layer after its first norm and before
the joint attention; text tokens, residual stream and MLP are left alone. Here the features of the trajectory are an
argument, because they are the same in every step and in both halves of guidance: compute them once.

Legend: B batch, T latent frames, C channels, H rows, W columns, L text tokens, E text width, N video tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.models.shared.network.extractor import TrajectoryExtractor
from toraeval.models.shared.network.fuser import AdaptiveNormFuser
from toraeval.models.tora_cogvideox.config import TransformerConfig
from toraeval.optional import require
from toraeval.types import UserError

EXTRA = "cogvideox"
Rotary = tuple[Tensor, Tensor]


def diffusers_module(name: str) -> Any:
    """Import a module of diffusers.

    Raises:
        MissingDependency: diffusers is absent or broken.
    """
    return require(name, "model=tora_cogvideox", EXTRA)


class ToraCogVideoXTransformer(nn.Module):
    """Velocity network of Tora on CogVideoX.

    Args:
        config: shape of the network.

    Raises:
        MissingDependency: diffusers is not installed.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        backbone = diffusers_module("diffusers").CogVideoXTransformer3DModel(**config.backbone_options())
        self.patch_embed = backbone.patch_embed
        self.time_proj = backbone.time_proj
        self.time_embedding = backbone.time_embedding
        self.transformer_blocks = backbone.transformer_blocks
        self.norm_final = backbone.norm_final
        self.norm_out = backbone.norm_out
        if config.out_norm_eps is not None:
            self.norm_out.norm.eps = config.out_norm_eps
        self.proj_out = backbone.proj_out
        self.traj_extractor = TrajectoryExtractor(
            config.traj_latent_channels,
            config.traj_channels,
            config.num_layers,
            config.traj_blocks,
            config.patch_size,
        )
        self.fuser = nn.ModuleList(
            AdaptiveNormFuser(config.traj_channels, config.width) for _ in range(config.num_layers)
        )

    @property
    def learned_positions(self) -> bool:
        """True if the table of learned positions is added to the tokens.

        The sat code of Tora stores such a table for its image-to-video weights and never adds it.
        """
        return bool(self.patch_embed.use_learned_positional_embeddings)

    @learned_positions.setter
    def learned_positions(self, used: bool) -> None:
        if used and not self.config.use_learned_positional_embeddings:
            raise UserError(
                "tora_cogvideox: these weights hold no learned positions; leave learned_positions=off"
            )
        self.patch_embed.use_learned_positional_embeddings = used

    def restore_positions(self, device: torch.device | str) -> None:
        """Compute the sine table of a network without rotary positions, which no checkpoint stores.

        A network that was built on the meta device has none until then.
        """
        if not self.config.use_rotary_positional_embeddings:
            c = self.config
            table = self.patch_embed._get_positional_embeddings(
                c.sample_height, c.sample_width, c.sample_frames
            )
            self.patch_embed.pos_embedding = table.to(device)

    def encode_motion(self, flow_BTCHW: Tensor) -> list[Tensor]:
        """Turn latents of the trajectory picture into one feature (B, T, H/2 * W/2, M) per layer."""
        return self.traj_extractor(flow_BTCHW.transpose(1, 2))  # type: ignore[no-any-return]

    def forward(
        self,
        latents_BTCHW: Tensor,
        text_BLE: Tensor,
        timestep_B: Tensor,
        motion: Sequence[Tensor] | None = None,
        rotary: Rotary | None = None,
    ) -> Tensor:
        """Predict the velocity.

        Args:
            latents_BTCHW: noisy latents; in the image-to-video variant those of the first frame follow on C.
            text_BLE: caption features.
            timestep_B: training timesteps, 0 to 999.
            motion: what `encode_motion` returned, of batch B or 1; None leaves the trajectory out.
            rotary: what `rotary_positions` returned, for networks that have it.

        Returns:
            (B, T, out_channels, H, W).
        """
        b, t, _, h, w = latents_BTCHW.shape
        p = self.config.patch_size
        emb = self.time_embedding(self.time_proj(timestep_B).to(latents_BTCHW.dtype))
        tokens = self.patch_embed(text_BLE, latents_BTCHW)
        text, video = tokens.split((text_BLE.shape[1], tokens.shape[1] - text_BLE.shape[1]), 1)
        for index in range(len(self.transformer_blocks)):
            feature = None if motion is None else motion[index]
            video, text = self._layer(index, video, text, emb, feature, (h // p, w // p), rotary)
        video = self.proj_out(self.norm_out(self.norm_final(video), temb=emb))
        cells = video.reshape(b, t, h // p, w // p, -1, p, p)
        return cells.permute(0, 1, 4, 2, 5, 3, 6).reshape(b, t, -1, h, w)

    def _layer(
        self,
        index: int,
        video_BNC: Tensor,
        text_BLC: Tensor,
        emb: Tensor,
        feature: Tensor | None,
        grid: tuple[int, int],
        rotary: Rotary | None,
    ) -> tuple[Tensor, Tensor]:
        block = self.transformer_blocks[index]
        seen, read, video_gate, text_gate = block.norm1(video_BNC, text_BLC, emb)
        if feature is not None:
            frames = seen.unflatten(1, (-1, grid[0] * grid[1]))
            seen = self.fuser[index](frames, feature, grid).flatten(1, 2)
        seen, read = block.attn1(hidden_states=seen, encoder_hidden_states=read, image_rotary_emb=rotary)
        video = video_BNC + video_gate * seen
        text = text_BLC + text_gate * read
        seen, read, video_gate, text_gate = block.norm2(video, text, emb)
        out = block.ff(torch.cat((read, seen), 1))
        length = text.shape[1]
        return video + video_gate * out[:, length:], text + text_gate * out[:, :length]


def rotary_positions(
    config: TransformerConfig, frames: int, height: int, width: int, device: torch.device | str = "cpu"
) -> Rotary | None:
    """Return cosine and sine, float32 (N, head width), of the video tokens, or None for a network without them.

    A grid of another size than the trained one is stretched onto it with its aspect ratio kept; time is never
    stretched.

    Args:
        config: shape of the network.
        frames, height, width: size of the latents.
        device: where the result goes.
    """
    if not config.use_rotary_positional_embeddings:
        return None
    embeddings = diffusers_module("diffusers.models.embeddings")
    pipelines = diffusers_module("diffusers.pipelines.cogvideo.pipeline_cogvideox")
    p = config.patch_size
    grid = (height // p, width // p)
    crop = pipelines.get_resize_crop_region_for_grid(
        grid, config.sample_width // p, config.sample_height // p
    )
    cos, sin = embeddings.get_3d_rotary_pos_embed(config.attention_head_dim, crop, grid, frames)
    return cos.to(device), sin.to(device)
