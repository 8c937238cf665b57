"""A network and an autoencoder small enough for tests, shared by sampling, generator and weight-file tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder, fit
from toraeval.models.shared.network.config import STDiTConfig, nano
from toraeval.models.tora.network.model import ToraNetwork

CHANNELS = 6


def tiny_nano() -> STDiTConfig:
    """The embedded size with everything made small."""
    return nano(
        depth=1,
        hidden_size=32,
        num_heads=2,
        in_channels=CHANNELS,
        cond_channels=CHANNELS,
        caption_channels=8,
        motion_channels=8,
        patch_size=(1, 2, 2),
        binding="none",
    )


@pytest.fixture(scope="session")
def tiny_config() -> STDiTConfig:
    return tiny_nano()


@pytest.fixture(scope="session")
def tiny_vae() -> LinearPatchAutoencoder:
    """Fitted on noise around grey: its components mean nothing, but encode and decode are exact in their span."""
    rng = np.random.default_rng(0)
    blocks = rng.normal(128, 40, (48, 12288)).clip(0, 255).astype(np.uint8)
    return fit(torch.from_numpy(blocks), CHANNELS)


@pytest.fixture(scope="session")
def make_tiny_tora() -> Callable[[], ToraNetwork]:
    """Builds the same random network each time; no branch of it is zero."""

    def build() -> ToraNetwork:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = ToraNetwork(tiny_nano())
            for parameter in model.parameters():
                if parameter.requires_grad:
                    torch.nn.init.normal_(parameter, std=0.1)
        return model.eval().requires_grad_(False)

    return build


@pytest.fixture(scope="session")
def tiny_tora(make_tiny_tora: Callable[[], ToraNetwork]) -> ToraNetwork:
    return make_tiny_tora()
