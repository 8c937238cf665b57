"""An autoencoder that nobody fitted."""

from __future__ import annotations

import pytest
import torch

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder


@pytest.fixture(scope="session")
def vae() -> LinearPatchAutoencoder:
    """Of eight random components: encoding and decoding are exact in their span, which means nothing."""
    made = LinearPatchAutoencoder(8)
    basis = torch.randn(8, made.mean.numel(), generator=torch.Generator().manual_seed(0))
    made.basis.copy_(torch.linalg.qr(basis.T).Q.T)
    made.mean.fill_(120.0)
    made.scale.fill_(900.0)
    return made
