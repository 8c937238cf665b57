"""The generators at the embedded size: lengths, keys, guidance, errors; small random weights made here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.dragnuwa.generator import DragNUWA
from baselines.motionctrl.generator import MotionCtrl
from baselines.unet import checkpoint
from baselines.unet.network import UNet
from baselines.unet.rival import Rival
from toraeval import registry
from toraeval.config import schema_of
from toraeval.models.shared import noise as shared_noise
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.types import Case, MissingAsset, Trajectories, UserError, Video

CLASSES: dict[str, type[Rival]] = {"motionctrl": MotionCtrl, "dragnuwa": DragNUWA}
DESIGNS = tuple(CLASSES)


def smooth_basis() -> torch.Tensor:
    """Eight orthonormal low frequencies of a block (components, 12288)."""
    grid = torch.linspace(0, torch.pi, 32)
    waves = torch.stack(
        [torch.outer(torch.cos(i * grid), torch.cos(j * grid)) for i in range(4) for j in range(2)]
    )
    blocks = waves[:, None, :, :, None].expand(8, 4, 32, 32, 3).reshape(8, -1)
    return torch.linalg.qr(blocks.T).Q.T.contiguous()


@pytest.fixture
def weights(tmp_path: Path, make_network: Callable[..., UNet]) -> Callable[[str], str]:
    vae = LinearPatchAutoencoder(8)
    vae.basis.copy_(smooth_basis())
    vae.mean.fill_(120.0)
    vae.scale.fill_(500.0)

    def write(design: str) -> str:
        network, path = make_network(design), tmp_path / f"{design}.safetensors"
        checkpoint.save(path, network.state_dict(), vae, {"architecture": asdict(network.config)})
        return str(path)

    return write


def case(frames: int = 16, name: str = "a", **changes: Any) -> Case:
    steps = np.linspace(0, 1, frames)[:, None]
    tracks = (np.array([12.0, 20.0]) + steps * np.array([40.0, 20.0]))[None]
    paths = Trajectories(tracks, np.ones((1, frames), bool), (64, 96))
    first = np.random.default_rng(0).integers(0, 255, (96, 64, 3), np.uint8)
    made = Case(name, "test-v1", "a red circle moves", paths, frames, 96, 64, 8.0, 0, first)
    return replace(made, **changes)


def build(design: str, path: str, **options: Any) -> Rival:
    return CLASSES[design](**{"steps": 2, "weights": path, "precision": "fp32", **options})


@pytest.mark.parametrize("design", DESIGNS)
def test_a_clip_has_the_asked_frames_and_begins_with_the_given_one(
    weights: Callable[[str], str], design: str
) -> None:
    video = build(design, weights(design), precision="bf16").generate(case(), 0)
    assert video.frames_TCHW.shape == (16, 3, 96, 64)
    np.testing.assert_array_equal(video.thwc[0], case().first_frame_HWC)
    assert video.info["length_mode"] == "cut"
    assert video.info["generated"] == 17
    assert video.info["seams"] == []


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("mode", ["autoregressive", "direct"])
def test_both_long_modes(weights: Callable[[str], str], design: str, mode: str) -> None:
    video = build(design, weights(design), steps=1, long_video=mode).generate(case(40), 0)
    assert video.num_frames == 40
    assert video.info["length_mode"] == mode
    windows, generated, seams = {"autoregressive": (3, 49, [17, 33]), "direct": (1, 41, [])}[mode]
    assert (video.info["windows"], video.info["generated"], video.info["seams"]) == (
        windows,
        generated,
        seams,
    )


def test_direct_on_33_latents(weights: Callable[[str], str]) -> None:
    video = build("dragnuwa", weights("dragnuwa"), steps=1, long_video="direct").generate(case(129), 0)
    assert video.num_frames == video.info["generated"] == 129


def test_up_to_17_frames_the_modes_agree(weights: Callable[[str], str]) -> None:
    path = weights("motionctrl")
    first, second = (
        build("motionctrl", path, long_video=m).generate(case(17), 3) for m in ("autoregressive", "direct")
    )
    np.testing.assert_array_equal(first.frames_TCHW, second.frames_TCHW)
    assert first.info["length_mode"] == second.info["length_mode"] == "exact"


def test_the_next_window_starts_from_the_last_decoded_frame(
    weights: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, original = [], LinearPatchAutoencoder.encode

    def encode(self: LinearPatchAutoencoder, frames: np.ndarray) -> torch.Tensor:
        given.append(frames.copy())
        return original(self, frames)

    monkeypatch.setattr(LinearPatchAutoencoder, "encode", encode)
    generator = build("motionctrl", weights("motionctrl"), steps=1, overlap=5)
    video = generator.generate(case(40), 0).thwc
    starts = [0, 12, 24]
    assert [len(frames) for frames in given] == [1, 5, 5]
    for start, frames in zip(starts, given, strict=True):
        np.testing.assert_array_equal(frames, video[start : start + len(frames)])
    assert generator.generate(case(40), 0).info["overlap"] == 5


@pytest.mark.parametrize("design", DESIGNS)
def test_same_bytes_whatever_was_made_before(weights: Callable[[str], str], design: str) -> None:
    path = weights(design)
    one = build(design, path)
    forward = [one.generate(c, s) for c in (case(), case(name="b")) for s in (0, 1)]
    other = build(design, path)
    backward = [other.generate(c, s) for c in (case(name="b"), case()) for s in (1, 0)][::-1]
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a.frames_TCHW, b.frames_TCHW)
    assert len({v.frames_TCHW.tobytes() for v in forward}) == 4  # another case or seed is other noise


def test_windows_of_a_clip_have_noise_of_their_own(
    weights: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    used, original = [], shared_noise.initial_noise

    def noise(key: str, seed: int, shape: tuple[int, ...]) -> torch.Tensor:
        used.append((key, seed))
        return original(key, seed, shape)

    monkeypatch.setattr(shared_noise, "initial_noise", noise)
    build("motionctrl", weights("motionctrl"), steps=1).generate(case(40), 7)
    assert used == [(f"test-v1/a/{i}", 7) for i in range(3)]


@pytest.mark.parametrize("design", DESIGNS)
def test_paths_captions_and_guidance_reach_the_video(weights: Callable[[str], str], design: str) -> None:
    path = weights(design)
    moved = replace(case().trajectories, tracks_NT2=case().trajectories.tracks_NT2[:, ::-1].copy())

    def pixels(made: Case, **options: Any) -> bytes:
        video: Video = build(design, path, steps=3, **options).generate(made, 0)
        return video.frames_TCHW.tobytes()

    base = pixels(case())
    assert pixels(case(trajectories=moved)) != base
    assert pixels(case(prompt="a blue square")) != base
    assert pixels(case(), guidance=3.0) != base


@pytest.mark.parametrize(("design", "same"), [("motionctrl", False), ("dragnuwa", True)])
def test_the_null_half_sees_what_the_published_code_shows_it(
    weights: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, design: str, same: bool
) -> None:
    shown: list[torch.Tensor] = []
    original = UNet.encode_motion

    def encode(self: UNet, maps: torch.Tensor) -> list[torch.Tensor]:
        shown.append(maps)
        return original(self, maps)

    monkeypatch.setattr(UNet, "encode_motion", encode)
    build(design, weights(design), guidance=2.0).generate(case(), 0)
    paths, null = shown[0]
    assert paths.any()
    assert torch.equal(null, paths if same else torch.zeros_like(paths))


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "huge"}, "unknown size 'huge'"),
        ({"long_video": "loop"}, "long_video=loop; allowed: autoregressive, direct"),
        ({"overlap": 3}, "overlap=3; allowed: 1, 5, 9"),
        ({"steps": 0}, "steps=0; allowed: 1 to 1000"),
        ({"guidance": 0.5}, "guidance=0.5; allowed"),
        ({"precision": "int8"}, "precision=int8; allowed: bf16, fp32"),
        ({"checkout": "x"}, "size=nano has no option checkout"),
        ({"size": "upstream", "overlap": 5}, "size=upstream has no option overlap"),
    ],
)
def test_wrong_options_are_refused(design: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CLASSES[design](**options)


@pytest.mark.parametrize("design", DESIGNS)
def test_cases_that_cannot_be_made_are_refused(weights: Callable[[str], str], design: str) -> None:
    generator = build(design, weights(design))
    with pytest.raises(UserError, match="needs a first frame"):
        generator.generate(case(first_frame_HWC=None), 0)
    with pytest.raises(UserError, match="takes no last frame"):
        generator.generate(case(last_frame_HWC=case().first_frame_HWC), 0)
    for frames, height, width in ((1, 64, 64), (1025, 64, 64), (16, 100, 64), (16, 32, 64)):
        with pytest.raises(UserError, match="allowed: "):
            generator.check(frames, height, width)


@pytest.mark.parametrize("design", DESIGNS)
def test_missing_weights_name_the_command(tmp_path: Path, design: str) -> None:
    generator = CLASSES[design](weights=str(tmp_path / "none.safetensors"))
    command = f"python -m toraeval train model={design} size=nano"
    for call in (generator.prepare, generator.fingerprint):
        with pytest.raises(MissingAsset, match=command):
            call()


def test_weights_with_nan_are_one_clear_error(
    weights: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = build("dragnuwa", weights("dragnuwa"))
    monkeypatch.setattr(UNet, "predict_clean", lambda self, x, *a, **k: x * float("nan"))
    with pytest.raises(UserError, match="non-finite latents in window 0; try precision=fp32"):
        generator.generate(case(40), 0)


@pytest.mark.parametrize("design", DESIGNS)
def test_fingerprint_and_label_tell_the_modes_apart(weights: Callable[[str], str], design: str) -> None:
    path = weights(design)
    plain, direct = build(design, path), build(design, path, long_video="direct")
    assert (plain.label, direct.label) == (None, f"{design} (direct)")
    prints = [
        g.fingerprint() for g in (plain, direct, build(design, path, overlap=5), build(design, path, steps=9))
    ]
    assert len({str(p) for p in prints}) == 4
    assert len(plain.fingerprint()["weights_sha256"]) == 64


@pytest.mark.parametrize("design", DESIGNS)
def test_the_registry_builds_it_from_its_schema(weights: Callable[[str], str], design: str) -> None:
    schema = schema_of("model", design)
    assert schema().name == design
    built = registry.build("model", {**asdict(schema()), "weights": weights(design)})
    assert built.generate(case(), 0).num_frames == 16
