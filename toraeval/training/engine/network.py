"""The network as training calls it: transformer and trajectory extractor behind one entry."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from toraeval.models.tora.network.model import Tora


class GuidedNetwork(nn.Module):
    """One forward pass through extractor and transformer.

    Sharding needs a single module whose call comes first; the extractor called on its own would become a root.

    Args:
        model: the network that is trained.
    """

    def __init__(self, model: Tora) -> None:
        super().__init__()
        self.model = model

    def forward(self, motion_BCTHW: Tensor, **inputs: Any) -> Tensor:
        """Predict [B,out_channels,T,H,W] in float32.

        Args:
            motion_BCTHW: float32 motion latents; the extractor gets them unrounded.
            inputs: further arguments of `STDiT3.forward`.
        """
        extract = self.model.traj_extractor
        return self.model(**inputs, motion=None if extract is None else extract(motion_BCTHW))
