"""Rectified flow against numbers recorded from Open-Sora v1.2.0, and the clean-latent output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.parity_data import allowance, read_arrays
from toraeval.models.shared.rectified_flow import (
    ClipSize,
    FlowConfig,
    RectifiedFlow,
    logit_normal,
    time_ratio,
    transform_timesteps,
)

NUM_CASES = 16
Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "open_sora" / "rectified_flow_a.npz")


def close(actual: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(
        actual, torch.from_numpy(expected).to(actual.dtype), rtol=0, atol=allowance(expected), equal_nan=True
    )


def tensors(golden: Golden, prefix: str) -> dict[str, Tensor]:
    return {
        k.removeprefix(prefix): torch.from_numpy(v)
        for k, v in golden.items()
        if k.startswith(prefix) and v.dtype.kind != "U"
    }


@pytest.mark.parametrize("case", range(NUM_CASES))
def test_sampling_times(golden: Golden, case: int) -> None:
    height, width, num_frames, steps = golden["ts/cases"][case].tolist()
    upstream = RectifiedFlow(FlowConfig(guard_short_clips=False))
    size = ClipSize(height, width, num_frames)
    close(upstream.sampling_times(steps, 1, size)[:, 0], golden[f"ts/{case}/transformed"])
    as_bf16 = ClipSize(*(torch.tensor([v], dtype=torch.bfloat16) for v in (height, width, num_frames)))
    close(upstream.sampling_times(steps, 1, as_bf16)[:, 0], golden[f"ts/{case}/transformed_bf16args"])
    close(
        RectifiedFlow(FlowConfig(use_transform=False)).sampling_times(steps, 1)[:, 0],
        golden[f"ts/{case}/raw"],
    )
    discrete = RectifiedFlow(FlowConfig(use_transform=False, discrete=True, time_sampling="uniform"))
    close(discrete.sampling_times(steps, 1)[:, 0], golden[f"ts/{case}/discrete_raw"])


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_transform_scale(golden: Golden, scale: float) -> None:
    data = tensors(golden, "tf/")
    size = ClipSize(data["height"], data["width"], data["num_frames"])
    close(transform_timesteps(data["t"], size, scale), golden[f"tf/out_scale{scale}"])


@given(st.integers(2, 400))
def test_guard_changes_nothing_but_the_short_clips(num_frames: int) -> None:
    frames = torch.tensor([float(num_frames)])
    ours, upstream = time_ratio(frames), time_ratio(frames, guard_short_clips=False)
    if num_frames < 17:
        assert upstream.item() == 0
        assert ours.item() == -(-num_frames // 4)
    else:
        assert ours.item() == upstream.item()


def test_guard_covers_an_image_behind_a_video_in_the_batch() -> None:
    assert time_ratio(torch.tensor([51.0, 1.0])).tolist() == [15.0, 1.0]


def test_guarded_short_clip_sees_all_noise_levels() -> None:
    times = RectifiedFlow().sampling_times(10, 1, ClipSize(512, 512, 16))[:, 0]
    assert times[0] == 1000
    assert (times.diff() < 0).all()
    assert times[-1] > 0


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (0.5, 0.7)])
def test_logit_normal(golden: Golden, loc: float, scale: float) -> None:
    times = logit_normal(torch.from_numpy(golden["logitnormal/n"]), loc, scale) * 1000
    close(times, golden[f"logitnormal/t_loc{loc}_scale{scale}"])


@pytest.mark.parametrize("time_sampling", ["uniform", "logit-normal"])
def test_training_times_come_from_the_generator_alone(time_sampling: str) -> None:
    flow = RectifiedFlow(FlowConfig(time_sampling=time_sampling))
    size = ClipSize(512, 512, 51)
    first = flow.sample_times(1000, size, torch.Generator().manual_seed(3))
    torch.rand(5)
    assert torch.equal(first, flow.sample_times(1000, size, torch.Generator().manual_seed(3)))
    assert first.min() >= 0
    assert first.max() <= 1000
    untransformed = RectifiedFlow(FlowConfig(time_sampling=time_sampling, use_transform=False))
    assert (
        first.mean() > untransformed.sample_times(1000, None, torch.Generator().manual_seed(3)).mean() + 100
    )


def test_discrete_training_times_are_integers() -> None:
    flow = RectifiedFlow(FlowConfig(time_sampling="uniform", discrete=True, use_transform=False))
    times = flow.sample_times(100, None, torch.Generator().manual_seed(0))
    assert torch.equal(times, times.round())


def test_noising_and_losses(golden: Golden) -> None:
    data = tensors(golden, "train/")
    flow, seen = RectifiedFlow(), []

    def model(x: Tensor, t: Tensor, x_mask: Tensor | None) -> Tensor:
        seen.append((x, t, x_mask))
        velocity = 0.3 * x - (t / 1000).view(-1, 1, 1, 1, 1)
        return torch.cat((velocity, 9 * velocity), dim=1)

    close(flow.add_noise(data["x0"], data["noise"], data["t"]), golden["train/x_t"])
    close(flow.loss(model, data["x0"], data["t"], data["noise"]), golden["train/loss"])
    close(flow.loss(model, data["x0"], data["t"], data["noise"], data["mask"]), golden["train/loss_masked"])
    x, t, x_mask = seen[-1]
    close(x, golden["train/x_t_masked"])
    close(t, golden["train/t_given_masked"])
    assert x_mask is not None
    assert torch.equal(x_mask, data["mask"])


@pytest.mark.parametrize("scenario", ["plain", "notransform", "mask", "mask_all_ones"])
def test_sampling(golden: Golden, scenario: str) -> None:
    data = tensors(golden, f"sample_{scenario}/")
    meta: dict[str, Any] = json.loads(str(golden[f"sample_{scenario}/meta"]))
    flow = RectifiedFlow(FlowConfig(use_transform=meta["use_timestep_transform"]))
    batch, seen = len(data["z_init"]), []
    text = torch.cat((data["y_cond"], data["y_null"])).mean(dim=(1, 2, 3)).view(-1, 1, 1, 1, 1)

    def model(x: Tensor, t: Tensor, x_mask: Tensor | None) -> Tensor:
        seen.append((x[:batch], t[:batch], None if x_mask is None else x_mask[:batch]))
        velocity = meta["a"] * x - meta["b"] * (t / 1000).view(-1, 1, 1, 1, 1) + meta["c"] * text
        return torch.cat((velocity, 7 * velocity), dim=1)

    final = flow.sample(
        model,
        data["z_init"],
        meta["num_sampling_steps"],
        meta["cfg_scale"],
        ClipSize(meta["height"], meta["width"], meta["num_frames"]),
        data.get("mask"),
        (lambda step: data["noise"][step]) if "noise" in data else None,
    )
    close(final, golden[f"sample_{scenario}/z_final"])
    for i, (x, t, x_mask) in enumerate(seen):
        close(x, data["model_x"][i].numpy())
        close(t, data["timesteps"][i].numpy())
        if "x_mask" in data:
            assert x_mask is not None
            assert torch.equal(x_mask, data["x_mask"][i])


def test_a_perfect_model_of_either_kind_restores_the_clip() -> None:
    x0, noise = torch.randn(1, 2, 3, 4, 4), torch.randn(1, 2, 3, 4, 4)
    for prediction, target in (("velocity", x0 - noise), ("clean", x0)):
        flow = RectifiedFlow(FlowConfig(prediction=prediction, use_transform=False))
        out = flow.sample(lambda x, t, m, target=target: target, noise, num_steps=7, guidance=1.0)
        torch.testing.assert_close(out, x0, rtol=0, atol=1e-5)


def test_clean_loss_is_the_velocity_loss_above_t_min() -> None:
    x0, noise = torch.randn(2, 2, 3, 4, 4), torch.randn(2, 2, 3, 4, 4)
    t, guess = torch.tensor([50.0, 700.0]), torch.randn(2, 2, 3, 4, 4)
    clean = RectifiedFlow(FlowConfig(prediction="clean", t_min=0.1))
    velocity = RectifiedFlow(FlowConfig())
    mask = torch.tensor([[False, True, True], [True, True, True]])

    def as_velocity(x: Tensor, t: Tensor, x_mask: Tensor | None) -> Tensor:
        return (guess - velocity.add_noise(x0, noise, t)) / (t / 1000).view(-1, 1, 1, 1, 1)

    ours = clean.loss(lambda x, t, m: guess, x0, t, noise, mask)
    theirs = velocity.loss(as_velocity, x0, t, noise, mask)
    torch.testing.assert_close(ours[1], theirs[1])
    torch.testing.assert_close(ours[0], theirs[0] * (0.05 / 0.1) ** 2)


@pytest.mark.parametrize("prediction", ["velocity", "clean"])
def test_channel_weights_weigh_the_errors_of_their_channels(prediction: str) -> None:
    x0, noise, guess = (torch.randn(2, 3, 4, 2, 2) for _ in range(3))
    t, mask = torch.tensor([300.0, 800.0]), torch.tensor([[False, True, True, True]] * 2)
    flow = RectifiedFlow(FlowConfig(prediction=prediction))

    def loss(*weights: float) -> Tensor:
        return flow.loss(lambda x, t, m: guess, x0, t, noise, mask, torch.tensor(weights))

    plain = flow.loss(lambda x, t, m: guess, x0, t, noise, mask)
    assert torch.equal(loss(1, 1, 1), plain)
    torch.testing.assert_close(loss(2, 2, 2), 2 * plain)
    parts = [loss(1, 0, 0), loss(0, 1, 0), loss(0, 0, 1)]
    torch.testing.assert_close(parts[0] + parts[1] + parts[2], plain)
    torch.testing.assert_close(loss(0.5, 2, 3), 0.5 * parts[0] + 2 * parts[1] + 3 * parts[2])
    target = x0 - noise if prediction == "velocity" else x0
    scale = 1.0 if prediction == "velocity" else (t / 1000) ** -2
    alone = (guess - target)[:, 1, 1:].square().mean((1, 2, 3)) / 3 * scale
    torch.testing.assert_close(parts[1], alone)


@given(st.integers(1, 12))
def test_kept_frames_survive_any_step_count(num_steps: int) -> None:
    z = torch.randn(1, 2, 4, 2, 2)
    mask = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    flow = RectifiedFlow(FlowConfig(prediction="clean"))
    out = flow.sample(lambda x, t, m: x * 0.5, z, num_steps, 1.0, ClipSize(512, 512, 17), mask)
    assert torch.equal(out[:, :, [0, 3]], z[:, :, [0, 3]])
    assert not torch.equal(out[:, :, 1], z[:, :, 1])


@pytest.mark.parametrize(
    "options",
    [
        {"time_sampling": "normal"},
        {"prediction": "noise"},
        {"discrete": True, "time_sampling": "logit-normal"},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is not one of|need time_sampling"):
        FlowConfig(**options)


def test_bad_calls_are_refused() -> None:
    flow, z = RectifiedFlow(), torch.zeros(1, 1, 2, 2, 2)
    with pytest.raises(ValueError, match="num_steps is 0"):
        flow.sample(lambda x, t, m: x, z, num_steps=0)
    with pytest.raises(ValueError, match="size"):
        flow.sample(lambda x, t, m: x, z)
    with pytest.raises(ValueError, match="at least one must be noisy"):
        flow.loss(lambda x, t, m: x, z, torch.tensor([500.0]), z, torch.zeros(1, 2, dtype=torch.bool))


def test_rounding_above_the_first_step_leaves_frames_active() -> None:
    size = ClipSize(64.0, 64.0, 17.0)
    flow, z = RectifiedFlow(), torch.randn(1, 2, 3, 4, 4)
    assert flow.sampling_times(4, 1, size)[0] > 1000
    plain, masked = (
        flow.sample(lambda x, t, m: 0.3 * x, z, 4, 1.0, size, mask) for mask in (None, torch.ones(1, 3))
    )
    assert torch.equal(plain, masked)
