"""The whole network: its parts by name, and the output that starts from the first frame."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from toraeval.models.shared.network.config import STDiTConfig, nano, tiny
from toraeval.models.tora.network.model import ToraNetwork


def test_keys_of_the_embedded_size() -> None:
    with torch.device("meta"):
        keys = ToraNetwork(nano()).state_dict()
    parts = {key.split(".")[0] for key in keys}
    assert {"traj_extractor", "fuser", "text_encoder", "spatial_blocks", "temporal_blocks"} < parts
    assert 5e6 < sum(v.numel() for v in keys.values()) < 8e6


def test_sizes_without_words_of_their_own_say_so() -> None:
    model = ToraNetwork(tiny(hidden_size=64, num_heads=4, fuser="adaptive_norm"))
    with pytest.raises(ValueError, match="takes caption features from T5"):
        model.encode_text(["a red circle"])


def test_features_fit_the_blocks(tiny_tora: ToraNetwork, tiny_config: STDiTConfig) -> None:
    features = tiny_tora.encode_motion(torch.randn(2, tiny_config.in_channels, 3, 4, 6))
    assert len(features) == tiny_config.depth
    assert features[0].shape == (2, 3, 6, tiny_config.motion_channels)
    assert tiny_tora.encode_text(["a", "b"]).shape == (2, 1, 20, tiny_config.caption_channels)


@pytest.fixture
def seen(tiny_tora: ToraNetwork, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What the network was given; it answers with zeros."""
    inputs: list[Tensor] = []

    def forward(x: Tensor, timestep: Tensor, **others: object) -> Tensor:
        inputs.append(x)
        return torch.zeros_like(x)

    monkeypatch.setattr(tiny_tora, "forward", forward)
    return inputs


def test_what_does_not_change_is_copied(tiny_tora: ToraNetwork, seen: list[Tensor]) -> None:
    first = torch.randn(2, 6, 1, 4, 4)
    x, t = torch.randn(2, 6, 3, 4, 4), torch.tensor([300.0, 700.0])
    out = tiny_tora.predict_clean(x, t, None, first)
    assert torch.equal(out, first.expand(-1, -1, 3, -1, -1))
    assert len(seen) == 1


def test_noisy_frames_enter_as_the_linear_estimate_of_the_clean_ones(
    tiny_tora: ToraNetwork, seen: list[Tensor]
) -> None:
    clean, noise = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(0))
    for u in (0.0, 0.3, 0.8, 1.0):
        x = ((1 - u) * clean + u * noise).view(1, 10, 10, 10, 100)
        tiny_tora.predict_clean(x, torch.tensor([1000 * u]), None, torch.zeros(1, 10, 1, 10, 100))
        estimate = seen[-1].flatten()
        # least squares: nothing of the error can be explained by the input any more
        assert abs(float(((clean - estimate) * x.flatten()).mean())) < 0.01
    assert not seen[-1].any()
    assert torch.equal(seen[0].flatten(), clean)


def test_given_frames_enter_unscaled(tiny_tora: ToraNetwork, seen: list[Tensor]) -> None:
    x, mask = torch.randn(1, 6, 3, 4, 4), torch.tensor([[False, True, True]])
    tiny_tora.predict_clean(x, torch.tensor([900.0]), mask, x[:, :, :1])
    assert torch.equal(seen[0][:, :, 0], x[:, :, 0])
    assert (seen[0][:, :, 1:].abs() < 0.2 * x[:, :, 1:].abs() + 1e-6).all()
