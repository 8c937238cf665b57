"""The two optimisers of the embedded models: Muon for the matrices of blocks, AdamW for everything else."""

from __future__ import annotations

import torch
from torch import nn

from toraeval.training.engine.settings import TrainConfig


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return (matrices of blocks, fusers' linear parts excluded; all others)."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        inside = "_blocks." in name and p.ndim == 2 and "table" not in name
        (matrices if inside else others).append(p)
    return matrices, others


def build_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Return Muon over the matrices of blocks and AdamW over the rest, in this order."""
    matrices, others = split_parameters(model)
    return [
        torch.optim.Muon(matrices, lr=config.lr_matrix, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=config.lr_other, betas=(0.9, 0.98), weight_decay=0.01),
    ]
