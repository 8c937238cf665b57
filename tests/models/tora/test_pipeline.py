"""Sampling with a tiny random network: what is drawn, encoded, kept and repeated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from toraeval.geometry import native_frames
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.nano.pipeline import ClipRequest, sample_latents
from toraeval.models.shared.noise import initial_noise
from toraeval.models.shared.sampling_options import SamplingOptions
from toraeval.models.shared.trajectory import integer_points, trajectory_video
from toraeval.models.tora.conditions.nano_motion import motion_latents
from toraeval.models.tora.nano import NanoTora
from toraeval.models.tora.network.model import ToraNetwork

EXACT = SamplingOptions(steps=3, precision="fp32")
PROMPT = "a red circle with a blue disc moves over a grey background"


def path(frames: int = 9) -> np.ndarray:
    """One object that crosses a 128 x 128 picture (1, frames, 2)."""
    return np.linspace((20.3, 30.0), (100.0, 64.9), frames)[None]


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)


def sample(model: ToraNetwork, vae: LinearPatchAutoencoder, **changes: object) -> Tensor:
    arguments: dict[str, object] = {
        "key": "case",
        "seed": 0,
        "prompt": PROMPT,
        "given_THWC": picture()[None],
        "tracks_NT2": path(),
        "fps": 8.0,
    }
    options = changes.pop("options", EXACT)
    request = ClipRequest(**{**arguments, **changes})  # type: ignore[arg-type]
    return sample_latents(model, vae, request, options, NanoTora.conditions)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frames", "native"), [(1, 1), (2, 5), (5, 5), (16, 17), (17, 17), (64, 65), (128, 129)]
)
def test_native_frames(frames: int, native: int) -> None:
    assert native_frames(frames) == native


@pytest.mark.parametrize(
    ("tracks", "height", "width"),
    [
        (path(9), 128, 128),
        (np.full((1, 5, 2), 40.0), 64, 96),
        (np.random.default_rng(0).uniform(0, 160, (3, 13, 2)), 160, 160),
        (np.array([[[0, 0], [10, 0], [0, 0], [0, 12], [3, 3]]], float), 64, 64),
    ],
    ids=["line", "rest", "wild", "corner"],
)
def test_motion_latents_are_those_of_the_whole_picture(
    tiny_vae: LinearPatchAutoencoder, tracks: np.ndarray, height: int, width: int
) -> None:
    video = trajectory_video(integer_points(tracks, width, height), width, height)
    expected = tiny_vae.encode(video)[None]
    torch.testing.assert_close(motion_latents(tiny_vae, tracks, height, width), expected, rtol=0, atol=1e-3)


def test_noise_depends_on_key_and_seed_and_starts_alike_at_every_length() -> None:
    short, long = (initial_noise("a/b", 3, (1, 6, t, 4, 4)) for t in (3, 9))
    assert torch.equal(short, long[:, :, :3])
    assert not torch.equal(short, initial_noise("a/c", 3, (1, 6, 3, 4, 4)))
    assert not torch.equal(short, initial_noise("a/b", 4, (1, 6, 3, 4, 4)))
    assert abs(float(long.std()) - 1) < 0.1
    before = torch.random.get_rng_state()
    initial_noise("a/b", 3, (1, 6, 3, 4, 4))
    assert torch.equal(before, torch.random.get_rng_state())


def test_first_latent_is_the_given_frame(tiny_tora: ToraNetwork, tiny_vae: LinearPatchAutoencoder) -> None:
    latents = sample(tiny_tora, tiny_vae)
    assert (latents.shape, latents.dtype) == ((6, 3, 4, 4), torch.float32)
    assert torch.equal(latents[:, 0], tiny_vae.encode(picture()[None])[:, 0])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_request_gives_the_same_bits(
    tiny_tora: ToraNetwork, tiny_vae: LinearPatchAutoencoder, precision: str
) -> None:
    options = replace(EXACT, precision=precision)
    first = sample(tiny_tora, tiny_vae, options=options)
    torch.rand(7)
    sample(tiny_tora, tiny_vae, prompt="something else", tracks_NT2=path()[:, ::-1], options=options)
    assert torch.equal(first, sample(tiny_tora, tiny_vae, options=options))


def test_the_number_of_threads_does_not_matter(
    tiny_tora: ToraNetwork, tiny_vae: LinearPatchAutoencoder
) -> None:
    one = sample(tiny_tora, tiny_vae)
    torch.set_num_threads(2)
    torch.testing.assert_close(sample(tiny_tora, tiny_vae), one, rtol=0, atol=1e-5)


def test_every_condition_matters(tiny_tora: ToraNetwork, tiny_vae: LinearPatchAutoencoder) -> None:
    plain = sample(tiny_tora, tiny_vae)
    changes: list[dict[str, object]] = [
        {"prompt": PROMPT.replace("red", "green")},
        {"given_THWC": picture()[::-1].copy()[None]},
        {"tracks_NT2": path()[:, :, ::-1]},
        {"seed": 1},
        {"key": "other"},
        {"fps": 24.0},
        {"options": replace(EXACT, steps=4)},
        {"options": replace(EXACT, guidance=2.0)},
    ]
    for change in changes:
        moved = (sample(tiny_tora, tiny_vae, **change)[:, 1:] - plain[:, 1:]).abs().max()
        assert moved > 1e-5, change


def test_guidance_just_above_one_changes_little(
    tiny_tora: ToraNetwork, tiny_vae: LinearPatchAutoencoder
) -> None:
    plain = sample(tiny_tora, tiny_vae)
    guided = sample(tiny_tora, tiny_vae, options=replace(EXACT, guidance=1.0 + 1e-6))
    torch.testing.assert_close(guided, plain, rtol=0, atol=1e-3)


def test_bfloat16_is_close(tiny_tora: ToraNetwork, tiny_vae: LinearPatchAutoencoder) -> None:
    exact = sample(tiny_tora, tiny_vae)
    rounded = sample(tiny_tora, tiny_vae, options=replace(EXACT, precision="bf16"))
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).abs().max() < 0.2 * exact.abs().max()
