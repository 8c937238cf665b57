"""The generator end to end on tiny networks: variants, layouts, lengths, record, errors."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toraeval import assets, geometry, registry
from toraeval.config import schema_of
from toraeval.models.tora_cogvideox.generator import ToraCogVideoX, ToraCogVideoXOptions
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer
from toraeval.suites.shapes.suite import Shapes
from toraeval.types import Case, MissingAsset, UserError

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
Tiny = Callable[..., ToraCogVideoXTransformer]
Write = Mapping[str, Callable[[Path, ToraCogVideoXTransformer], Path]]
Make = Callable[..., ToraCogVideoX]


@pytest.fixture
def make(tiny: Tiny, write: Write, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Build a generator on freshly written weights of a tiny network."""
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))

    def build(
        format: str = "diffusers", network: Mapping[str, Any] | None = None, **options: Any
    ) -> ToraCogVideoX:
        folder = tmp_path / format
        if not folder.exists():
            write[format](folder, tiny(**(network or {})))
            shutil.copytree(parts, folder, dirs_exist_ok=True)
        defaults = {"weights": str(folder), "steps": 2, "precision": "fp32", "device": "cpu"}
        return ToraCogVideoX(**(defaults | options))

    return build


def small(frames: int = 8) -> Case:
    """A case of 48x32 pixels, smaller than what the suite draws."""
    drawn = Shapes().cases(frames, 64, 64)[0]
    image = (
        np.ascontiguousarray(drawn.first_frame_HWC[:32, :48]) if drawn.first_frame_HWC is not None else None
    )
    return replace(
        drawn,
        height=32,
        width=48,
        trajectories=geometry.to_canvas(drawn.trajectories, 48, 32),
        first_frame_HWC=image,
    )


def test_text_to_video(make: Make) -> None:
    model = make()
    video = model.generate(small(), 0)
    assert video.frames_TCHW.shape == (8, 3, 32, 48)
    assert video.info["generated"] == 9
    assert video.info["length_mode"] == "cut"
    assert video.info["native_frames"] == 9
    assert video.info["first_frame"] == "none"
    assert video.info["prompt_tokens"] == 12
    assert np.array_equal(make().generate(small(), 0).frames_TCHW, video.frames_TCHW)
    assert not np.array_equal(model.generate(small(), 1).frames_TCHW, video.frames_TCHW)
    assert not np.array_equal(model.generate(replace(small(), prompt="b"), 0).frames_TCHW, video.frames_TCHW)


def test_half_precision_without_guidance_on_the_split_layout(make: Make) -> None:
    close, exact = (
        make("split", precision=precision, guidance=1.0, posterior="mode", steps=1).generate(small(), 0)
        for precision in ("bf16", "fp32")
    )
    assert close.info["precision"] == "bf16"
    assert close.frames_TCHW.std() > 0
    assert close.frames_TCHW.shape == exact.frames_TCHW.shape


def test_image_to_video_from_a_sat_file(make: Make) -> None:
    network = {"in_channels": 32, "use_learned_positional_embeddings": True}
    model = make("sat", network, variant="i2v")
    video = model.generate(small(17), 0)
    assert video.info["length_mode"] == "exact"
    assert video.info["first_frame"] == "encoded"
    assert video.info["learned_positions"] is False
    facts = model.fingerprint()
    assert (facts["format"], facts["unconditional"], facts["zero_snr"]) == ("sat", "zeros", "sampled")
    with pytest.raises(UserError, match="variant=i2v needs a first frame"):
        model.generate(replace(small(), first_frame_HWC=None), 0)
    with pytest.raises(UserError, match="learned positions exist for 9 frames of 48x32 only"):
        make("sat", variant="i2v", learned_positions="on").generate(small(17), 0)


def test_fingerprint_has_what_changes_the_pixels(make: Make, tmp_path: Path) -> None:
    facts = make().fingerprint()
    assert facts["model"] == "tora_cogvideox"
    assert (facts["format"], facts["unconditional"], facts["zero_snr"]) == ("diffusers", "empty", "all")
    assert not any(str(tmp_path) in str(value) for value in facts.values())
    assert make(offload=True).fingerprint() == facts
    changes = {
        "steps": 3, "guidance": 1.0, "dynamic_guidance": "off", "unconditional": "zeros", "zero_snr": "sampled",
        "posterior": "mode", "tiling": True,
    }  # fmt: skip
    for name, value in changes.items():
        assert make(**{name: value}).fingerprint() != facts, name
    (tmp_path / "diffusers" / "scheduler").mkdir()
    schedule = tmp_path / "diffusers" / "scheduler" / "scheduler_config.json"
    schedule.write_text(
        '{"beta_end": 0.02, "_class_name": "CogVideoXDDIMScheduler", "timestep_spacing": "leading"}'
    )
    assert make().fingerprint()["schedule"] == {**facts["schedule"], "beta_end": 0.02}


def test_schema_is_what_the_generator_reads() -> None:
    offered = {field.name for field in fields(schema_of("model", "tora_cogvideox"))}
    assert offered - {"name"} == {field.name for field in fields(ToraCogVideoXOptions)}
    assert registry.load("model", "tora_cogvideox") is ToraCogVideoX


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "v2v"}, "variant=v2v; allowed: t2v, i2v"),
        ({"steps": 0}, "steps=0; allowed: 1 to 1000"),
        ({"guidance": 0.5}, r"guidance=0\.5; allowed: at least 1"),
        ({"guidance": float("nan")}, "guidance=nan"),
        ({"precision": "fp16"}, "precision=fp16; allowed: bf16, fp32"),
        ({"dynamic_guidance": "on"}, "dynamic_guidance=on; allowed: published, step_index, off"),
        ({"zero_snr": "no"}, "zero_snr=no; allowed: auto, all, sampled"),
    ],
)
def test_options_outside_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ToraCogVideoX(**options)


def test_unknown_options_are_named() -> None:
    with pytest.raises(UserError, match="unexpected keyword argument 'stepz'"):
        registry.build("model", {"name": "tora_cogvideox", "stepz": 3})


@pytest.mark.parametrize("device", ["cuda:99", "quantum", "mps"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(UserError, match=f"device={device}"):
        ToraCogVideoXOptions(device=device).torch_device()


def test_sizes_are_checked_before_anything_is_loaded() -> None:
    model = ToraCogVideoX()
    model.check(49, 480, 720)
    with pytest.raises(
        UserError, match="size 500x300; allowed: sides divisible by 16, the nearest is 496x304"
    ):
        model.check(49, 300, 500)
    with pytest.raises(UserError, match="frames=1; allowed: 2 to 1024"):
        model.check(1, 480, 720)


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    model = ToraCogVideoX(variant="i2v")
    for call in (model.prepare, model.fingerprint):
        with pytest.raises(
            MissingAsset, match="run: python -m toraeval fetch model=tora_cogvideox variant=i2v"
        ):
            call()


def test_default_folders_are_those_that_fetch_fills() -> None:
    """One folder per variant; that of i2v also takes the parts that its release lacks."""
    for variant, names in registry.entry("model", "tora_cogvideox").option_assets.items():
        path = ToraCogVideoX(variant=variant.partition("=")[2]).path
        folders = {getattr(assets.get(name), "folder", "") or name for name in names}
        assert folders == {path.name}
        assert path.parent == assets.cache_dir()


def test_missing_parts_are_named(make: Make, tmp_path: Path) -> None:
    folder = Path(make().options.weights or "")
    (folder / "text_encoder").rename(tmp_path / "t5")
    for call in (make().prepare, make().fingerprint):
        with pytest.raises(
            MissingAsset, match=r"no text encoder at .*; name one with model\.text_encoder=FOLDER"
        ):
            call()
    shutil.copytree(folder / "tokenizer", tmp_path / "t5", dirs_exist_ok=True)
    elsewhere = make(text_encoder=str(tmp_path / "t5"))
    elsewhere.prepare()
    shutil.rmtree(folder / "vae")
    for call in (make(text_encoder=str(tmp_path / "t5")).prepare, elsewhere.fingerprint):
        with pytest.raises(MissingAsset, match="no autoencoder at"):
            call()


@pytest.mark.parametrize(("guidance", "stored"), [(6.0, 3), (1.0, 2)])
def test_captions_are_encoded_ahead(make: Make, tmp_path: Path, guidance: float, stored: int) -> None:
    model = make(guidance=guidance)
    cases = [replace(small(), prompt=prompt) for prompt in ("a red ball", "a red ball", "the sea")]
    model.prepare_cases(cases)
    assert len(list((tmp_path / "cache" / "captions").iterdir())) == stored
    captions = model._text()
    assert captions._encoder is None
    captions._load = lambda: pytest.fail("the encoder was loaded again")
    model._encode("the sea")
