"""First weights of the denoiser when it is trained from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from toraeval.models.shared.network.stdit import STDiT3


@torch.no_grad()
def initialise(model: STDiT3) -> None:
    """Initialise for training from scratch as upstream does.

    Linear weights are Xavier-uniform with zero biases; the frame-rate network adds nothing at first; temporal
    blocks start as the identity because their output projections are zero (their gradients are not).
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    nn.init.normal_(model.fps_embedder.mlp[0].get_parameter("weight"), std=0.02)
    nn.init.zeros_(model.fps_embedder.mlp[2].get_parameter("weight"))
    for name, parameter in model.temporal_blocks.named_parameters():
        if name.endswith(("attn.proj.weight", "mlp.fc2.weight")):  # self- and cross-attention, MLP
            nn.init.zeros_(parameter)
