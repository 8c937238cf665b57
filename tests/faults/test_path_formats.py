"""Path files of other tools: read as their own projects mean them, each kind beside a file that is only like it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from toraeval.trajectories import ClipFacts, load
from toraeval.types import UserError

BIG, SMALL = ClipFacts((832, 480), 49, "vid"), ClipFacts((48, 32), 9, "1")
THREE = [[50, 60], [150, 110], [250, 160]]  # where the three objects of the 832x480 files start


@pytest.fixture
def paths(data_dir: Path) -> Path:
    return data_dir / "faults" / "paths"


@pytest.mark.parametrize("name", ["cot.npz", "ati.pth"])
def test_tracks_of_an_832x480_clip(paths: Path, name: str) -> None:
    found = load(paths / name, clip=BIG)
    assert found.tracks_NT2.shape == (3, 49, 2)
    np.testing.assert_allclose(found.tracks_NT2[:, 0], THREE, atol=1e-6)
    assert found.canvas == (832, 480)


@pytest.mark.parametrize("name", ["tapvid.npz", "tapvid.pkl"])
def test_tap_vid_fractions_by_every_rule(paths: Path, name: str) -> None:
    for units, shift in (("auto", -0.5), ("tapnet", -0.5), ("normalised", 0.0)):
        found = load(paths / name, units=units, clip=BIG)
        np.testing.assert_allclose(found.tracks_NT2[:, 0], np.array(THREE) + shift, atol=1e-4)
        assert not found.visible_NT.all()
    found = load(paths / name, units="cotracker", clip=BIG)
    np.testing.assert_allclose(found.tracks_NT2[:, 0], np.array(THREE) / [832, 480] * [831, 479], atol=1e-4)
    assert "u * (width - 1)" in found.notes[0]


@pytest.mark.parametrize("name", ["0000_of_0010.pkl", "robotap_split0.pkl"])
def test_items_with_jpeg_frames_are_chosen_by_the_clips_name(paths: Path, name: str) -> None:
    wanted = {"0000_of_0010.pkl": "1", "robotap_split0.pkl": "clip_10"}[name]
    found = load(paths / "tapvid" / name, clip=ClipFacts(name=wanted))
    assert found.canvas == (48, 32)
    np.testing.assert_allclose(found.tracks_NT2[0, 0], [5.5, 7.5], atol=1e-4)
    with pytest.raises(UserError, match=r"one item is needed here; got 2 items \("):
        load(paths / "tapvid" / name, clip=ClipFacts(name="other"))


@pytest.mark.parametrize("name", ["kj.json", "kj2.json", "kj_strlist.json"])
def test_comfyui_splines(paths: Path, name: str) -> None:
    found = load(paths / name, (64, 128))
    np.testing.assert_array_equal(found.tracks_NT2[0, 1], [60, 90])
    assert found.num_objects == (1 if name == "kj.json" else 2)


def test_comfyui_text_in_every_wrapping(tmp_path: Path) -> None:
    track = [{"x": 10, "y": 20}, {"x": 30, "y": 40}]
    forms = {
        "a.json": json.dumps(json.dumps(track)),
        "b.json": json.dumps([track]).replace('"', "'"),
        "c.txt": json.dumps(track),
        "d.json": json.dumps([{**point, "highlighted": False} for point in track]),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        found = load(tmp_path / name, (64, 64))
        assert found.tracks_NT2.tolist() == [[[10, 20], [30, 40]]]
    assert found.notes == ("left out of its points: highlighted",)
    (tmp_path / "e.json").write_text(json.dumps([track, track * 2]))
    assert "1 shorter track is brought to the 4 points" in load(tmp_path / "e.json", (64, 64)).notes[0]
    (tmp_path / "e.json").write_text(json.dumps([{**track[0], "visible": False}, track[1]]))
    with pytest.raises(UserError, match="a hidden point"):
        load(tmp_path / "e.json", (64, 64))


def test_ids_that_map_to_points(paths: Path) -> None:
    found = load(paths / "dn_dict.json", (192, 192))
    assert found.names == ("0", "1")
    assert found.tracks_NT2[1].tolist() == [[100, 100], [120, 130]]


@pytest.mark.parametrize("name", ["header.csv", "frame_xy.txt"])
def test_tables_with_frame_numbers(paths: Path, name: str) -> None:
    assert load(paths / name, (192, 128)).tracks_NT2.tolist() == [[[20, 30], [60, 90]]]


def test_tables_with_objects_visibility_and_key_frames(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("object;frame;X;Y;occluded\nfox;0;10;20;0\nfox;4;30;40;0\nball;0;5;6;0\nball;4;;;1\n")
    found = load(file, (64, 64))
    assert found.names == ("fox", "ball")
    assert found.tracks_NT2[0].tolist() == [[10, 20], [15, 25], [20, 30], [25, 35], [30, 40]]
    assert found.visible_NT.tolist() == [[True] * 5, [True] + [False] * 4]
    assert "3 frames that the table leaves out" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,x,y\n5,1,2\n6,3,4\n", "the frames start late; got frame 5 first"),
        ("frame,x,y\n0,1,2\n0,3,4\n", r"a\.csv:3: a point is given twice"),
        ("frame,x,y\n0,1,2\n1,3,4,5\n", r"a\.csv:3: a line must fill every column; got 4 cells under 3"),
        ("frame,x,y,z\n0,1,2,3\n1,3,4,5\n", "unknown columns; got z"),
        ("frame,x,y\n0,1,2\n-1,3,4\n", "wrong frame; got -1"),
        ("frame,x,y\n0,1,2\n1000000000,3,4\n", "too many; got 1 object of up to 1000000001 moments"),
        ("frame,x,y\n", "the table is empty"),
        ("x,y,visible\n1,2,yes\n3,4,maybe\n", "wrong visibility; got maybe"),
        ("7,10,20\n7,30,40\n", "a line must hold two numbers; got 7,10,20"),
        ("0,10,1\n1,20,1\n2,30,0\n", "a line must hold two numbers; got 0,10,1"),  # x,y,visible as well
    ],
)
def test_tables_that_are_not_understood(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "a.csv", (64, 64))


def test_wan_move_takes_the_visibility_beside_it(paths: Path, tmp_path: Path) -> None:
    tracks = paths / "movebench" / "clip_0_tracks.npy"
    found = load(tracks, clip=SMALL)
    seen = np.load(paths / "movebench" / "clip_0_visibility.npy")[0].T
    np.testing.assert_array_equal(found.visible_NT, seen)
    np.testing.assert_array_equal(found.tracks_NT2[1, 0], [9, 13])
    (tmp_path / tracks.name).write_bytes(tracks.read_bytes())
    with pytest.raises(UserError, match=r"the visibility is missing.*clip_0_visibility.npy"):
        load(tmp_path / tracks.name, clip=SMALL)
    np.save(tmp_path / "clip_0_visibility.npy", seen)
    with pytest.raises(UserError, match="wrong visibility"):
        load(tmp_path / tracks.name, clip=SMALL)


def test_box_corners_are_never_motion(paths: Path, tmp_path: Path) -> None:
    found = load(paths / "formats" / "sgi2v" / "traj.npy", clip=SMALL)
    assert found.tracks_NT2.shape == (3, 9, 2)
    assert found.tracks_NT2[0, 0].tolist() == [6, 8]
    assert found.notes[0].startswith("the two box corners")
    for name in ("other.npy", "TRAJ2.NPY"):
        (tmp_path / name).write_bytes((paths / "formats" / "sgi2v" / "traj.npy").read_bytes())
        with pytest.raises(UserError, match=r"may be a file of SG-I2V.*format=sgi2v.*format=numpy"):
            load(tmp_path / name, clip=SMALL)
    assert load(tmp_path / "TRAJ2.NPY", clip=SMALL, format="sgi2v").num_frames == 9
    off_centre = [[[10, 10], [40, 30], [20, 14], [21, 15], [22, 15]]]
    np.save(tmp_path / "other.npy", np.array(off_centre))
    np.save(tmp_path / "traj.npy", np.array(off_centre))
    for name in ("other.npy", "traj.npy"):
        with pytest.raises(UserError, match="corners of a box around point 3"):
            load(tmp_path / name, clip=SMALL)
    forth_and_back = [[[10, 10], [20, 20], [18, 12], [4, 4], [10, 10]]]
    np.save(tmp_path / "other.npy", np.array(forth_and_back))
    assert load(tmp_path / "other.npy", clip=SMALL).num_frames == 5
    np.save(tmp_path / "traj.npy", np.full((1, 5, 2), 9.0))
    (tmp_path / "img.png").touch()
    with pytest.raises(UserError, match="its name, and a picture beside it"):
        load(tmp_path / "traj.npy", clip=SMALL)
    (tmp_path / "img.png").unlink()
    assert load(tmp_path / "traj.npy", clip=SMALL).num_frames == 5


def test_ati_at_24_frames_per_second(paths: Path) -> None:
    found = load(paths / "formats" / "ati.pth", clip=SMALL)
    assert (found.tracks_NT2.shape, found.fps) == ((3, 121, 2), 24.0)
    np.testing.assert_allclose(found.tracks_NT2[0, 0], [6, 8])


def test_kubric_flags_are_inverted(paths: Path) -> None:
    found = load(paths / "kubric" / "clip_0.npy", clip=SMALL)
    assert found.tracks_NT2[0, 0].tolist() == [6, 8]
    assert 0.5 < found.visible_NT.mean() < 1
    assert "visibility is True where a point is hidden" in found.notes[0]


def test_mc_bench_key_points_lie_on_its_picture(paths: Path) -> None:
    found = load(paths / "mc_bench" / "meta_data.json")
    assert (found.canvas, found.tracks_NT2.shape) == ((48, 32), (3, 16, 2))
    assert found.tracks_NT2[0, [0, -1]].tolist() == [[6, 8], [22, 12]]
    assert (found.tracks_NT2[2] == 20).all()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"boxes": [[1, 2, 3, 4]]}', "an object with boxes"),
        ("{}", "an empty object"),
        ("3", "the number 3"),
    ],
)
def test_unknown_json_lists_what_can_be_read(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(
        UserError, match=f"no known path format; got {found}; allowed: native.*comfyui.*dragnuwa"
    ):
        load(tmp_path / "a.json", (64, 64))


@pytest.mark.parametrize("format", ["auto", "native", "comfyui", "mc_bench", "draganything", "dragnuwa"])
def test_a_file_that_is_only_a_text_is_told_as_one(tmp_path: Path, format: str) -> None:
    (tmp_path / "str.json").write_text(json.dumps("a" * 60))
    with pytest.raises(
        UserError, match=f'; got a text of 60 characters, which begins "{"a" * 40}"; allowed: '
    ):
        load(tmp_path / "str.json", (64, 64), format=format)


def test_three_dimensional_tracks_are_refused(paths: Path) -> None:
    with pytest.raises(UserError, match="no known path format; got arrays tracks_XYZ"):
        load(paths / "dav.npz", clip=BIG)


def test_encodings_of_text_paths(tmp_path: Path) -> None:
    text = "10,20\n30,40\n"
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / "a.txt").write_bytes(text.encode(encoding))
        assert load(tmp_path / "a.txt").num_frames == 2
    (tmp_path / "a.txt").write_bytes(text.encode("utf-16-le"))
    with pytest.raises(UserError, match=r"UTF-16 without a byte order mark.*save the file as UTF-8"):
        load(tmp_path / "a.txt")


def test_other_torch_files_are_not_tracks(tmp_path: Path) -> None:
    import pickle

    for content in ([1, 2], b"no archive"):
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            archive.writestr("a/data.pkl", pickle.dumps(content, 2))
        with pytest.raises(UserError, match=r"not a track file|not a readable NumPy file"):
            load(tmp_path / "a.pth", clip=BIG)
