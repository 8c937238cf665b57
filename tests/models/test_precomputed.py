from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.fake_parts import FakeSuite, draw
from toraeval import videoio
from toraeval.models.precomputed import Precomputed
from toraeval.types import UserError, Video


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for case in FakeSuite().cases(8, 64, 64):
        write(tmp_path / f"{case.id}.mkv", 8, 64)
    write(tmp_path / "alpha.seed1.mkv", 8, 64)
    return tmp_path


def write(path: Path, frames: int, side: int) -> Path:
    track = np.stack([np.linspace(10, 40, frames), np.full(frames, 20.0)], axis=-1)
    videoio.write_lossless(Video.from_thwc(draw(track, side), 12.0), path)
    return path


def test_clips_are_found_by_case_and_seed(clips: Path) -> None:
    model = Precomputed(str(clips))
    case = FakeSuite().cases(8, 64, 64)[0]
    video = model.generate(case, 1)
    assert (video.num_frames, video.fps) == (8, 12.0)
    assert video.info["file"] == "alpha.seed1.mkv"
    assert model.label == clips.name
    with pytest.raises(UserError, match=r"unknown video 'alpha.seed2'. Did you mean 'alpha.seed1'"):
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
    with pytest.raises(UserError, match=r"has 8 frames, asked are 7; model.cut=true"):
        Precomputed(str(clips)).generate(short, 0)
    with pytest.raises(UserError, match=r"has 8 frames, asked are 9$"):
        Precomputed(str(clips), cut=True).generate(square, 0)
    cut = Precomputed(str(clips), cut=True).generate(short, 0)
    assert (cut.num_frames, cut.info["generated"], cut.info["length_mode"]) == (7, 8, "cut")
    write(wide, 8, 80)
    with pytest.raises(UserError, match=r"is 80x80, asked is 64x64; set height=80 width=80"):
        Precomputed(str(clips)).generate(FakeSuite().cases(8, 64, 64)[1], 0)


def test_manifest_names_files_freely(clips: Path) -> None:
    (clips / "manifest.json").write_text(json.dumps({"alpha": "beta.mkv"}))
    assert Precomputed(str(clips)).generate(FakeSuite().cases(8, 64, 64)[0], 0).info["file"] == "beta.mkv"


@pytest.mark.parametrize(("text", "error"), [("[1]", "expected an object"), ("{", "expected an object")])
def test_malformed_manifest(clips: Path, text: str, error: str) -> None:
    (clips / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=error):
        Precomputed(str(clips))


def test_manifest_with_a_missing_file(clips: Path) -> None:
    (clips / "manifest.json").write_text('{"alpha": "gone.mp4"}')
    with pytest.raises(UserError, match=r"names gone.mp4, which is not there"):
        Precomputed(str(clips))


def test_folders_that_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no folder"):
        Precomputed(str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"no video in"):
        Precomputed(str(tmp_path))
    write(tmp_path / "a.mkv", 4, 64)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"a.mkv and a.mp4 name the same case"):
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
    with pytest.raises(UserError, match=r"clips/9 is no folder"):
        model.check(9, 64, 64)
