"""Parts of the U-Nets against torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from baselines.dragnuwa.network import FlowFusion
from baselines.unet.blocks import Conv3x3, GroupNorm, TimeConv, group_norm


def test_group_norm_equals_torch() -> None:
    x = torch.randn(3, 5, 4, 12) * 3 + 2
    norm = GroupNorm(4, 12)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    expected = F.group_norm(x.permute(0, 3, 1, 2), 4, norm.weight, norm.bias).permute(0, 2, 3, 1)
    torch.testing.assert_close(norm(x), expected, atol=1e-5, rtol=1e-5)


def test_group_norm_with_a_scale_for_every_frame() -> None:
    x, scale, shift = torch.randn(2, 3, 3, 8), torch.randn(2, 8), torch.randn(2, 8)
    plain = F.group_norm(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    expected = plain * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(group_norm(x, 2, scale, shift), expected, atol=1e-5, rtol=1e-5)


def test_group_norm_of_constant_input_is_finite() -> None:
    out = group_norm(torch.full((1, 2, 2, 4), 7.0), 2, torch.ones(4), torch.zeros(4))
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_equals_torch(stride: int) -> None:
    ours = Conv3x3(6, 10, stride)
    theirs = nn.Conv2d(6, 10, 3, stride, padding=1)
    with torch.no_grad():
        ours.weight.copy_(theirs.weight.permute(0, 2, 3, 1).flatten(1))
        ours.bias.copy_(theirs.bias)
    x = torch.randn(2, 5, 7, 6)
    torch.testing.assert_close(
        ours(x), theirs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), atol=1e-5, rtol=1e-5
    )


def test_time_convolution_starts_as_the_identity_and_sees_one_frame_each_way() -> None:
    x = torch.randn(1, 5, 2, 2, 8)
    layer = TimeConv(8, 4)
    assert torch.equal(layer(x), x)
    with torch.no_grad():
        layer.mix.weight.normal_()
    changed = x.clone()
    changed[:, 4] += 1
    same = [torch.equal(layer(x)[:, t], layer(changed)[:, t]) for t in range(5)]
    assert same == [True, True, True, False, False]


def test_flow_fusion_is_norm_times_gamma_plus_beta() -> None:
    fusion = FlowFusion(motion_channels=6, width=8, groups=4)
    x, motion = torch.randn(1, 2, 3, 5, 8), torch.randn(1, 2, 3, 5, 6)
    assert torch.equal(fusion.apply_to(x, motion), x)
    with torch.no_grad():
        for branch, value in ((fusion.flow_gamma_temporal, 0.5), (fusion.flow_beta_temporal, 0.25)):
            assert branch.bias is not None
            branch.bias.fill_(value)
    normed = F.group_norm(x[0].permute(0, 3, 1, 2), 4).permute(0, 2, 3, 1)[None]
    torch.testing.assert_close(fusion.apply_to(x, motion), x + 0.5 * normed + 0.25, atol=1e-5, rtol=1e-5)
