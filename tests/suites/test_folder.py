"""The user's own prompts, trajectories and first frames."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toraeval.store.keys import safe_id
from toraeval.suites.folder.suite import Folder
from toraeval.types import UserError

LINE = "20,30\n60,90\n200,200\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def picture(path: Path, width: int = 64, height: int = 64, spot: tuple[int, int] | None = None) -> None:
    image = np.full((height, width, 3), 90, np.uint8)
    if spot:
        image[spot[1] - 2 : spot[1] + 3, spot[0] - 2 : spot[0] + 3] = (255, 0, 0)
    Image.fromarray(image).save(path)


def native(**changes: Any) -> str:
    data = {
        "format": "toraeval-trajectories",
        "version": 1,
        "canvas": [256, 256],
        "points": [[[8, 9], [90, 99]]],
    }
    return json.dumps({**data, **changes})


def test_published_files_as_they_come(data_dir: Path, tmp_path: Path) -> None:
    for path in (data_dir / "trajectories" / "tora").glob("*.txt"):
        if not path.name.startswith("prompts"):
            shutil.copy(path, tmp_path)
    suite = Folder(tmp_path)
    for frames in (16, 64, 128):
        cases = suite.cases(frames, 512, 512)
        assert [case.id for case in cases] == sorted(path.stem for path in tmp_path.iterdir())
        for case in cases:
            assert case.trajectories.tracks_NT2.shape == (1, frames, 2)
            assert case.trajectories.canvas == (512, 512)
            assert (case.frames, case.height, case.width, case.fps) == (frames, 512, 512, 8.0)
    facts = suite.describe()
    assert facts["cases"] == 9
    assert facts["single_object_cases"] == 9
    json.dumps([facts, suite.fingerprint(), dict(cases[0].tags)])


def test_prompt_picture_and_several_objects(tmp_path: Path) -> None:
    write(
        tmp_path, fox__1__txt=LINE, fox__2__txt=LINE, fox__prompt__txt=" a fox\nruns \n", README__md="notes"
    )
    picture(tmp_path / "fox.png")
    (case,) = Folder(tmp_path).cases(16, 128, 128)
    assert (case.id, case.prompt, case.trajectories.num_objects) == ("fox", "a fox runs", 2)
    assert case.first_frame_HWC is not None
    assert case.first_frame_HWC.shape == (128, 128, 3)
    assert case.first_frame_HWC.dtype == np.uint8
    assert case.tags["first_frame_method"] == "pillow bicubic cover, centre crop"


def test_cases_json(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    picture(tmp_path / "images" / "fox.png")
    points = [[[8, 9], [90, 99]]]
    entries = [
        {"id": "b", "points": points, "prompt": "a fox", "first_frame": "images/fox.png", "fps": 12},
        {"id": "a", "points": points},
    ]
    head = {"format": "toraeval-trajectories", "version": 1, "canvas": [256, 256], "cases": entries}
    write(tmp_path, cases__json=json.dumps(head))
    first, second = Folder(tmp_path).cases(16, 64, 64)
    assert (first.id, first.prompt, first.fps) == ("b", "a fox", 12.0)
    assert (second.id, second.prompt, second.fps, second.first_frame_HWC) == ("a", "", 8.0, None)
    assert [case.id for case in Folder(tmp_path).cases(16, 64, 64, limit=1)] == ["b"]


def test_prompt_list_with_pictures(tmp_path: Path) -> None:
    write(tmp_path, a__txt=LINE, b__txt=LINE, prompts__txt="a fox@@fox.png\na cat\n")
    picture(tmp_path / "fox.png")
    first, second = Folder(tmp_path).cases(16, 64, 64)
    assert (first.prompt, second.prompt) == ("a fox", "a cat")
    assert first.first_frame_HWC is not None
    assert second.first_frame_HWC is None


def test_paths_on_the_picture_are_cropped_with_it(tmp_path: Path) -> None:
    spot = (90, 33)
    picture(tmp_path / "fox.png", 144, 96, spot)
    write(tmp_path, fox__json=native(canvas=[144, 96], points=[[list(spot), [100, 40]]]))
    for width, height in [(128, 128), (96, 160), (300, 100), (144, 96)]:
        (case,) = Folder(tmp_path).cases(2, height, width)
        assert case.first_frame_HWC is not None
        red = (case.first_frame_HWC[..., 0].astype(int) - case.first_frame_HWC[..., 1]) > 100
        rows, columns = np.nonzero(red)
        start = case.trajectories.tracks_NT2[0, 0]
        np.testing.assert_allclose([columns.mean(), rows.mean()], start, atol=0.6)
        assert case.tags["paths_on"] == "picture"


def test_paths_on_another_canvas_lie_on_the_frame(tmp_path: Path) -> None:
    picture(tmp_path / "fox.png", 144, 96)
    write(tmp_path, fox__txt=LINE)
    (case,) = Folder(tmp_path).cases(3, 100, 300)
    expected = (np.array([[20, 30], [60, 90], [200, 200]]) + 0.5) * [300 / 256, 100 / 256] - 0.5
    np.testing.assert_allclose(case.trajectories.tracks_NT2[0], expected)
    assert case.tags["paths_on"] == "frame"


def test_cropped_away_moments_are_hidden_and_starts_refused(tmp_path: Path) -> None:
    picture(tmp_path / "fox.png", 144, 96)
    write(tmp_path, fox__json=native(canvas=[144, 96], points=[[[72, 48], [2, 48]]]))
    (case,) = Folder(tmp_path).cases(2, 96, 96)
    assert case.trajectories.visible_NT.tolist() == [[True, False]]
    write(tmp_path, fox__json=native(canvas=[144, 96], points=[[[2, 48], [72, 48]]]))
    with pytest.raises(UserError, match="object 1 must start visibly inside the frame"):
        Folder(tmp_path).cases(2, 96, 96)


def test_pictures_with_alpha_palette_and_rotation(tmp_path: Path) -> None:
    write(tmp_path, a__txt=LINE, b__txt=LINE, c__txt=LINE)
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(tmp_path / "a.png")
    Image.new("L", (64, 64), 7).save(tmp_path / "b.png")
    turned = Image.fromarray(
        np.stack([np.full((32, 64), 10), np.full((32, 64), 10), np.full((32, 64), 10)], -1).astype(np.uint8)
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "c.jpg", exif=exif)
    clear, level, phone = Folder(tmp_path).cases(2, 64, 64)
    assert clear.first_frame_HWC is not None
    assert level.first_frame_HWC is not None
    assert (clear.first_frame_HWC == 255).all()
    assert (level.first_frame_HWC == 7).all()
    assert phone.tags["first_frame_size"] == [32, 64]


def test_hashes_follow_the_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        write(folder, a__txt=LINE, a__prompt__txt="fox")
        picture(folder / "a.png")
    assert Folder(one).fingerprint() == Folder(two).fingerprint()
    (first,), (second,) = Folder(one).cases(16, 64, 64), Folder(two).cases(16, 64, 64)
    assert first.content_hash == second.content_hash
    assert first.seed == second.seed
    assert first.content_hash != Folder(one).cases(17, 64, 64)[0].content_hash
    seen = {Folder(two).fingerprint()["hash"]}
    for change in (
        {"a__txt": LINE.replace("60", "61")},
        {"a__prompt__txt": "cat"},
    ):
        write(two, **change)
        assert Folder(two).cases(16, 64, 64)[0].content_hash != first.content_hash
        seen.add(Folder(two).fingerprint()["hash"])
    picture(two / "a.png", spot=(9, 9))
    seen.add(Folder(two).fingerprint()["hash"])
    assert len(seen) == 4
    assert Folder(two, rule="arc_length").fingerprint() != Folder(two).fingerprint()


def test_ids_become_folder_names(tmp_path: Path) -> None:
    for name in ("狐.txt", "a fox.txt", "plain.txt"):
        (tmp_path / name).write_text(LINE)
    cases = {case.tags["original_id"]: case.id for case in Folder(tmp_path).cases(2, 64, 64)}
    assert cases["plain"] == "plain"
    assert len(set(cases.values())) == 3
    assert all(case == safe_id(case) and case.isascii() for case in cases.values())


@pytest.mark.parametrize("name", ["", "..", "a/b", "../../etc", "x" * 300, "ä", ".hidden", "a\nb", "con fig"])
def test_safe_id(name: str) -> None:
    made = safe_id(name)
    assert 0 < len(made) <= 80
    assert not set(made) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not made.startswith(".")
    assert made == safe_id(name)
    assert made == safe_id(made)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({}, "holds no trajectory"),
        ({"a.prompt.txt": "fox"}, "holds no trajectory"),
        ({"a.txt": LINE, "b.png": ""}, r"belong to no case: b\.png; allowed: files of the cases a"),
        ({"a.txt": LINE, "b.prompt.txt": "fox"}, r"belong to no case: b\.prompt\.txt"),
        (
            {"a.txt": LINE, "a.json": native()},
            r"several trajectory files: a\.json, a\.txt|several trajectory files",
        ),
        ({"a.json": native(prompt="x"), "a.prompt.txt": "y"}, "the prompt is given twice"),
        ({"a.txt": LINE, "a.prompt.txt": "\n"}, "the file is empty"),
        ({"a.txt": LINE, "a.png": "", "a.jpg": ""}, "several first frames"),
        ({"a.txt": LINE, "a.png": "no picture"}, "not a readable picture"),
        ({"a.txt": LINE, "prompts.txt": "x\ny\n"}, "got 2 prompts for 1 case "),
        ({"a.txt": LINE, "prompts.txt": "x@@fox.png\n"}, r"prompts\.txt:1: no such image; got fox\.png"),
        ({"a.txt": LINE, "a.prompt.txt": "x", "prompts.txt": "y\n"}, "the prompt of case a is given twice"),
        ({"cases.json": native(), "b.txt": LINE}, r"belong to no case: b\.txt"),
        ({"A.txt": LINE, "a.txt": LINE}, "need names that differ more"),
        ({"a.txt": "1,2\n"}, r"a\.txt:1: too few points"),
        ({"a.npy": ""}, "not a readable NumPy file"),
    ],
)
def test_broken_folders(tmp_path: Path, files: dict[str, str], match: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=match) as caught:
        Folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a directory"):
        Folder(tmp_path / "none")
    suite = Folder(write(tmp_path, a__txt=LINE))
    for request, match in [((1, 64, 64), "frames=1"), ((0, 64, 64), "frames=0"), ((16, 8, 64), "size 64x8")]:
        with pytest.raises(UserError, match=match):
            suite.cases(*request)
    with pytest.raises(UserError, match="limit=0"):
        suite.cases(16, 64, 64, limit=0)
    with pytest.raises(UserError, match="rule='spline'"):
        Folder(tmp_path, rule="spline")
    with pytest.raises(UserError, match="fps=0"):
        Folder(tmp_path, fps=0)


def test_canvas_of_plain_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0.0, 0.0], [511.0, 100.0]]))
    with pytest.raises(UserError, match="the canvas is not known"):
        Folder(tmp_path)
    (case,) = Folder(tmp_path, canvas=[512, 512]).cases(2, 512, 512)
    assert case.trajectories.tracks_NT2[0].tolist() == [[0, 0], [511, 100]]


# --- camera paths and last frames -------------------------------------------------------------------------------
