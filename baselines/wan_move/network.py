"""The embedded Wan-Move: Tora nano's transformer without extractor and fusers, with copied latents as further input."""

from __future__ import annotations

from typing import Any

from toraeval.models.shared.nano.caption_encoder import CaptionEncoder
from toraeval.models.shared.network.captioned import CaptionedSTDiT
from toraeval.models.shared.network.config import STDiTConfig, nano


def wan_move_nano(**changes: Any) -> STDiTConfig:
    """Configuration of the embedded Wan-Move; keyword arguments override fields.

    Wider than Tora nano in its MLPs, as extractor and fusers are saved.
    """
    own = {"fuser": "none", "mlp_ratio": 5.0, "cond_channels": changes.get("in_channels", nano().in_channels)}
    return nano(**own | changes)


class WanMoveNetwork(CaptionedSTDiT):
    """A transformer that takes paths from its input alone.

    Args:
        config: of the transformer, with entity binding.

    Raises:
        ValueError: a configuration with fusers, or without copied latents.
    """

    def __init__(self, config: STDiTConfig) -> None:
        if (config.fuser, config.binding) != ("none", "entity"):
            raise ValueError(
                f"Wan-Move needs fuser 'none' and binding 'entity'; got {config.fuser!r} and {config.binding!r}"
            )
        super().__init__(config)
        self.text_encoder = CaptionEncoder(config.caption_channels)
