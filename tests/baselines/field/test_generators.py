"""Wan-Move, ATI, LTX and Wan-Fun over a stand-in for their programs: lengths, sizes, paths, messages."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.ati.generator import ATI
from baselines.ltx_motion_track.generator import LTXMotionTrack
from baselines.process.native import NativeGenerator
from baselines.process.runner import Runner
from baselines.wan_fun_control.generator import WanFunControl
from baselines.wan_move.generator import WanMove, WanMoveOptions
from baselines.wan_move.upstream import UpstreamWanMove
from toraeval import registry
from toraeval.assets import programs
from toraeval.types import Case, MissingAsset, Trajectories, UserError

DRIVER = Path(__file__).with_name("recording_driver.py")


def wan_move(**options: Any) -> UpstreamWanMove:
    return UpstreamWanMove(WanMoveOptions(**options))


MAKERS = {
    "wan_move": wan_move,
    "ati": ATI,
    "ltx_motion_track": LTXMotionTrack,
    "wan_fun_control": WanFunControl,
}


def case(frames: int = 81, width: int = 160, height: int = 96, fps: float = 16.0) -> Case:
    t = np.linspace(0, 1, frames)[:, None]
    tracks = np.stack([np.array([0.2, 0.3]) * (1 - t) + np.array([0.6, 0.5]) * t, np.full((frames, 2), 0.8)])
    paths = Trajectories(tracks * (width, height), np.ones((2, frames), bool), (width, height))
    first = np.full((height, width, 3), 200, np.uint8)
    return Case("a", "test-v1", "two things", paths, frames, height, width, fps, 0, first)


def made(name: str, tmp_path: Path, answer: str = "", **options: Any) -> NativeGenerator:
    """Return the wrapper over the stand-in, with a checkout and weights that look as they should."""
    for file in next(iter(programs.get_program(name).forks.values())).files:
        (tmp_path / "code" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / file).touch()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"w")
    places = {
        "checkout": str(tmp_path / "code"),
        "python": sys.executable,
        "checkpoint": str(tmp_path / "weights"),
        "any_revision": True,
    }
    generator = MAKERS[name](**places, **{"pixels": 0, **options})
    settings = {**generator.runner.settings, "frames": 81, "keep": str(tmp_path), "answer": answer}
    generator.runner = Runner(name, generator.runner.options, DRIVER, settings)
    return generator


def sent(tmp_path: Path, name: str) -> np.ndarray:
    array: np.ndarray = np.load(tmp_path / "case_a" / f"{name}.npy")
    return array


@pytest.mark.parametrize("name", MAKERS)
def test_the_registry_builds_it_and_nothing_installed_is_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    model = registry.build("model", {"name": name, "size": "upstream"})
    assert registry.entry("model", name).assets_for({"size": "upstream"})[0] == f"{name}_upstream"
    (absent,) = model.requirements()
    assert absent.command == f"python -m toraeval fetch model={name} size=upstream"
    with pytest.raises(MissingAsset, match=rf"{name}_checkout is not a checkout of it"):
        model.fingerprint()


@pytest.mark.parametrize("name", ["wan_move", "ati"])
def test_shorter_clips_are_cut_from_81_frames_in_which_the_paths_rest(name: str, tmp_path: Path) -> None:
    model = made(name, tmp_path)
    video = model.generate(case(16), 3)
    assert video.frames_TCHW.shape == (16, 3, 96, 160)
    info = video.info
    assert (info["generated"], info["length_mode"], info["native_size"]) == (81, "cut", [160, 96])
    assert (info["resize"], info["left_out"], info["prompt"]) == (None, [], "two things")
    assert sent(tmp_path, "first_frame").shape == (96, 160, 3)
    if name == "wan_move":
        tracks, visible = sent(tmp_path, "tracks"), sent(tmp_path, "visibility")
        assert (tracks.shape, visible.shape, visible.dtype) == ((1, 81, 2, 2), (1, 81, 2), np.bool_)
        np.testing.assert_allclose(tracks[0, [0, 15, 80], 0], [[32, 28.8], [96, 48], [96, 48]], rtol=1e-5)
    else:
        samples = sent(tmp_path, "samples")
        assert samples.shape == (2, 121, 1, 3)
        np.testing.assert_allclose(samples[0, [0, 120], 0] / 8, [[32, 28.8, 1], [96, 48, 1]], rtol=1e-5)
    model.runner.session.close()


@pytest.mark.parametrize("name", ["ltx_motion_track", "wan_fun_control"])
def test_guides_have_the_next_length_and_the_models_size(name: str, tmp_path: Path) -> None:
    model = made(name, tmp_path, pixels=256 * 128)
    video = model.generate(case(10, 128, 64), 0)
    length = {"ltx_motion_track": 17, "wan_fun_control": 13}[name]
    guide = sent(tmp_path, {"ltx_motion_track": "guide", "wan_fun_control": "control"}[name])
    size = {"ltx_motion_track": (64, 128), "wan_fun_control": (128, 256)}[
        name
    ]  # the one is of the first stage
    assert (guide.shape, guide.dtype) == ((length, *size, 3), np.uint8)
    assert guide.any()
    assert video.frames_TCHW.shape == (10, 3, 64, 128)
    assert video.info["generated"] == length
    assert "smaller" in video.info["resize"]
    model.runner.session.close()


def test_a_case_without_a_first_frame_is_refused_except_where_it_is_not_needed(tmp_path: Path) -> None:
    without = replace(case(), first_frame_HWC=None)
    for name in ("wan_move", "ati", "ltx_motion_track"):
        with pytest.raises(UserError, match=rf"model {name} size=upstream needs a first frame"):
            MAKERS[name]().check_case(without, 0)
    WanFunControl().check_case(without, 0)
    model = made("wan_fun_control", tmp_path, pixels=64 * 64)
    assert model.generate(replace(case(5, 64, 64), first_frame_HWC=None), 0).num_frames == 5
    assert not (tmp_path / "case_a" / "first_frame.npy").exists()
    model.runner.session.close()


@pytest.mark.parametrize("name", MAKERS)
def test_lengths_and_sizes_that_cannot_be_made_are_refused(name: str) -> None:
    model = MAKERS[name]()
    most = {"ltx_motion_track": 481}.get(name, 81)
    model.check(most, 480, 832)
    model.check(1, 37, 53)
    with pytest.raises(UserError, match=rf"frames={most + 1}; allowed: 1 to {most}"):
        model.check(most + 1, 480, 832)
    multiple = {"ltx_motion_track": 128}.get(name, 16)
    kept = MAKERS[name](pixels=0)
    kept.check(16, 2 * multiple, multiple)
    with pytest.raises(
        UserError, match=rf"size 200x{multiple} with pixels=0; allowed: sides divisible by {multiple}"
    ):
        kept.check(16, multiple, 200)
    with pytest.raises(UserError, match="takes no last frame"):
        model.check_case(replace(case(), last_frame_HWC=case().first_frame_HWC), 0)


def test_sizes_follow_the_authors_rule() -> None:
    wan, ltx = ATI.native, LTXMotionTrack.native
    assert wan.size(832, 480, wan.pixels) == (832, 480)
    assert wan.size(480, 832, wan.pixels) == (480, 832)
    assert wan.size(512, 512, wan.pixels) == (624, 624)
    assert wan.size(1280, 720, wan.pixels) == (832, 464)
    assert wan.size(4000, 16, wan.pixels)[1] >= 16
    assert ltx.size(1536, 1024, ltx.pixels) == (1536, 1024)
    assert [wan.length(n) for n in (1, 16, 81)] == [81, 81, 81]
    assert [ltx.length(n) for n in (1, 9, 10, 121, 128)] == [9, 9, 17, 121, 129]
    assert [WanFunControl.native.length(n) for n in (1, 16, 81)] == [5, 17, 81]


@pytest.mark.parametrize("name", ["wan_move", "ati"])
def test_paths_that_start_hidden_are_left_out_and_named(name: str, tmp_path: Path) -> None:
    hidden = case()
    visible = hidden.trajectories.visible_NT.copy()
    visible[1, :5] = False
    hidden = replace(hidden, trajectories=replace(hidden.trajectories, visible_NT=visible))
    model = made(name, tmp_path)
    video = model.generate(hidden, 0)
    assert video.info["left_out"] == [1]
    assert video.info["hidden_points"]["count"] == 0
    shape = sent(tmp_path, {"wan_move": "tracks", "ati": "samples"}[name]).shape
    assert shape == {"wan_move": (1, 81, 1, 2), "ati": (1, 121, 1, 3)}[name]
    model.runner.session.close()
    visible[:, 0] = False
    nowhere = replace(hidden, trajectories=replace(hidden.trajectories, visible_NT=visible))
    with pytest.raises(UserError, match=r"case a: every path is hidden or outside .*hidden_start=as_given"):
        model.check_case(nowhere, 0)
    MAKERS[name](hidden_start="as_given").check_case(nowhere, 0)


def test_hidden_points_of_guides_are_counted_and_drawn(tmp_path: Path) -> None:
    hidden = case(5, 64, 64)
    visible = np.zeros((2, 5), bool)
    model = made("wan_fun_control", tmp_path, pixels=0)
    video = model.generate(replace(hidden, trajectories=replace(hidden.trajectories, visible_NT=visible)), 0)
    assert video.info["hidden_points"] == {"count": 10, "treatment": "drawn as if visible"}
    assert sent(tmp_path, "control").any()
    model.runner.session.close()


def test_camera_paths_are_sent_after_the_objects(tmp_path: Path) -> None:
    model = made("wan_move", tmp_path)
    camera = Trajectories(np.full((1, 81, 2), 9.0), np.ones((1, 81), bool), (160, 96))
    model.generate(replace(case(), camera=camera), 0)
    assert sent(tmp_path, "tracks")[0, 0].shape == (3, 2)
    assert sent(tmp_path, "tracks")[0, 7, 2].tolist() == [9, 9]
    model.runner.session.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("short", r"case a: wrote an array \(3, 16, 16, 3\); expected"),
        ("crash", "ended with exit code 9"),
    ],
)
def test_failures_of_the_child_are_one_message(answer: str, message: str, tmp_path: Path) -> None:
    model = made("ati", tmp_path, answer)
    with pytest.raises(UserError, match=message):
        model.generate(case(), 0)
    model.runner.session.close()


def test_seeds_belong_to_case_and_sample_and_the_fingerprint_to_the_weights(tmp_path: Path) -> None:
    model = made("wan_fun_control", tmp_path)
    small = case(5, 64, 64)
    first = model.generate(small, 0).info["sampler_seed"]
    (tmp_path / "case_a").rename(tmp_path / "before")
    assert model.generate(small, 1).info["sampler_seed"] != first
    before = model.fingerprint()
    assert before["pixels"] == 0
    (tmp_path / "weights" / "readme.txt").write_text("not a weight")
    assert model.fingerprint()["weights_sha256"] == before["weights_sha256"]
    (tmp_path / "weights" / "deeper").mkdir()
    (tmp_path / "weights" / "deeper" / "other.pth").write_bytes(b"v")
    model = MAKERS["wan_fun_control"](
        checkout=str(tmp_path / "code"),
        python=sys.executable,
        checkpoint=str(tmp_path / "weights"),
        any_revision=True,
    )
    assert model.fingerprint()["weights_sha256"] != before["weights_sha256"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wan_move", {"dtype": "int8"}, "dtype=int8; allowed: bf16, fp16, fp32"),
        ("wan_move", {"hidden_start": "drop"}, "hidden_start=drop; allowed: leave_out, as_given"),
        ("wan_move", {"steps": 0}, "steps=0; allowed: 1 to 1000"),
        ("ati", {"size": "nano"}, "model ati: size=nano; allowed: upstream"),
        ("ati", {"pixels": 5}, "pixels=5; allowed: 0 "),
        ("ltx_motion_track", {"steps": 20}, "steps=20 guidance=None; allowed: leave both out"),
        ("ltx_motion_track", {"offload": "gpu"}, "offload=gpu; allowed: none, cpu, disk"),
        ("ltx_motion_track", {"quantization": "int4"}, "quantization=int4; allowed: none, fp8-cast"),
        ("ltx_motion_track", {"guide_strength": 2.0}, "guide_strength=2.0; allowed: above 0"),
        ("wan_fun_control", {"memory": "none"}, "memory=none; allowed: model_full_load"),
        ("wan_fun_control", {"teacache": -1.0}, "teacache=-1.0; allowed: 0"),
    ],
)
def test_options_outside_their_range(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MAKERS[name](**options)


def test_wan_move_keeps_the_options_of_its_sizes_apart() -> None:
    with pytest.raises(UserError, match=r"size=nano has no option dtype \(got fp16\)"):
        WanMove(dtype="fp16")
    with pytest.raises(UserError, match=r"size=upstream has no option precision \(got fp32\)"):
        WanMove(size="upstream", precision="fp32")
    assert WanMove(size="upstream").label == "wan_move (upstream)"


def test_published_values_are_the_defaults() -> None:
    assert wan_move().runner.settings["steps"] == 40
    assert (wan_move().runner.settings["shift"], ATI().runner.settings["shift"]) == (3.0, 5.0)
    fun = WanFunControl().runner.settings
    assert (fun["steps"], fun["guidance"], fun["teacache"]) == (50, 6.0, 0.1)


@pytest.mark.parametrize("name", ["tora2", "tora3"])
def test_models_that_nobody_can_run_say_so(name: str) -> None:
    with pytest.raises(UserError, match=rf"model {name} is not available: a paper .*without published code"):
        registry.entry("model", name)
