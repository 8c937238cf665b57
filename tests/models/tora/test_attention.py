"""Norm and attention of the diffusion transformer against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from toraeval.models.shared.network import attention
from toraeval.models.shared.network.attention import NORM_EPS, RMSNorm, SelfAttention, attend
from toraeval.models.shared.network.config import tiny


def test_rms_norm_equals_torch() -> None:
    norm, x = RMSNorm(6), torch.randn(3, 2, 6)
    torch.nn.init.normal_(norm.weight)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (6,), norm.weight, eps=NORM_EPS))


def test_rms_norm_gradient() -> None:
    norm = RMSNorm(6).double()
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(3, 2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, w: torch.func.functional_call(norm, {"weight": w}, x), (x, norm.weight)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_with_a_mask_equals_a_float64_one(dtype: torch.dtype) -> None:
    q, k, v = (torch.randn(2, 3, n, 4).to(dtype) for n in (7, 5, 5))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()[:, None, None]
    expected = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), attn_mask=mask)
    tolerance = 1e-6 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(attend(q * 0.5, k, v, mask).double(), expected, rtol=0, atol=tolerance)


def test_both_kernels_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (torch.randn(2, 3, n, 4).bfloat16() for n in (7, 5, 5))
    products = attend(q, k, v)
    monkeypatch.setattr(attention, "SHORT_KEYS", 0)
    torch.testing.assert_close(attend(q, k, v), products, rtol=0, atol=0.05)


def test_queries_and_keys_are_normed_together_as_apart() -> None:
    layer = SelfAttention(tiny(), temporal=False)
    for norm in (layer.q_norm, layer.k_norm):
        torch.nn.init.normal_(norm.weight)
    qk = torch.randn(2, 3, 4, 2, 4, 12)
    q, k = layer._normalise(qk).unbind(3)
    torch.testing.assert_close(q, layer.q_norm(qk[:, :, :, 0]) * 12**-0.5)
    torch.testing.assert_close(k, layer.k_norm(qk[:, :, :, 1]))


def test_without_norm_only_the_scale_is_applied() -> None:
    layer = SelfAttention(tiny(qk_norm=False), temporal=True)
    qk = torch.randn(2, 3, 4, 2, 4, 12)
    q, k = layer._normalise(qk).unbind(3)
    torch.testing.assert_close(q, qk[:, :, :, 0] * 12**-0.5)
    assert torch.equal(k, qk[:, :, :, 1])
