"""What the benchmark of the diffusion transformer counts and compares with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops import forward_flops, text_flops
from benchmarks.open_sora import BlockDiagonalMask, load_upstream, packed_attention
from benchmarks.stdit_sampling import eager_baseline
from toraeval.models.shared.network import blocks
from toraeval.models.shared.network.config import STDiTConfig, tiny
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.types import UserError


@pytest.mark.parametrize("config", [tiny(), tiny(depth=3, mlp_ratio=2.0, pred_sigma=False, cond_channels=3)])
def test_counted_operations_equal_those_that_torch_counts(config: STDiTConfig) -> None:
    model = STDiT3(config).bfloat16()  # 16-bit attention is two products, which torch's counter knows
    batch, text_tokens = 2, 5
    y, cond = torch.randn(batch, 1, text_tokens, 32), None
    if config.cond_channels:
        cond = torch.randn(batch, config.cond_channels, 3, 6, 8)
    with FlopCounterMode(display=False) as counter:
        text = model.precompute_text(y)
    assert counter.get_total_flops() == text_flops(config, batch, text_tokens)
    with FlopCounterMode(display=False) as counter:
        model(
            torch.randn(batch, 4, 3, 6, 8), torch.tensor([100.0, 900.0]), fps=torch.tensor([24.0, 8.0]),
            cond=cond, text=text,
        )  # fmt: skip
    assert counter.get_total_flops() == forward_flops(config, batch, (3, 3, 4), text_tokens)


@torch.no_grad()
def test_baseline_computes_the_same_and_leaves_no_trace() -> None:
    model = STDiT3(tiny()).eval()
    torch.nn.init.normal_(model.temporal_blocks[0].attn.proj.weight, std=0.1)
    x, t, y = torch.randn(2, 4, 3, 4, 4), torch.tensor([300.0, 700.0]), torch.randn(2, 1, 8, 32)
    mask = torch.tensor([[1] * 8, [1] * 3 + [0] * 5])
    plain, limits = model(x, t, y, mask), dict(blocks.SLICE_BYTES)
    with eager_baseline():
        assert blocks.SLICE_BYTES["cpu"] > limits["cpu"]
        torch.testing.assert_close(model(x, t, y, mask), plain, rtol=0, atol=1e-5)
    assert limits == blocks.SLICE_BYTES
    assert torch.equal(model(x, t, y, mask), plain)


def test_packed_attention_keeps_samples_apart() -> None:
    q, k, v = torch.randn(1, 8, 2, 4), torch.randn(1, 5, 2, 4), torch.randn(1, 5, 2, 4)
    allowed = torch.zeros(8, 5, dtype=torch.bool)
    allowed[:4, :3] = allowed[4:, 3:] = True
    expected = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), attn_mask=allowed)
    out = packed_attention(q, k, v, attn_bias=BlockDiagonalMask.from_seqlens([4, 4], [3, 2]))
    torch.testing.assert_close(out, expected.transpose(1, 2))


def test_a_folder_that_is_not_a_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a checkout of Open-Sora v1\.2\.0.*git clone"):
        load_upstream(tmp_path)
