"""Layout, units and canvas of path files: settled by what is known, else refused with both readings; never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fake_parts import config
from toraeval.cli import overrides
from toraeval.run import pipeline
from toraeval.run.own_videos import plan_score
from toraeval.suites.folder.suite import Folder
from toraeval.trajectories import (
    ClipFacts,
    NativeCase,
    PathReading,
    check_one_canvas,
    load,
    read_native,
    read_paths,
    write_native,
)
from toraeval.trajectories.formats import NAMES, TABLE
from toraeval.types import Trajectories, UserError

WIDE = ClipFacts((416, 240), 24, "clip")


@pytest.fixture
def paths(data_dir: Path) -> Path:
    return data_dir / "faults" / "paths"


@pytest.fixture
def truth(paths: Path) -> np.ndarray:
    return np.asarray(json.loads((paths / "score" / "dn.json").read_text()), dtype=np.float64)


def score(paths: Path, results: Path, name: str, **changes: Any) -> pipeline.Report:
    options = {
        "videos": str(paths / "v"),
        "trajectories": str(paths / name),
        "label": "own",
        "align": "resample",
    }
    plain = {**config(results), **options, "canvas": None, **changes}
    plain["tracker"] = {"name": "lucas_kanade"}
    plain["metrics"] = {"traj_error": {"name": "traj_error"}}
    for unused in ("model", "suite", "frames", "height", "width", "seeds", "samples", "floor"):
        plain.pop(unused)
    return pipeline.run(plan_score(plain), command="test")


@pytest.mark.parametrize("name", ["ntxy.npy", "tnxy.npy", "kj.json"])
def test_the_clip_settles_layout_and_canvas(paths: Path, truth: np.ndarray, name: str) -> None:
    found = load(paths / "score" / name, clip=WIDE)
    np.testing.assert_array_equal(found.tracks_NT2, truth)
    assert found.canvas == (416, 240)
    assert any("416x240, the clip's size" in note for note in found.notes)
    assert any("layout" in note for note in found.notes) == name.endswith(".npy")


def test_one_object_of_a_text_file_is_in_the_clips_pixels(paths: Path, truth: np.ndarray) -> None:
    found = load(paths / "score" / "pix.txt", clip=WIDE)
    np.testing.assert_array_equal(found.tracks_NT2, truth[:1])
    assert found.canvas == (416, 240)


def test_normalised_coordinates_need_the_word(paths: Path, truth: np.ndarray) -> None:
    for name in ("score/norm.json", "norm.npy", "norm.txt", "dn_norm.json"):
        with pytest.raises(
            UserError, match=r"look like fractions.*units=normalised if they are, units=pixels"
        ):
            load(paths / name, clip=WIDE)
    found = load(paths / "score" / "norm.json", units="normalised", clip=WIDE)
    np.testing.assert_allclose(found.tracks_NT2, truth, atol=1e-9)
    assert found.notes == ("fractions in 0..1 read as x = u * width on 416x240 (units=normalised)",)


def test_coordinates_around_the_centre_are_told_by_their_sign(tmp_path: Path, truth: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", truth / [208, 120] - 1)
    found = load(tmp_path / "a.npy", units="normalised", clip=WIDE)
    np.testing.assert_allclose(found.tracks_NT2, truth, atol=1e-9)
    assert "fractions in -1..1 read as x = (u + 1) / 2 * width" in found.notes[-1]
    positive = np.abs(truth / [208, 120] - 1)
    np.save(tmp_path / "b.npy", positive)
    found = load(tmp_path / "b.npy", units="signed", clip=WIDE)
    np.testing.assert_allclose(found.tracks_NT2, (positive + 1) * [208, 120], atol=1e-9)
    np.save(tmp_path / "c.npy", truth)
    with pytest.raises(UserError, match="not fractions; got values from"):
        load(tmp_path / "c.npy", units="normalised", clip=WIDE)


def test_two_canvases_that_both_fit_are_refused_with_both(paths: Path, truth: np.ndarray) -> None:
    with pytest.raises(
        UserError, match=r"two ways.*clip \(416x240\).*576x320.*canvas=clip.*canvas=\[576,320\]"
    ):
        load(paths / "score" / "dn.json", clip=WIDE)
    for canvas in ("clip", (416, 240)):
        found = load(paths / "score" / "dn.json", canvas=canvas, clip=WIDE)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.tracks_NT2, truth)


def test_the_only_canvas_that_fits_is_taken_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("53.5,80.5\n62.4,200\n")
    found = load(tmp_path / "a.txt", clip=ClipFacts((192, 128), 16))
    assert found.canvas == (256, 256)
    assert found.notes == (
        "canvas 256x256, the one of format tora: the points do not fit the clip (192x128)",
    )
    (tmp_path / "a.txt").write_text("53.5,80.5\n62.4,300\n")
    with pytest.raises(UserError, match=r"outside the canvas.*or another canvas=\[width,height\]"):
        load(tmp_path / "a.txt", clip=ClipFacts((192, 128), 16))


def test_only_options_that_the_command_has_are_advised(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("53.5,80.5\n62.4,300\n")
    (tmp_path / "b.json").write_text("[[[0.1, 0.2], [0.3, 0.4]]]")
    told = {
        "": ("or another canvas=[width,height]", "units=normalised if they are, units=pixels if they are"),
        "suite.": (
            "or another suite.canvas=[width,height]",
            "suite.units=normalised if they are, suite.units=",
        ),
        None: ("on the 256x256 canvas", "allowed: pixels of the picture"),
    }
    for prefix, words in told.items():
        for name, word in zip(("a.txt", "b.json"), words, strict=True):
            with pytest.raises(UserError) as caught:
                read_paths(tmp_path / name, PathReading(prefix=prefix))
            assert word in str(caught.value)
            assert "=" not in str(caught.value) or prefix is not None


def test_one_format_is_not_read_on_two_kinds_of_canvas(tmp_path: Path) -> None:
    clip = ClipFacts((192, 128), 16)
    (tmp_path / "a.txt").write_text("53.5,80.5\n62.4,200\n")  # fits 256x256 only

    (tmp_path / "c.json").write_text('[{"x": 10, "y": 20}, {"x": 30, "y": 40}]')
    wide = load(tmp_path / "a.txt", clip=ClipFacts((400, 190), 16)), load(tmp_path / "c.json", clip=clip)
    check_one_canvas(wide)
    (tmp_path / "b.txt").write_text("53.5,80.5\n300,90\n")  # fits the clip only
    with pytest.raises(
        UserError, match=r"a\.txt: files of format tora.*b\.txt fits its clip only.*canvas=clip or"
    ):
        check_one_canvas([*wide, load(tmp_path / "b.txt", clip=ClipFacts((400, 190), 16))])


def test_two_layouts_that_both_fit_are_refused_with_both(paths: Path) -> None:
    for clip in (ClipFacts(), ClipFacts((192, 128), 20)):
        with pytest.raises(
            UserError, match=r"16 objects over 2 moments, or 2 objects over 16 moments.*layout=tn"
        ):
            load(paths / "pixTN.npy", (192, 128), clip=clip)
    asked = load(paths / "pixTN.npy", (192, 128), layout="tn")
    np.testing.assert_array_equal(asked.tracks_NT2[:1], load(paths / "pix.npy", (192, 128)).tracks_NT2)


def test_a_format_that_the_clip_contradicts_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pred_tracks=np.full((2, 16, 2), 5.0))
    with pytest.raises(UserError, match="the format means tn, the clip's length says nt"):
        load(tmp_path / "a.npz", clip=ClipFacts((64, 64), 16))
    (tmp_path / "a.json").write_text(json.dumps([[[5, 6], [7, 8]]] * 16))
    with pytest.raises(UserError, match="the format means nt, the clip's length says tn"):
        load(tmp_path / "a.json", clip=ClipFacts((64, 64), 16))


@pytest.mark.parametrize(
    ("name", "options"), [("pixTN.npy", {}), ("pix.npy", {}), ("norm.npy", {"units": "normalised"})]
)
def test_score_is_right_or_refused(paths: Path, tmp_path: Path, name: str, options: dict[str, str]) -> None:
    if options:
        with pytest.raises(UserError, match="look like fractions"):
            score(paths, tmp_path, name)
    row = score(paths, tmp_path, name, **options).result.cases.iloc[0]
    assert row["traj_error"] < 0.2
    assert row["tag_canvas"] == "[192, 128]"
    assert row["tag_paths_read"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"canvas": [832]}, r"wrong canvas; got \[832\]"),
        ({"canvas": 832}, "wrong canvas; got 832"),
        ({"canvas": []}, r"wrong canvas; got \[\]"),
        ({"canvas": [832, -1]}, r"wrong canvas; got \[832, -1\]"),
        ({"canvas": ["a", "b"]}, "wrong canvas"),
        ({"canvas": "832x480"}, "wrong canvas; got 832x480"),
        ({"layout": "xy"}, "unknown value of layout 'xy'"),
        ({"units": "metres"}, "unknown value of units 'metres'"),
        ({"format": "excel"}, "format='excel': allowed are auto, native"),
    ],
)
def test_wrong_options_are_one_line(
    paths: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    np.save(tmp_path / "a.npy", np.full((4, 2), 9.0))
    for make in (lambda: score(paths, tmp_path, "pix.npy", **options), lambda: Folder(tmp_path, **options)):
        with pytest.raises(UserError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 0.0, -3.0])
def test_the_folders_frame_rate_is_a_number_above_zero(tmp_path: Path, fps: float) -> None:
    (tmp_path / "a.txt").write_text("20,30\n60,90\n")
    with pytest.raises(UserError, match="suite folder: fps="):
        Folder(tmp_path, fps=fps)


def test_the_folder_suite_says_and_stores_what_it_assumed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("20,30\n60,90\n")
    (case,) = Folder(tmp_path).cases(16, 128, 128)
    assert case.trajectories.notes == ("canvas 256x256, the one of format tora, as the file states none",)
    assert case.tags["paths_read"] == case.trajectories.notes[0]
    np.save(tmp_path / "a.npy", np.full((3, 4, 2), 9.0))
    (tmp_path / "a.txt").unlink()
    with pytest.raises(UserError, match=r"suite\.layout=nt for the first, suite\.layout=tn for"):
        Folder(tmp_path, canvas=[64, 64])
    (case,) = Folder(tmp_path, canvas=[64, 64], layout="tn").cases(16, 128, 128)
    assert case.trajectories.num_objects == 4


def test_native_files_of_fractions_are_refused_unless_they_say_pixels(tmp_path: Path) -> None:
    tracks = np.array([[[0.25, 0.5], [0.75, 0.5]]])
    still = Trajectories(tracks, np.ones((1, 2), bool), (64, 64))
    file = write_native(tmp_path / "a.json", [NativeCase("a", still)])
    np.testing.assert_array_equal(read_native(file)[0].trajectories.tracks_NT2, tracks)
    file.write_text(file.read_text().replace('"units": "pixels",\n', ""))
    with pytest.raises(UserError, match=r'look like fractions.*"units": "pixels" in the file'):
        read_native(file)


def test_options_reach_the_command_line() -> None:
    own = ["videos=a", "trajectories=b", "layout=tn", "units=normalised", "format=numpy", "canvas=clip"]
    folder = ["suite=folder", "suite.path=x", "suite.layout=nt", "suite.units=pixels", "suite.canvas=[8,9]"]
    (cfg,) = overrides.check("score", own, multirun=False).configs
    assert (cfg.layout, cfg.units, cfg.format, cfg.canvas) == ("tn", "normalised", "numpy", "clip")
    (cfg,) = overrides.check("run", folder, multirun=False).configs
    assert (cfg.suite.layout, cfg.suite.units, list(cfg.suite.canvas)) == ("nt", "pixels", [8, 9])


def test_the_table_of_formats_is_whole() -> None:
    assert len(set(NAMES)) == len(TABLE) + 1
    assert {format.layout for format in TABLE} <= {"nt", "tn", "either"}
    assert {format.units for format in TABLE} <= {"pixels", "fractions"}
