"""Tora: the diffusion transformer with its trajectory extractor, fusers and embedded caption encoder."""

from __future__ import annotations

from torch import Tensor

from toraeval.models.shared.nano.caption_encoder import CaptionEncoder
from toraeval.models.shared.network.captioned import CaptionedSTDiT
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.extractor import TrajectoryExtractor


class ToraNetwork(CaptionedSTDiT):
    """STDiT3 plus `traj_extractor`, `fuser` and, for the embedded size, `text_encoder`.

    Args:
        config: size and options; with `fuser` "none" it is the backbone alone and follows no path.
    """

    def __init__(self, config: STDiTConfig) -> None:
        super().__init__(config)
        self.traj_extractor: TrajectoryExtractor | None = None
        if config.fuser != "none":
            self.traj_extractor = TrajectoryExtractor(
                config.motion_in_channels,
                config.motion_channels,
                config.depth,
                config.extractor_blocks,
                config.patch_size[1],
                config.extractor_norm,
            )
        self.text_encoder = CaptionEncoder(config.caption_channels) if config.embedded_text else None

    def encode_motion(self, latents_BCTHW: Tensor) -> list[Tensor]:
        """Return one motion feature map (B, T, S, M) per block pair from motion latents.

        Raises:
            ValueError: when this network has no fusers.
        """
        if self.traj_extractor is None:
            raise ValueError("this network has fuser 'none': it takes no trajectories")
        return self.traj_extractor(latents_BCTHW.to(self.compute_dtype))  # type: ignore[no-any-return]
