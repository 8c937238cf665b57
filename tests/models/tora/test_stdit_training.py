"""The transformer in training and with fusers: gradients, fresh weights, autocast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.models.tora.test_stdit import randomised
from toraeval.models.shared.network.config import tiny
from toraeval.models.shared.network.stdit import STDiT3


class AddMotion(torch.nn.Module):
    """Stand-in for a fuser: adds the mean motion feature."""

    def forward(self, x_BTSC: Tensor, motion_BTSM: Tensor, grid: object, places: Tensor) -> Tensor:
        assert grid == (2, 2)
        return x_BTSC + motion_BTSM.mean(-1, keepdim=True)


@torch.no_grad()
@pytest.mark.parametrize("site", ["residual", "attention"])
def test_fuser_acts_where_configured_and_is_skipped_without_motion(site: str) -> None:
    model = randomised(tiny(fuser="adaptive_norm", fuser_site=site))
    x, t, y = torch.randn(1, 4, 3, 4, 4), torch.tensor([500.0]), torch.randn(1, 1, 8, 32)
    plain = model(x, t, y)
    model.fuser = torch.nn.ModuleList([AddMotion(), AddMotion()])
    zeros, ones = torch.zeros(1, 3, 4, 16), torch.ones(1, 3, 4, 16)
    assert torch.equal(model(x, t, y), plain)
    torch.testing.assert_close(model(x, t, y, motion=[zeros, zeros]), plain)
    seen: list[Tensor] = []
    hook = model.temporal_blocks[1].attn.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    model(x, t, y, motion=[zeros, zeros])
    model(x, t, y, motion=[zeros, ones])
    hook.remove()
    shift = seen[1] - seen[0]
    if site == "attention":
        torch.testing.assert_close(shift, torch.ones_like(shift))
    else:  # a constant added to the stream vanishes in the layer norm before attention
        assert shift.abs().max() < 1e-4
    assert not torch.equal(model(x, t, y, motion=[zeros, ones]), plain)


def train_step(model: STDiT3, checkpointing: bool = False) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model.checkpointing = checkpointing
    model.zero_grad()
    x_mask = torch.tensor([[False, True, True]])
    out = model(torch.randn(1, 4, 3, 4, 4), torch.tensor([500.0]), torch.randn(1, 1, 8, 32), x_mask=x_mask)
    out.square().mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_checkpointing_gives_the_same_gradients() -> None:
    model = randomised(tiny())
    plain = train_step(model)
    for name, grad in train_step(model, checkpointing=True).items():
        torch.testing.assert_close(grad, plain[name])


def test_fresh_model_starts_with_idle_temporal_blocks_that_can_learn() -> None:
    model = STDiT3(tiny()).train()
    x = torch.randn(1, 3, 4, 48)
    text = model.precompute_text(torch.randn(1, 1, 8, 32), keys_values=False)
    rope = model.rope.tables(3)
    block = model.temporal_blocks[0]
    assert torch.equal(block(x, torch.randn(1, 1, 6, 1, 48), rope, text), x)
    grads = train_step(model)
    assert grads["temporal_blocks.0.attn.proj.weight"].abs().max() > 0
    assert grads["temporal_blocks.1.mlp.fc2.weight"].abs().max() > 0
    assert "rope.freqs" not in grads


@torch.no_grad()
def test_autocast_keeps_the_stream_in_bfloat16() -> None:
    model = randomised(tiny(depth=1))
    x, t, y = torch.randn(1, 4, 2, 4, 4), torch.tensor([500.0]), torch.randn(1, 1, 4, 32)
    streams: list[torch.dtype] = []
    hook = model.temporal_blocks[0].register_forward_hook(lambda m, i, out: streams.append(out.dtype))
    exact = model(x, t, y)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(x, t, y)
    hook.remove()
    assert streams == [torch.float32, torch.bfloat16]
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 0.1 * exact.abs().max()
