"""Sampling against the recorded run of Tora's release; conditions, order of draws, guidance with a first frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.parity_cogvideox import NETWORK
from benchmarks.parity_colours import LEVEL, jumps, level_difference
from benchmarks.parity_data import allowance
from toraeval.models.shared.noise import Draw, keyed_generator, seeded_draw
from toraeval.models.shared.trajectory import blur_flow, sparse_flow
from toraeval.models.tora_cogvideox.autoencoder import VideoAutoencoder
from toraeval.models.tora_cogvideox.pipeline import (
    DenoisingOptions,
    Networks,
    RequestedClip,
    check_positions,
    denoise,
    sample_frames,
    trajectory_picture,
)
from toraeval.models.tora_cogvideox.solver import Solver
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer
from toraeval.types import UserError

pytest.importorskip("diffusers")
Tiny = Callable[..., ToraCogVideoXTransformer]


def drawn(key: str, seed: int) -> Draw:
    return seeded_draw(keyed_generator(key, seed, "tora_cogvideox"))


def test_run_is_the_recorded_one(recorded: Callable[[str], Any]) -> None:
    golden = recorded("pipeline_tiny_a")
    params = golden.json("params")
    model = ToraCogVideoXTransformer(golden.config()).eval()
    model.load_state_dict(golden.state())
    noises = iter(golden["scheduler_noises"])
    text = torch.cat((golden["negative_prompt_embeds"], golden["prompt_embeds"]))
    states = list(denoise(
        model,
        Solver(params["steps"], golden.json("scheduler_config")),
        golden["init_latents"],
        text,
        golden["flow_latents"],
        lambda like: next(noises),
        DenoisingOptions(guidance=params["guidance_scale"]),
    ))  # fmt: skip
    expected = golden["latents_after_step"]
    torch.testing.assert_close(
        torch.stack(states), expected.float(), rtol=0, atol=allowance(expected, NETWORK)
    )
    final = golden["final_latents"]
    torch.testing.assert_close(states[-1], final, rtol=0, atol=allowance(final, NETWORK))
    assert next(noises, None) is None


def test_trajectory_picture_is_the_recorded_one(recorded: Callable[[str], Any]) -> None:
    golden = recorded("pipeline_tiny_a")
    picture = trajectory_picture(golden["points"].double().numpy() + 0.9, 48, 64).transpose(1, 2)
    levels = ((picture[0] + 1) * 127.5).round().to(torch.uint8)
    ours, recorded_levels = (p.permute(0, 2, 3, 1).numpy() for p in (levels, golden["flow_image_uint8"]))
    flow = blur_flow(sparse_flow(golden["points"].long().numpy(), 64, 48))
    assert level_difference(ours, recorded_levels, jumps(flow)) <= LEVEL
    assert (ours != recorded_levels).mean() < 0.005


def clip(frames: int = 9, first_frame: bool = False) -> RequestedClip:
    path = np.stack([np.linspace(4, 40, frames), np.full(frames, 16.0)], -1)[None]
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8) if first_frame else None
    return RequestedClip(path, frames, 32, 48, image)


def counted(draw: Draw, shapes: list[tuple[int, ...]]) -> Draw:
    def count(like: Tensor) -> Tensor:
        shapes.append(tuple(like.shape))
        return draw(like)

    return count


def text(copies: int = 2) -> Tensor:
    return torch.randn(copies, 12, 32, generator=torch.Generator().manual_seed(2))


def test_noise_is_drawn_in_upstreams_order(tiny: Tiny, tiny_vae: VideoAutoencoder) -> None:
    networks = Networks(tiny(), tiny_vae, Solver(3))
    shapes: list[tuple[int, ...]] = []
    frames = sample_frames(networks, text(), clip(), counted(drawn("a", 0), shapes), DenoisingOptions())
    assert (frames.shape, frames.dtype) == ((9, 32, 48, 3), np.uint8)
    # trajectory picture, latents, then one, two and one of the solver
    assert shapes == [(1, 16, 3, 4, 6)] + [(1, 3, 16, 4, 6)] * 5
    shapes.clear()
    options = DenoisingOptions(posterior="mode")
    sample_frames(networks, text(), clip(), counted(drawn("a", 0), shapes), options)
    assert shapes == [(1, 3, 16, 4, 6)] * 5


def test_what_the_clip_depends_on(tiny: Tiny, tiny_vae: VideoAutoencoder) -> None:
    networks = Networks(tiny(), tiny_vae, Solver(2))

    mode = DenoisingOptions(posterior="mode")

    def run(asked: RequestedClip, options: DenoisingOptions = mode, seed: int = 0) -> bytes:
        return sample_frames(networks, text(), asked, drawn("a", seed), options).tobytes()

    asked = clip()
    base = run(asked)
    assert run(asked) == base
    assert run(replace(asked, tracks_NT2=asked.tracks_NT2[:, ::-1])) != base
    assert run(asked, seed=1) != base
    assert run(asked, DenoisingOptions(posterior="sample")) != base
    assert run(asked, DenoisingOptions(posterior="mode", dynamic_guidance="off")) != base
    assert run(asked, DenoisingOptions(posterior="mode", offload=True)) == base


def test_guidance_works_with_a_first_frame(tiny: Tiny, tiny_vae: VideoAutoencoder) -> None:
    networks = Networks(tiny(in_channels=32), tiny_vae, Solver(3))
    shapes: list[tuple[int, ...]] = []
    asked = clip(first_frame=True)
    frames = sample_frames(networks, text(), asked, counted(drawn("a", 0), shapes), DenoisingOptions())
    assert shapes[:2] == [(1, 16, 1, 4, 6), (1, 16, 3, 4, 6)]
    assert asked.first_frame_HWC is not None
    other = replace(asked, first_frame_HWC=255 - asked.first_frame_HWC)
    assert not np.array_equal(
        sample_frames(networks, text(), other, drawn("a", 0), DenoisingOptions()), frames
    )


def test_guidance_of_equal_captions_changes_nothing(tiny: Tiny) -> None:
    """Both halves see the same trajectory, so with the same caption they agree and any scale gives one result."""
    model, solver = tiny(), Solver(2)
    same = text(1)
    z = drawn("z", 0)(torch.empty(1, 3, 16, 4, 6))
    results = [
        list(denoise(model, solver, z, same.repeat(n, 1, 1), z, drawn("a", 0), DenoisingOptions(scale)))[-1]
        for n, scale in ((1, 1.0), (2, 6.0))
    ]
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)


def test_wrong_inputs_are_named(tiny: Tiny) -> None:
    z, draw = torch.zeros(1, 3, 16, 4, 6), drawn("a", 0)
    model, solver = tiny(), Solver(2)
    with pytest.raises(UserError, match="1 caption for 1 clip at guidance 6; allowed: one clip, with 2"):
        next(denoise(model, solver, z, text(1), z, draw, DenoisingOptions()))
    with pytest.raises(UserError, match="takes no latents of a first frame"):
        next(denoise(model, solver, z, text(), z, draw, DenoisingOptions(), z))
    with pytest.raises(UserError, match="needs latents of a first frame"):
        next(denoise(tiny(in_channels=32), solver, z, text(), z, draw, DenoisingOptions()))


def test_learned_positions_exist_for_one_size(tiny: Tiny) -> None:
    model = tiny(in_channels=32, use_learned_positional_embeddings=True)
    check_positions(model, 9, 4, 6)
    for frames, rows, columns in ((17, 4, 6), (9, 6, 4)):
        with pytest.raises(UserError, match="exist for 9 frames of 48x32 only, not for"):
            check_positions(model, frames, rows, columns)
    model.learned_positions = False
    check_positions(model, 17, 6, 4)
