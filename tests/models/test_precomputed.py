from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.fake_parts import FakeSuite, draw
from toraeval.models.precomputed import Precomputed
from toraeval.types import UserError, Video
from toraeval.video import write_lossless


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for case in FakeSuite().cases(8, 64, 64):
        write(tmp_path / f"{case.id}.mkv", 8, 64)
    write(tmp_path / "alpha.seed1.mkv", 8, 64)
    return tmp_path


def write(path: Path, frames: int, side: int) -> Path:
    track = np.stack([np.linspace(10, 40, frames), np.full(frames, 20.0)], axis=-1)
    write_lossless(Video.from_thwc(draw(track, side), 12.0), path)
    return path


def test_clips_are_found_by_case_and_seed(clips: Path) -> None:
    model = Precomputed(str(clips))
    case = FakeSuite().cases(8, 64, 64)[0]
    video = model.generate(case, 1)
    assert (video.num_frames, video.fps) == (8, 12.0)
    assert video.info["file"] == "alpha.seed1.mkv"
    assert model.label == clips.name
    with pytest.raises(
        UserError,
        match=r"unknown video 'alpha.seed2'. Did you mean 'alpha.seed1'.*4: alpha, alpha.seed1, beta, gamma",
    ):
        model.generate(case, 2)


def test_replacing_a_file_changes_its_case_and_no_other(clips: Path) -> None:
    model = Precomputed(str(clips))
    alpha, beta = FakeSuite().cases(8, 64, 64)[:2]
    before = [model.case_fingerprint(case) for case in (alpha, beta)]
    write(clips / "beta.mkv", 9, 64)
    after = [model.case_fingerprint(case) for case in (alpha, beta)]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_length_and_size_are_never_changed_in_silence(clips: Path) -> None:
    short, square, wide = FakeSuite().cases(7, 64, 64)[0], FakeSuite().cases(9, 64, 64)[0], clips / "beta.mkv"
    with pytest.raises(UserError, match=r"has 8 frames, expected 7; model.cut=true"):
        Precomputed(str(clips)).generate(short, 0)
    with pytest.raises(UserError, match=r"has 8 frames, expected 9$"):
        Precomputed(str(clips), cut=True).generate(square, 0)
    cut = Precomputed(str(clips), cut=True).generate(short, 0)
    assert (cut.num_frames, cut.info["generated"], cut.info["length_mode"]) == (7, 8, "cut")
    write(wide, 8, 80)
    with pytest.raises(UserError, match=r"is 80x80, expected 64x64; set height=80 width=80"):
        Precomputed(str(clips)).generate(FakeSuite().cases(8, 64, 64)[1], 0)


def test_manifest_names_files_freely(clips: Path) -> None:
    (clips / "manifest.json").write_text(json.dumps({"alpha": "beta.mkv"}))
    assert Precomputed(str(clips)).generate(FakeSuite().cases(8, 64, 64)[0], 0).info["file"] == "beta.mkv"


def manifest(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_manifest_with_seeds_notes_and_label(clips: Path) -> None:
    case = FakeSuite().cases(8, 64, 64)[0]
    text = "case,file,seed,label,notes\nalpha,beta.mkv,,Closed 2,\nalpha,alpha.mkv,3,Closed 2,web page\n"
    (clips / "manifest.csv").write_text(text)
    for place in (clips, clips / "manifest.csv"):
        model = Precomputed(str(place))
        assert model.label == "Closed 2"
        assert [model.generate(case, seed).info["file"] for seed in (0, 3)] == ["beta.mkv", "alpha.mkv"]
        assert (model.generate(case, 3).info["notes"], "notes" in model.generate(case, 0).info) == (
            "web page",
            False,
        )
    assert Precomputed(str(clips), label="mine").label == "mine"
    assert set(model.case_fingerprint(case)) == {"alpha", "alpha.seed3"}


def test_manifest_of_several_methods(clips: Path) -> None:
    both = [{"case": "alpha", "file": f"{name}.mkv", "label": name} for name in ("alpha", "gamma")]
    path = manifest(clips, *both)
    model = Precomputed(str(path), label="gamma")
    assert model.label == "gamma"
    assert model.generate(FakeSuite().cases(8, 64, 64)[0], 0).info["file"] == "gamma.mkv"
    with pytest.raises(UserError, match=r"holds alpha, gamma; choose one with model.label=NAME"):
        Precomputed(str(path))


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["{"], r"manifest\.jsonl:1: not JSON"),
        (['["alpha"]'], r"jsonl:1: needs case and file, got \['alpha'\]"),
        ([{"case": "alpha"}], r"jsonl:1: needs case and file"),
        (
            [{"case": "alpha", "file": "alpha.mkv", "sed": 1}],
            r"unknown column sed; allowed: case, file, seed",
        ),
        ([{"case": "alpha", "file": "alpha.mkv", "seed": "x"}], r"seed=x; allowed: whole numbers from 0"),
        ([{"case": "alpha", "file": "alpha.mkv", "seed": -1}], r"seed=-1; allowed: whole numbers from 0"),
        (
            [{"case": "alpha", "file": f} for f in ("alpha.mkv", "beta.mkv")],
            r"names these samples twice: alpha$",
        ),
        (
            [{"case": f"c{k}", "file": f"{k}.mp4"} for k in range(7)]
            + [{"case": "alpha", "file": "alpha.mkv"}],
            r"7 of 8 files are not there: 0.mp4, 1.mp4, 2.mp4, 3.mp4, 4.mp4 and 2 more",
        ),
        ([], r"names no clip"),
    ],
)
def test_malformed_manifests(clips: Path, lines: list[Any], error: str) -> None:
    with pytest.raises(UserError, match=error):
        Precomputed(str(manifest(clips, *lines)))


@pytest.mark.parametrize("text", ["[1]", "{"])
def test_malformed_json_manifest(clips: Path, text: str) -> None:
    (clips / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="expected an object"):
        Precomputed(str(clips))
    manifest(clips, {"case": "alpha", "file": "alpha.mkv"})
    with pytest.raises(UserError, match=r"has manifest.json and manifest.jsonl; keep one"):
        Precomputed(str(clips))


def test_frames_as_pictures(tmp_path: Path) -> None:
    case = FakeSuite().cases(12, 64, 64)[0]
    frames = draw(case.trajectories.tracks_NT2[0])
    (tmp_path / "alpha").mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "alpha" / f"frame_{t}.png")  # 10 comes after 9
    model = Precomputed(str(tmp_path))
    video = model.generate(case, 0)
    np.testing.assert_array_equal(video.thwc, frames)
    assert video.fps == case.fps
    before = model.case_fingerprint(case)
    Image.fromarray(frames[0]).save(tmp_path / "alpha" / "frame_5.png")
    assert model.case_fingerprint(case) != before


def test_folders_that_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none is neither folder nor manifest"):
        Precomputed(str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"no video in"):
        Precomputed(str(tmp_path))
    write(tmp_path / "a.mkv", 4, 64)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"a.mkv and a.mp4 name the same clip"):
        Precomputed(str(tmp_path))


def test_each_length_may_have_its_own_folder(tmp_path: Path) -> None:
    for frames in (7, 8):
        (tmp_path / f"clips/{frames}").mkdir(parents=True)
        write(tmp_path / f"clips/{frames}/alpha.mkv", frames, 64)
    model = Precomputed(str(tmp_path / "clips/{frames}"))
    assert model.label == "clips"
    for frames in (7, 8):
        model.check(frames, 64, 64)
        assert model.generate(FakeSuite().cases(frames, 64, 64)[0], 0).num_frames == frames
    with pytest.raises(UserError, match=r"clips/9 is neither folder nor manifest"):
        model.check(9, 64, 64)
