"""The motion-guidance fuser against numbers recorded from Tora's release, and its matrix products against torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.parity_data import allowance, read_arrays
from toraeval.models.shared.network.config import FUSER_PLACES, FUSER_SITES, FUSERS, nano, tiny
from toraeval.models.shared.network.fuser import AdaptiveNormFuser, CrossAttentionFuser, build_fuser, conv3x3
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.tora.network.model import ToraNetwork

Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "tora" / "mgf_tiny_a.npz")


def tokens(golden: Golden, name: str, frames: int) -> Tensor:
    """A recorded map [(B T), C, H, W] as tokens [B, T, S, C]."""
    value = torch.from_numpy(golden[name])
    return value.flatten(2).transpose(1, 2).unflatten(0, (-1, frames))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=allowance(expected))


@pytest.mark.parametrize("case", ["case0", "case1"])
def test_recorded_outputs_and_gradients(golden: Golden, case: str) -> None:
    fuser = AdaptiveNormFuser(8, 64, groups=32)
    state = {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith("sd/")}
    fuser.load_state_dict(state, strict=True)
    frames, (rows, columns) = int(golden[f"{case}/T"]), golden[f"{case}/h"].shape[2:]
    hidden = tokens(golden, f"{case}/h", frames).requires_grad_()
    motion = tokens(golden, f"{case}/flow", frames).requires_grad_()
    out = fuser(hidden, motion, (rows, columns))
    close(out, tokens(golden, f"{case}/out", frames))
    (out * tokens(golden, f"{case}/w", frames)).sum().backward()
    assert hidden.grad is not None
    assert motion.grad is not None
    close(hidden.grad, tokens(golden, f"{case}/grad_h", frames))
    close(motion.grad, tokens(golden, f"{case}/grad_flow", frames))


@pytest.mark.parametrize("groups", [0, 32])
def test_untrained_fuser_changes_not_one_bit(groups: int) -> None:
    fuser = AdaptiveNormFuser(8, 64, groups)
    x = torch.randn(2, 3, 6, 64) * 100
    assert torch.equal(fuser(x, torch.randn(2, 3, 6, 8), (2, 3)), x)


def test_untrained_fuser_can_learn() -> None:
    fuser = AdaptiveNormFuser(8, 64, 0)
    fuser(torch.randn(1, 3, 4, 64), torch.randn(1, 3, 4, 8)).square().sum().backward()
    for conv in (fuser.flow_gamma_temporal, fuser.flow_beta_temporal):
        assert conv.weight.grad is not None
        assert conv.weight.grad.abs().max() > 0


def test_conv3x3_is_the_convolution() -> None:
    conv, x = nn.Conv2d(5, 7, 3, padding=1), torch.randn(2, 4, 6, 5)
    expected = conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(conv3x3(x, conv), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_time_product_is_the_convolution_with_repeated_ends(frames: int) -> None:
    fuser, motion = AdaptiveNormFuser(8, 64, 0), torch.randn(2, frames, 6, 8)
    nn.init.normal_(fuser.flow_gamma_temporal.weight)
    nn.init.normal_(fuser.flow_gamma_temporal.bias)
    with torch.no_grad():
        ours = fuser._branch(motion, 2, 3, fuser.flow_gamma_spatial, fuser.flow_gamma_temporal)
        inner = fuser.flow_gamma_spatial(motion.reshape(-1, 2, 3, 8).permute(0, 3, 1, 2))
        along_time = inner.unflatten(0, (2, frames)).permute(0, 3, 4, 2, 1).reshape(12, 16, frames)
        expected = fuser.flow_gamma_temporal(along_time).view(2, 6, 64, frames).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def test_motion_acts_only_near_itself() -> None:
    fuser = AdaptiveNormFuser(8, 64, 0)
    for parameter in fuser.parameters():
        nn.init.normal_(parameter)
    x, rest = torch.randn(1, 7, 36, 64), torch.zeros(1, 7, 36, 8)
    moved = rest.clone()
    moved[0, 3, 0] = 1.0
    with torch.no_grad():
        changed = (fuser(x, moved) - fuser(x, rest)).abs().amax(-1)[0].view(7, 6, 6) > 0
    expected = torch.zeros(7, 6, 6, dtype=torch.bool)
    expected[2:5, :2, :2] = True
    assert torch.equal(changed, expected)


def test_each_size_gets_the_norm_of_its_configuration() -> None:
    assert build_fuser(nano()).flow_cond_norm is None
    norm = build_fuser(tiny(hidden_size=64, fuser="adaptive_norm", fuser_groups=32)).flow_cond_norm
    assert norm is not None
    assert norm.num_groups == 32


DESIGNS = [name for name in FUSERS if name != "none"]


@pytest.mark.parametrize("site", FUSER_SITES)
@pytest.mark.parametrize("place", FUSER_PLACES)
@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_untrained_fusers_leave_the_backbone_bit_identical(design: str, place: str, site: str) -> None:
    config = tiny(fuser=design, fuser_place=place, fuser_site=site)
    model, backbone = ToraNetwork(config).eval(), STDiT3(tiny()).eval()
    state = model.state_dict()
    backbone.load_state_dict({k: state[k] for k in backbone.state_dict()})
    x, t, y = torch.randn(2, 4, 3, 4, 6), torch.tensor([500.0, 20.0]), torch.randn(2, 1, 8, 32)
    motion = model.encode_motion(torch.randn(2, 4, 3, 4, 6))
    assert torch.equal(model(x, t, y, motion=motion), backbone(x, t, y))


@pytest.mark.parametrize("place", FUSER_PLACES)
@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_learns_at_every_place(design: str, place: str) -> None:
    model = ToraNetwork(tiny(fuser=design, fuser_place=place))
    for p in model.parameters():  # a fresh network's zero outputs would hide the features
        if p.requires_grad:
            nn.init.normal_(p, std=0.1)
    x, t, y = torch.randn(1, 4, 3, 4, 4), torch.tensor([500.0]), torch.randn(1, 1, 8, 32)
    model(x, t, y, motion=model.encode_motion(torch.randn(1, 4, 3, 4, 4))).square().mean().backward()
    lists = {"fuser": model.fuser, "fuser_spatial": model.fuser_spatial}
    assert {name for name, fusers in lists.items() if fusers is not None} == {
        "temporal": {"fuser"}, "spatial": {"fuser_spatial"}, "both": {"fuser", "fuser_spatial"},
    }[place]  # fmt: skip
    for fusers in lists.values():
        for name, p in [] if fusers is None else list(fusers.named_parameters()):
            assert p.grad is not None, name
            assert p.grad.abs().max() > 0, name
    assert model.traj_extractor.conv_in.weight.grad.abs().max() > 0


@torch.no_grad()
def test_cross_attention_knows_where_a_feature_lies() -> None:
    fuser = CrossAttentionFuser(8, 32, 4)
    nn.init.normal_(fuser.proj.weight)
    x, places = torch.zeros(1, 1, 6, 32), torch.randn(1, 1, 6, 32)
    motion = torch.zeros(1, 1, 6, 8)
    motion[..., 2, :] = 1
    moved = motion.flip(2)
    assert torch.allclose(fuser(x, motion), fuser(x, moved), atol=1e-6)
    assert not torch.allclose(fuser(x, motion, None, places), fuser(x, moved, None, places), atol=1e-3)


@pytest.mark.parametrize(("compression", "channels"), [("vae", 4), ("key_frame", 128), ("average", 128)])
def test_extractor_takes_what_the_compression_gives(compression: str, channels: int) -> None:
    model = ToraNetwork(tiny(fuser="adaptive_norm", compression=compression))
    features = model.encode_motion(torch.randn(1, channels, 2, 4, 6))
    assert [f.shape for f in features] == [(1, 2, 6, 16)] * 2
