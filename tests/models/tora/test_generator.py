"""The tora generator: options, sizes and lengths; a tiny network stands in, and the shipped weights work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.generator import Tora
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.store import keys
from toraeval.suites.shapes.suite import Shapes
from toraeval.types import Case, MissingAsset, UserError, Video


@pytest.fixture
def weights(
    tmp_path: Path,
    tiny_config: STDiTConfig,
    tiny_tora: ToraNetwork,
    tiny_vae: LinearPatchAutoencoder,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A weights file of the tiny network, which the generator takes for the nano size."""
    monkeypatch.setattr(checkpoint, "nano", lambda: tiny_config)
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny_tora.state_dict(), tiny_vae, {})
    return str(path)


def case(frames: int = 6, height: int = 64, width: int = 128, number: int = 0) -> Case:
    return Shapes().cases(frames, height, width)[number]


def same(one: Video, other: Video) -> bool:
    return np.array_equal(one.frames_TCHW, other.frames_TCHW)


@pytest.mark.parametrize(("frames", "native", "mode"), [(2, 5, "cut"), (5, 5, "exact"), (16, 17, "cut")])
def test_any_length_is_reached(weights: str, frames: int, native: int, mode: str) -> None:
    video = Tora(steps=2, weights=weights).generate(case(frames), 0)
    assert video.frames_TCHW.shape == (frames, 3, 64, 128)
    assert video.fps == 8.0
    facts = (video.info["requested"], video.info["generated"], video.info["length_mode"])
    assert facts == (frames, native, mode)
    assert video.info["unknown_words"] == []
    assert video.info["precision"] == "bf16"


def test_a_cut_clip_is_the_start_of_the_whole_one(weights: str) -> None:
    model, whole = Tora(steps=2, weights=weights), case(9)
    shorter = replace(whole, frames=8, trajectories=replace(
        whole.trajectories,
        tracks_NT2=whole.trajectories.tracks_NT2[:, :8],
        visible_NT=whole.trajectories.visible_NT[:, :8],
    ))  # fmt: skip
    resting = whole.trajectories.tracks_NT2.copy()
    resting[:, 8] = resting[:, 7]
    longer = replace(whole, trajectories=replace(whole.trajectories, tracks_NT2=resting))
    cut, full = model.generate(shorter, 0), model.generate(longer, 0)
    assert np.array_equal(cut.frames_TCHW, full.frames_TCHW[:8])


def test_bytes_depend_on_the_request_alone(weights: str) -> None:
    one, other = case(), case(number=3)
    model = Tora(steps=2, weights=weights)
    first = model.generate(one, 0)
    model.generate(other, 0)
    assert same(model.generate(one, 0), first)
    assert same(Tora(steps=2, weights=weights).generate(one, 0), first)
    assert not same(model.generate(one, 1), first)
    assert not same(Tora(steps=3, weights=weights).generate(one, 0), first)


def test_weights_are_loaded_once(weights: str) -> None:
    model = Tora(steps=1, weights=weights)
    model.prepare()
    fingerprint = model.fingerprint()
    Path(weights).unlink()
    model.prepare()
    model.generate(case(), 0)
    assert model.fingerprint() == fingerprint


def test_fingerprint_names_everything_that_changes_the_bytes(weights: str) -> None:
    base = Tora(weights=weights).fingerprint()
    assert base["weights_sha256"] == keys.file_sha256(Path(weights))
    assert base["model"] == "tora"
    changes: list[dict[str, Any]] = [{"steps": 11}, {"guidance": 2.0}, {"precision": "fp32"}]
    for change in changes:
        assert Tora(weights=weights, **change).fingerprint() != base
    last = Path(weights).read_bytes()[-1]
    with Path(weights).open("r+b") as handle:
        handle.seek(-1, 2)
        handle.write(bytes([last ^ 1]))
    assert Tora(weights=weights).fingerprint() != base


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "large"}, r"unknown size 'large'\..*Allowed: xl2, nano, tiny"),
        (
            {"posterior": "sample"},
            r"size=nano has no option posterior \(got sample\); allowed: leave it out, or size=xl2",
        ),
        ({"condition": "text"}, "condition=text; allowed at size=nano: auto, first_frame"),
        ({"steps": 0}, "steps=0; allowed: 1 to 1000"),
        ({"steps": 1001}, "steps=1001"),
        ({"guidance": 0.5}, "guidance=0.5; allowed: at least 1"),
        ({"guidance": float("nan")}, "guidance=nan"),
        ({"precision": "fp16"}, "precision=fp16; allowed: bf16, fp32"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Tora(**options)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ((1, 256, 256), "frames=1; allowed: 2 to 1024"),
        ((1025, 256, 256), "frames=1025"),
        ((16, 255, 256), "size 256x255; allowed: sides divisible by 64"),
        ((16, 256, 96), "size 96x256"),
        ((16, 0, 64), "size 64x0"),
    ],
)
def test_impossible_requests_are_refused(request_: tuple[int, int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Tora().check(*request_)


def test_possible_requests_pass() -> None:
    for request_ in ((2, 64, 64), (1024, 512, 512), (16, 256, 384)):
        Tora().check(*request_)


def test_a_size_that_does_not_fit_is_refused_when_generating(weights: str) -> None:
    with pytest.raises(UserError, match="sides divisible by 64"):
        Tora(weights=weights).generate(case(5, 64, 80), 0)


def test_a_case_without_first_frame_is_refused(weights: str) -> None:
    with pytest.raises(UserError, match="first frame"):
        Tora(weights=weights).generate(replace(case(), first_frame_HWC=None), 0)


def test_a_last_frame_is_refused_or_ignored_when_told(weights: str) -> None:
    given = replace(case(), last_frame_HWC=case().first_frame_HWC)
    with pytest.raises(
        UserError, match="takes no last frame; ignore it with condition=first_frame, or use size=xl2"
    ):
        Tora(weights=weights).generate(given, 0)
    assert same(
        Tora(weights=weights, condition="first_frame").generate(given, 0),
        Tora(weights=weights).generate(case(), 0),
    )


def test_camera_paths_are_further_trajectories(weights: str) -> None:
    plain = case()
    camera = replace(plain.trajectories, tracks_NT2=plain.trajectories.tracks_NT2[:, ::-1] / 2)
    model = Tora(weights=weights)
    video = model.generate(replace(plain, camera=camera), 0)
    assert video.info["camera_paths"] == camera.num_objects
    assert not same(video, model.generate(plain, 0))


def test_missing_weights(tmp_path: Path) -> None:
    model = Tora(weights=str(tmp_path / "none.safetensors"))
    for call in (model.prepare, model.fingerprint, lambda: model.generate(case(), 0)):
        with pytest.raises(MissingAsset, match="python -m toraeval train model=tora size=nano") as caught:
            call()
        assert caught.value.exit_code == 3


def test_weights_that_give_no_numbers_are_reported(
    tmp_path: Path, tiny_config: STDiTConfig, tiny_vae: LinearPatchAutoencoder, monkeypatch: pytest.MonkeyPatch,
    make_tiny_tora: Callable[[], ToraNetwork],
) -> None:  # fmt: skip
    monkeypatch.setattr(checkpoint, "nano", lambda: tiny_config)
    broken = make_tiny_tora().state_dict()
    broken["final_layer.linear.bias"] = broken["final_layer.linear.bias"] * float("nan")
    checkpoint.save(tmp_path / "nan.safetensors", broken, tiny_vae, {})
    with pytest.raises(UserError, match="non-finite latents; try precision=fp32"):
        Tora(steps=1, weights=str(tmp_path / "nan.safetensors")).generate(case(), 0)


def test_shipped_weights_load_strictly_and_generate() -> None:
    scene = case(17, 256, 256, number=2)
    model = Tora()
    first = model.generate(scene, 0)
    assert first.frames_TCHW.shape == (17, 3, 256, 256)
    assert scene.first_frame_HWC is not None
    error = np.abs(first.thwc[0].astype(float) - scene.first_frame_HWC).mean()
    assert error < 3  # grey levels; the autoencoder's own loss
    assert same(model.generate(scene, 0), first)
    assert not same(model.generate(scene, 1), first)
    assert not np.array_equal(first.thwc[0], first.thwc[-1])
