"""Readers of the published formats: all published files load, and malformed ones end in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toraeval import geometry
from toraeval.trajectories import ClipFacts, draw_paths, load, read_prompts
from toraeval.types import UserError

PUBLISHED = sorted((Path(__file__).parents[1] / "data" / "trajectories").glob("*/*.txt"))
PATHS = [path for path in PUBLISHED if not path.name.startswith("prompts")]


def test_all_published_files_are_here() -> None:
    assert len(PATHS) == 9 + 8


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_published_files_load_resample_and_draw(path: Path, data_dir: Path) -> None:
    trajectories = load(path)
    key = {"tora": "raw", "motionctrl": "mcraw"}[path.parent.name]
    with np.load(data_dir / "trajectories" / "upstream_resampling.npz") as golden:
        np.testing.assert_array_equal(trajectories.tracks_NT2[0], golden[f"{key}__{path.stem}"])
    assert trajectories.canvas == (256, 256)
    for frames in (16, 64, 128):
        target = geometry.to_canvas(geometry.resample(trajectories, frames), 512, 512)
        assert target.tracks_NT2.shape == (1, frames, 2)
        ends = (trajectories.tracks_NT2[0, [0, -1]] + 0.5) * 2 - 0.5
        np.testing.assert_allclose(target.tracks_NT2[0, [0, -1]], ends, atol=1e-9)
    drawn = draw_paths(np.full((512, 512, 3), 128, np.uint8), target.tracks_NT2)
    changed = (drawn != 128).any(axis=-1)
    for x, y in np.rint(target.tracks_NT2[0]).astype(int):
        assert changed[y, x]


def test_blanks_line_ends_and_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    texts = ["1,2\n3,4", "1, 2\n3, 4\n", " 1 ,2 \r\n3,\t4\r\n\r\n", "\ufeff1,2\n\n3.0,4e0\n\n"]
    for index, text in enumerate(texts):
        path = tmp_path / f"{index}.txt"
        path.write_bytes(text.encode("utf-8"))
        assert load(path).tracks_NT2.tolist() == [[[1, 2], [3, 4]]]


def test_canvas_argument_replaces_the_text_default(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1,2\n900,4\n")
    assert load(path, canvas=(1024, 1024)).canvas == (1024, 1024)
    with pytest.raises(UserError, match="outside the canvas"):
        load(path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("3,4\n", "a.txt:1: too few points; got 1; allowed: 2 or more"),
        ("1,2\nx,4\n", "a.txt:2: not a finite number; got x"),
        ("1,2\n3,\n", "a.txt:2: not a finite number; got nothing"),
        ("1,2\n\nnan,4\n", "a.txt:3: not a finite number; got nan"),
        ("1,2\ninf,4\n", "not a finite number; got inf"),
        ("1,2\n1e999,4\n", "not a finite number; got 1e999"),
        ("1,2\n1_0,4\n", "not a finite number; got 1_0"),
        ("1,2\n3,4,5\n", "a.txt:2: a line must hold two numbers; got 3,4,5"),
        ("1 2\n3 4\n", "a.txt:1: a line must hold two numbers; got 1 2"),
        ("1,2\n300,4\n", r"a.txt:2: the point lies outside the canvas; got 300,4; allowed: x in -0.5..255.5"),
        ("1,2\n3,256\n", "outside the canvas; got 3,256"),
        ("1,2\n-3,4\n", "outside the canvas; got -3,4"),
    ],
)
def test_malformed_text(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=match) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}")
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"1,2\n\xff,2\n")
    (tmp_path / "a.mat").write_bytes(b"1")
    for name, match in [
        ("none.txt", "no such trajectory file"),
        ("none.npy", "no such trajectory file"),
        ("a.txt", r"a\.txt:2: not readable as text; got the byte 0xff"),
        ("a.mat", r"unknown suffix; got \.mat"),
    ]:
        with pytest.raises(UserError, match=match):
            load(tmp_path / name, canvas=(8, 8))
    with pytest.raises(UserError, match="format='tor': allowed are auto, native, csv, tora"):
        load(tmp_path / "a.txt", format="tor")
    with pytest.raises(UserError, match="no file given"):
        load([])
    with pytest.raises(UserError, match="wrong canvas; got"):
        load(tmp_path / "a.txt", canvas=(256.5, 256))  # type: ignore[arg-type]


def test_dragnuwa_tracks(data_dir: Path) -> None:
    trajectories = load(data_dir / "trajectories" / "dragnuwa.json")
    assert trajectories.canvas == (576, 320)
    assert trajectories.tracks_NT2.shape == (2, 4, 2)
    np.testing.assert_allclose(trajectories.tracks_NT2[0, :, 0], [25, 25 + 103 / 3, 25 + 206 / 3, 128])
    np.testing.assert_array_equal(trajectories.tracks_NT2[1, 1], [320.5, 150])


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([], "no tracks"),
        ([[]], r"\[0\]: too few points; got 0"),
        ([[[1, 2]]], "too few points; got 1"),
        ([[25, 25], [128, 128]], r"\[0\]\[0\]: a point must be a pair; got 25"),
        ([[[1, 2], [3]]], "a point must be a pair"),
        ([[[1, 2], [3, None]]], "not a number; got None"),
        ([[[1, 2], [576, 3]]], "outside the canvas"),
        (["fox"], 'text that is not a track; got a text of 3 characters "fox"'),
        ([7], "a track must be a list of points; got the number 7"),
    ],
)
def test_malformed_dragnuwa(tmp_path: Path, data: Any, match: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=match) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:1: ")


def test_native_file_under_the_wrong_format(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"format": "toraeval-trajectories"}')
    with pytest.raises(UserError, match="no tracks"):
        load(tmp_path / "a.json", format="dragnuwa")


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_numpy_arrays(tmp_path: Path, dtype: type) -> None:
    tracks = np.array([[[1, 2], [3, 4], [5, 6]], [[0, 0], [1, 1], [2, 2]]], dtype=dtype)
    np.save(tmp_path / "many.npy", tracks)
    np.save(tmp_path / "one.npy", tracks[0])
    many = tmp_path / "many.npy"
    np.testing.assert_array_equal(load(many, canvas=(8, 8), layout="nt").tracks_NT2, tracks)
    np.testing.assert_array_equal(load(many, (8, 8), layout="tn").tracks_NT2, tracks.transpose(1, 0, 2))
    np.testing.assert_array_equal(load(many, (8, 8), clip=ClipFacts(frames=3)).tracks_NT2, tracks)
    with pytest.raises(UserError, match="2 objects over 3 moments, or 3 objects over 2 moments"):
        load(many, canvas=(8, 8))
    np.testing.assert_array_equal(load(tmp_path / "one.npy", canvas=(8, 8)).tracks_NT2, tracks[:1])
    with pytest.raises(UserError, match="the canvas is not known"):
        load(many, layout="nt")


def test_npz_keys(tmp_path: Path) -> None:
    tracks = np.array([[1.0, 2.0], [np.nan, np.nan], [5.0, 6.0]])
    flags = np.array([True, False, True])
    np.savez(tmp_path / "a.npz", tracks=tracks, visible=flags, canvas=[8, 9], fps=12.5, names=["fox"])
    trajectories = load(tmp_path / "a.npz")
    assert trajectories.tracks_NT2.tolist() == [[[1, 2], [3, 4], [5, 6]]]
    assert trajectories.visible_NT.tolist() == [[True, False, True]]
    assert (trajectories.canvas, trajectories.fps, trajectories.names) == ((8, 9), 12.5, ("fox",))
    with pytest.raises(UserError, match=r"states its own canvas; got canvas=\(4, 4\); allowed: \(8, 9\)"):
        load(tmp_path / "a.npz", canvas=(4, 4))
    np.savez(tmp_path / "b.npz", tracks[[0, 2]])
    assert load(tmp_path / "b.npz", canvas=(8, 9)).num_frames == 2


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"tracks": np.zeros((3, 3))}, r"wrong shape; got \(3, 3\)"),
        ({"tracks": np.zeros((1, 2))}, "wrong shape"),
        ({"tracks": np.zeros((0, 4, 2))}, "wrong shape"),
        ({"tracks": np.zeros(())}, "wrong shape"),
        ({"tracks": np.zeros((2, 2), dtype=complex)}, "wrong dtype; got complex128"),
        ({"tracks": np.array([["a", "b"], ["c", "d"]])}, "wrong dtype"),
        ({"tracks": np.array([[1, 2], [3]], dtype=object)}, "an array of Python objects"),
        ({"tracks": np.array([[1, 2], [np.nan, 3]])}, "not a finite number; got nan,3 at object 1, moment 2"),
        ({"tracks": np.array([[1, 2], [np.inf, 3]])}, "not a finite number"),
        ({"tracks": np.array([[1, 2], [9, 3]])}, "outside the canvas; got 9,3 at object 1, moment 2"),
        ({"tracks": np.array([[1, 2], [-4, 3]])}, "outside the canvas"),
        ({"tracks": np.ones((2, 2)), "visible": np.ones(3, dtype=bool)}, "wrong visibility"),
        ({"tracks": np.ones((2, 2)), "visible": np.full(2, 0.5)}, "wrong visibility; got float64"),
        ({"tracks": np.ones((2, 2)), "names": np.array(["a", "b"])}, "one name per object"),
        ({"points": np.ones((2, 2))}, r"wrong keys; got \['points'\]"),
        ({"tracks": np.ones((2, 2)), "canvas": np.array([8])}, "wrong canvas"),
    ],
)
def test_malformed_numpy(tmp_path: Path, arrays: dict[str, np.ndarray], match: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(UserError, match=match) as caught:
        load(path, canvas=None if "canvas" in arrays else (8, 8))
    assert str(caught.value).startswith(f"{path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not numpy", b"PK\x03\x04 broken zip", b"\x93NUMPY\x01\x00v\x00{"])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_damaged_numpy_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable NumPy file"):
        load(path, canvas=(8, 8))


def test_several_files_are_several_objects(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0,0\n10,0\n20,0\n")
    (tmp_path / "b.txt").write_text("0,0\n0,100\n")
    np.savez(tmp_path / "c.npz", tracks=np.array([[0.0, 0.0], [511.0, 511.0]]), canvas=[512, 512])
    trajectories = load([tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.npz"])
    assert trajectories.tracks_NT2.shape == (3, 3, 2)
    assert trajectories.tracks_NT2[1].tolist() == [[0, 0], [0, 50], [0, 100]]
    np.testing.assert_allclose(trajectories.tracks_NT2[2, [0, 2]], [[-0.25, -0.25], [255.25, 255.25]])
    assert trajectories.source.count(" + ") == 2


def test_prompt_lists(data_dir: Path, tmp_path: Path) -> None:
    text = read_prompts(data_dir / "trajectories" / "tora" / "prompts_t2v.txt")
    assert len(text) == 4
    assert all(image is None for _, image in text)
    ((prompt, image),) = read_prompts(data_dir / "trajectories" / "tora" / "prompts_i2v.txt")
    assert prompt.startswith("A stylish fox")
    assert image == "fox.png"
    for line in ("@@fox.png", "a fox@@", "a@@b@@c"):
        (tmp_path / "p.txt").write_text(f"good\n{line}\n")
        with pytest.raises(UserError, match=r"p\.txt:2: a line must hold a prompt"):
            read_prompts(tmp_path / "p.txt")


def test_tracks_of_wan_move_under_another_name_are_told_the_right_one(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 5, 3, 2), np.float32))
    with pytest.raises(UserError, match=r"a.npy: another name; got a.npy; allowed: <id>_tracks.npy beside"):
        load(tmp_path / "a.npy", canvas=(9, 9), format="wan_move")
