"""The full-size pipeline against its parts called by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.tora.full_size import autoencoder, decoded, network, paths, picture
from toraeval.models.shared.network.config import tiny
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.noise import initial_noise
from toraeval.models.shared.rectified_flow import ClipSize, RectifiedFlow
from toraeval.models.shared.trajectory import integer_points, trajectory_video
from toraeval.models.tora.autoencoder.video import OpenSoraVAE
from toraeval.models.tora.conditions.given_frames import frame_conditions
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.models.tora.options import ToraOptions
from toraeval.models.tora.sampling.pipeline import Caption, VideoPipeline, VideoRequest
from toraeval.types import ByteArray, UserError

CPU = torch.device("cpu")
HEIGHT, WIDTH, TOLD = 32, 40, (34, 43)


@pytest.fixture(scope="module")
def model() -> STDiT3:
    return network(replace(tiny(), fuser="adaptive_norm"))


@pytest.fixture(scope="module")
def vae() -> OpenSoraVAE:
    return autoencoder()


def request(frames: int = 17, kind: str = "text", loops: int = 1, **changes: object) -> VideoRequest:
    pictures = [picture(HEIGHT, WIDTH, seed) for seed in (0, 1)]
    made = VideoRequest(
        key="case",
        seed=0,
        frames=frames,
        height=HEIGHT,
        width=WIDTH,
        told_size=TOLD,
        fps=12.0,
        tracks_NT2=paths(2, frames, WIDTH, HEIGHT),
        references=pictures,
        conditions=frame_conditions(kind, loops),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def caption(tokens: int = 5) -> Caption:
    features = torch.randn(1, 1, 8, 32, generator=torch.Generator().manual_seed(tokens))
    return Caption(features, (torch.arange(8) < tokens).long()[None])


def to_pixels(frames_THWC: ByteArray) -> Tensor:
    return torch.from_numpy(frames_THWC).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def to_frames(video_BCTHW: Tensor) -> ByteArray:
    levels = ((video_BCTHW[0] + 1) / 2 * 255).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(1, 2, 3, 0).numpy()


def same(made: ByteArray, expected: ByteArray) -> None:
    """Equal but for the rounding of levels."""
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert (made != expected).mean() < 0.01


def test_the_steps_by_hand(model: STDiT3, vae: OpenSoraVAE) -> None:
    asked, text = request(kind="first_last_frame"), caption()
    made = VideoPipeline(model, vae, ToraOptions("tiny", steps=3, guidance=2.5), CPU).generate(asked, [text])

    assert isinstance(model, ToraNetwork)
    assert asked.tracks_NT2 is not None
    points = integer_points(asked.tracks_NT2, WIDTH, HEIGHT)
    motion = vae.encode(to_pixels(trajectory_video(points, WIDTH, HEIGHT, "opencv")))
    features = [feature.repeat(2, 1, 1, 1) for feature in model.encode_motion(motion)]
    z = initial_noise("case", 0, (1, 4, 5, HEIGHT // 8, WIDTH // 8))
    mask = torch.ones(1, 5)
    for place, image in ((0, asked.references[0]), (-1, asked.references[1])):
        z[:, :, place] = vae.encode(to_pixels(image[None]))[:, :, 0]
        mask[:, place] = 0
    y = torch.cat((text.features, model.y_embedder.y_embedding[None, None]))

    def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        out: Tensor = model(
            x,
            timestep,
            y,
            text.mask,
            x_mask,
            torch.tensor([12.0]),
            float(TOLD[0]),
            float(TOLD[1]),
            motion=features,
        )
        return out

    size = ClipSize(float(TOLD[0]), float(TOLD[1]), 17.0)
    z = RectifiedFlow().sample(denoise, z, 3, 2.5, size, mask)
    expected = to_frames(decoded(vae, z, 17))
    assert expected.std() > 1
    same(made, expected)


def test_without_given_frames_the_mask_changes_nothing(
    model: STDiT3, vae: OpenSoraVAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks: list[Tensor | None] = []
    sample = RectifiedFlow.sample

    def note(self: RectifiedFlow, *arguments: object) -> Tensor:
        masks.append(arguments[5])  # type: ignore[arg-type]
        return sample(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RectifiedFlow, "sample", note)
    pipeline = VideoPipeline(model, vae, ToraOptions("tiny", steps=1), CPU)
    pipeline.generate(request(5), [caption()])
    pipeline.generate(request(5, "first_frame"), [caption()])
    assert masks[0] is None
    assert masks[1] is not None
    assert masks[1].tolist() == [[0, 1]]


def test_a_loop_goes_on_from_the_frames_before(model: STDiT3, vae: OpenSoraVAE) -> None:
    pipeline = VideoPipeline(model, vae, ToraOptions("tiny", steps=1, guidance=1.0, loop_frames=34), CPU)
    whole = pipeline.generate(request(51, "text"), [caption()])
    assert whole.shape == (51, HEIGHT, WIDTH, 3)
    tracks = paths(2, 51, WIDTH, HEIGHT)
    first = pipeline.generate(request(34, tracks_NT2=tracks[:, :34]), [caption()])
    assert np.array_equal(whole[:34], first)
    latents = pipeline._sample(request(51), caption(), 1, (17, 51), first[-17:])
    assert torch.equal(latents[:, :, :5], vae.encode(to_pixels(first[-17:])))
    same(whole[34:], to_frames(decoded(vae, latents, 34))[17:])


def test_each_loop_has_its_caption_and_its_noise(model: STDiT3, vae: OpenSoraVAE) -> None:
    pipeline = VideoPipeline(model, vae, ToraOptions("tiny", steps=1, guidance=1.0, loop_frames=34), CPU)
    one = pipeline.generate(request(40), [caption(5)])
    two = pipeline.generate(request(40), [caption(5), caption(3)])
    assert np.array_equal(one[:34], two[:34])
    assert not np.array_equal(one[34:], two[34:])


def test_tiles_and_samples_of_the_posterior(model: STDiT3, vae: OpenSoraVAE) -> None:
    def made(**options: object) -> ByteArray:
        sampling = ToraOptions("tiny", steps=1, guidance=1.0, **options)  # type: ignore[arg-type]
        return VideoPipeline(model, vae, sampling, CPU).generate(request(5, "first_frame"), [caption()])

    plain, tiled, sampled = made(), made(tiling=4), made(posterior="sample")
    assert not np.array_equal(plain, tiled)
    assert not np.array_equal(plain, sampled)
    assert np.array_equal(sampled, made(posterior="sample"))


def test_latents_that_are_not_numbers(vae: OpenSoraVAE) -> None:
    broken = network(replace(tiny(), fuser="none"))
    broken.final_layer.linear.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="case gave non-finite latents; try precision=fp32"):
        VideoPipeline(broken, vae, ToraOptions("tiny", steps=1), CPU).generate(request(5), [caption()])
