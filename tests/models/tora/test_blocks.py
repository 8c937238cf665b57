"""Blocks worked on in slices, and the linear layer's second kernel, give the numbers of the plain computation."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.parity_data import allowance
from toraeval.models.shared.network import blocks
from toraeval.models.shared.network.blocks import STDiTBlock, TextContext
from toraeval.models.shared.network.config import tiny
from toraeval.models.shared.network.embeddings import RotaryEmbedding
from toraeval.models.shared.network.linear import Linear

WIDTH = 48


def randomised(temporal: bool) -> STDiTBlock:
    block = STDiTBlock(tiny(), temporal).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.1)
    return block


@torch.no_grad()
@pytest.mark.parametrize("temporal", [False, True])
@pytest.mark.parametrize("frames_at_t0", [False, True])
@pytest.mark.parametrize("tokens", [1, 7, 12, 40, 61])  # frames have 12, samples 60
def test_slices_give_the_whole(
    temporal: bool, frames_at_t0: bool, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = randomised(temporal)
    x, t6 = torch.randn(3, 5, 12, WIDTH), torch.randn(3, 5 if frames_at_t0 else 1, 6, 1, WIDTH)
    mask = torch.arange(8) < torch.tensor([3, 8, 5])[:, None]
    text, rope = TextContext(torch.randn(3, 8, WIDTH), mask), RotaryEmbedding(12).tables(5)
    with torch.enable_grad():
        whole = block(x, t6, rope, text)
    monkeypatch.setitem(blocks.SLICE_BYTES, "cpu", tokens * 4 * WIDTH * 4)
    before = x.clone()
    torch.testing.assert_close(block(x, t6, rope, text), whole.detach(), rtol=0, atol=allowance(whole))
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("tokens", "temporal", "expected"),
    [
        (10_000, False, [(3, 5, 12)]),
        (120, False, [(2, 5, 12), (1, 5, 12)]),
        (59, False, [(1, 4, 12), (1, 1, 12)] * 3),
        (59, True, [(1, 5, 11), (1, 5, 1)] * 3),
        (1, False, [(1, 1, 12)] * 15),
    ],
)
def test_slices_are_as_large_as_allowed_and_cover_the_input_once(
    tokens: int, temporal: bool, expected: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(blocks.SLICE_BYTES, "cpu", tokens * 4 * WIDTH * 4)
    x = torch.zeros(3, 5, 12, WIDTH)
    shapes = []
    for where in STDiTBlock(tiny(), temporal)._slices(x):
        shapes.append(tuple(x[where].shape[:3]))
        x[where] += 1
    assert shapes == expected
    assert (x == 1).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_linear_layer_equals_torch(dtype: torch.dtype, tolerance: float) -> None:
    layer, x = Linear(64, 96).to(dtype), torch.randn(2, 3, 5, 64, dtype=dtype)
    expected = F.linear(x, layer.weight, layer.bias).detach()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=tolerance)
        strided = x.transpose(1, 2)
        torch.testing.assert_close(layer(strided), expected.transpose(1, 2), rtol=0, atol=tolerance)
        gelu = F.gelu(expected.float(), approximate="tanh").to(dtype)
        torch.testing.assert_close(layer.gelu(x), gelu, rtol=0, atol=tolerance)


def test_linear_layer_learns() -> None:
    layer, x = Linear(8, 4), torch.randn(3, 8)
    layer.gelu(x).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().max() > 0


def test_a_compiled_block_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    block = randomised(False)
    block._compiled = lambda *args: pytest.fail("the copy runs compiled code")  # type: ignore[assignment]
    with torch.no_grad():
        x, t6 = torch.randn(1, 1, 4, WIDTH), torch.randn(1, 1, 6, 1, WIDTH)
        text = TextContext(torch.randn(1, 8, WIDTH), None)
        copy.deepcopy(block)(x, t6, RotaryEmbedding(12).tables(1), text)
