"""Norm and attention of the diffusion transformer against torch's own."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from toraeval.models.tora.attention import NORM_EPS, RMSNorm, SelfAttention, attend
from toraeval.models.tora.config import tiny


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


def test_attention_equals_the_fused_kernel_with_a_mask() -> None:
    q, k, v = torch.randn(2, 3, 7, 4), torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()[:, None, None]
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(attend(q * 0.5, k, v, mask), expected, rtol=0, atol=1e-6)


def test_queries_and_keys_are_normed_together_as_apart() -> None:
    attention = SelfAttention(tiny(), temporal=False)
    for norm in (attention.q_norm, attention.k_norm):
        torch.nn.init.normal_(norm.weight)
    qk = torch.randn(2, 3, 4, 2, 4, 12)
    q, k = attention._normalise(qk).unbind(3)
    torch.testing.assert_close(q, attention.q_norm(qk[:, :, :, 0]) * 12**-0.5)
    torch.testing.assert_close(k, attention.k_norm(qk[:, :, :, 1]))


def test_without_norm_only_the_scale_is_applied() -> None:
    attention = SelfAttention(tiny(qk_norm=False), temporal=True)
    qk = torch.randn(2, 3, 4, 2, 4, 12)
    q, k = attention._normalise(qk).unbind(3)
    torch.testing.assert_close(q, qk[:, :, :, 0] * 12**-0.5)
    assert torch.equal(k, qk[:, :, :, 1])
