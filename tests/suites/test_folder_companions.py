"""Camera paths and last frames that stand beside the cases of suite=folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.suites.test_folder import native, picture, write
from toraeval.suites.folder.suite import Folder
from toraeval.types import UserError

LINE = "20,30\n60,90\n200,200\n"


def test_camera_paths_and_last_frame_beside_a_case(tmp_path: Path) -> None:
    write(tmp_path, fox__txt=LINE, fox__camera__1__txt="20,30\n40,30\n", fox__camera__2__txt="50,60\n70,60\n")
    picture(tmp_path / "fox.png")
    picture(tmp_path / "fox.last.png", 96, 48, spot=(48, 24))
    suite = Folder(tmp_path)
    (case,) = suite.cases(5, 64, 64)
    assert case.trajectories.num_objects == 1
    assert case.camera is not None
    assert case.camera.canvas == (64, 64)
    assert case.camera.tracks_NT2.shape == (2, 5, 2)
    np.testing.assert_allclose(case.camera.tracks_NT2[0, [0, -1], 0], (np.array([20, 40]) + 0.5) / 4 - 0.5)
    assert case.last_frame_HWC is not None
    assert case.last_frame_HWC.shape == (64, 64, 3)
    assert case.last_frame_HWC[32, 32, 0] > 200
    assert (case.tags["camera_paths"], case.tags["last_frame"]) == (2, "fox.last.png")
    facts = suite.describe()
    assert (facts["cases"], facts["with_camera"], facts["with_last_frame"]) == (1, 1, 1)


def test_camera_paths_and_last_frame_in_json(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 144, 96)
    picture(tmp_path / "b.png", 144, 96)
    camera = {"points": [[[72, 48], [60, 48], None]]}
    frames = {"first_frame": "a.png", "last_frame": "b.png"}
    text = native(canvas=[144, 96], points=[[[72, 48]] * 2], camera=camera, **frames)
    write(tmp_path, fox__json=text)
    (case,) = Folder(tmp_path).cases(3, 96, 96)
    assert case.camera is not None
    assert case.tags["paths_on"] == "picture"
    # scaled by 1, 24 columns cut on the left
    np.testing.assert_allclose(case.camera.tracks_NT2[0], [[48, 48], [36, 48], [36, 48]], atol=1e-6)
    assert case.camera.visible_NT.tolist() == [[True, True, False]]
    assert case.last_frame_HWC is not None


def test_camera_paths_and_last_frame_are_part_of_the_content(tmp_path: Path) -> None:
    write(tmp_path, a__txt=LINE)
    picture(tmp_path / "a.png")
    seen = []

    def note() -> None:
        suite = Folder(tmp_path)
        seen.append((suite.fingerprint()["hash"], suite.cases(4, 64, 64)[0].content_hash))

    note()
    picture(tmp_path / "a.last.png")
    note()
    picture(tmp_path / "a.last.png", spot=(9, 9))
    note()
    write(tmp_path, a__camera__txt=LINE)
    note()
    write(tmp_path, a__camera__txt=LINE.replace("60", "61"))
    note()
    assert len({suite for suite, _ in seen}) == len({case for _, case in seen}) == 5


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"a.txt": LINE, "a.last.png": ""}, "case a has a last frame without a first one"),
        ({"a.txt": LINE, "a.last.png": "", "a.last.jpg": ""}, "case a has several last frames"),
        (
            {"a.json": native(camera={"points": [[[1, 1], [2, 2]]]}), "a.camera.txt": LINE},
            "the camera of case a is given twice",
        ),
        ({"a.json": native(camera=[[[1, 1], [2, 2]]])}, 'no paths; got .*allowed: {"points"'),
        ({"a.json": native(camera={"points": [], "x": 1})}, "unknown field; got x"),
        ({"a.json": native(camera={"points": [[[1, 1], [300, 2]]]})}, "the point lies outside the canvas"),
        ({"a.json": native(last_frame="none.png")}, "no such image; got none.png"),
    ],
)
def test_broken_camera_paths_and_last_frames(tmp_path: Path, files: dict[str, str], match: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=match):
        Folder(tmp_path)


def test_names_that_end_like_companions_stay_cases(tmp_path: Path) -> None:
    write(tmp_path, pan__camera__txt=LINE, a__txt=LINE, a__last__txt=LINE)
    picture(tmp_path / "a.png")
    picture(tmp_path / "a.last.png")
    cases = {case.id: case for case in Folder(tmp_path).cases(2, 64, 64)}
    assert set(cases) == {"a", "a.last", "pan.camera"}
    assert cases["a"].last_frame_HWC is None
    assert cases["a.last"].first_frame_HWC is not None
