"""Every format is written so that reading gives the paths again; what it cannot hold is said."""

from __future__ import annotations

import numpy as np
import pytest

from toraeval import geometry
from toraeval.trajectories import PathReading, read_paths
from toraeval.trajectories.colour_maps import read_colour_maps
from toraeval.trajectories.writers import WRITERS, Target
from toraeval.trajectories.writing import write_paths
from toraeval.types import Trajectories, UserError, Video
from toraeval.video import write_preview

CANVAS = (320, 200)
EXACT = ("native", "numpy", "csv", "comfyui", "draganything")


def made(objects: int = 2, moments: int = 17, hidden: bool = True, fps: float | None = 12.0) -> Trajectories:
    draw = np.random.default_rng(objects * 100 + moments)
    tracks = draw.uniform(30, 170, (objects, moments, 2))
    visible = np.ones((objects, moments), dtype=bool)
    if hidden:
        visible[0, 5:8] = False
    return Trajectories(tracks, visible, CANVAS, fps, "made", tuple("ab"[:objects]))


def suffix(format: str) -> str:
    return f"fox{WRITERS[format].suffix}"


@pytest.mark.parametrize(
    "format", sorted(set(WRITERS) - {"tora", "motionctrl", "ati", "mc_bench", "dragnuwa", "magicmotion"})
)
def test_what_is_written_is_read_again(format, tmp_path):
    paths = made()
    written = write_paths(tmp_path / suffix(format), paths, Target(format, box=(20, 10)))
    again = read_paths(written.files[0], PathReading(CANVAS, format))
    assert again.canvas == CANVAS
    tolerance = 0 if format in EXACT else 1e-4
    seen = again.visible_NT
    np.testing.assert_allclose(again.tracks_NT2[seen], paths.tracks_NT2[seen], rtol=0, atol=tolerance)
    if "visible" in WRITERS[format].holds:
        np.testing.assert_array_equal(again.visible_NT, paths.visible_NT)
    else:
        assert again.visible_NT.all()
        assert "3 hidden points are written as if they were visible" in written.notes


def test_text_is_on_the_canvas_of_tora_one_file_an_object(tmp_path):
    paths = made(hidden=False)
    written = write_paths(tmp_path / "fox.txt", paths, Target("tora"))
    assert [file.name for file in written.files] == ["fox.obj1.txt", "fox.obj2.txt"]
    again = read_paths(written.files, PathReading())
    assert again.canvas == (256, 256)
    np.testing.assert_allclose(geometry.to_canvas(again, *CANVAS).tracks_NT2, paths.tracks_NT2, atol=1e-9)
    assert "moved from the 320x200 canvas to 256x256" in written.notes
    assert any("the frame rate 12" in note and "names" in note for note in written.notes)
    one = write_paths(tmp_path / "one.txt", made(1), Target("motionctrl"))
    assert [file.name for file in one.files] == ["one.txt"]


def test_ati_has_121_samples_of_which_its_loader_picks_the_path(tmp_path):
    paths = made(hidden=False)
    written = write_paths(tmp_path / "fox.pth", paths, Target("ati"))
    again = read_paths(written.files[0], PathReading(CANVAS))
    assert again.num_frames == 121
    picked = [0, *(1 + step // 2 for step in range(1, 240, 3))]
    wanted = geometry.resample(paths, 81).tracks_NT2
    np.testing.assert_allclose(again.tracks_NT2[:, picked], wanted, atol=1e-3)
    assert "17 moments brought to the 81 that ATI's loader picks of 121" in written.notes
    copied = write_paths(tmp_path / "copy.pth", again, Target("ati"))
    assert not any("moments" in note for note in copied.notes)
    np.testing.assert_allclose(
        read_paths(copied.files[0], PathReading(CANVAS)).tracks_NT2, again.tracks_NT2, atol=1e-3
    )
    with pytest.raises(UserError, match="exactly 121"):
        write_paths(tmp_path / "fox.pth", paths, Target("ati", frames=81))


def test_mc_bench_holds_whole_pixels(tmp_path):
    paths = made(moments=4, hidden=False)
    written = write_paths(tmp_path / "meta_data.json", paths, Target("mc_bench"))
    assert "coordinates rounded to whole pixels, up to half a pixel each" in written.notes
    again = read_paths(written.files[0], PathReading(CANVAS))
    ends = [0, -1]
    np.testing.assert_allclose(again.tracks_NT2[:, ends], paths.tracks_NT2[:, ends], atol=0.5)


def test_size_and_moments_can_be_chosen(tmp_path):
    paths = made(hidden=False)
    written = write_paths(tmp_path / "fox.json", paths, Target("dragnuwa", canvas=(640, 400), frames=14))
    again = read_paths(written.files[0], PathReading((640, 400), "dragnuwa"))
    np.testing.assert_allclose(
        again.tracks_NT2, geometry.resample(geometry.to_canvas(paths, 640, 400), 14).tracks_NT2, atol=1e-9
    )
    assert "read it with canvas=[640,400]" in written.notes


def test_boxes_are_asked_for_and_a_wrong_format_is_refused(tmp_path):
    with pytest.raises(UserError, match="box=\\[64,48\\]"):
        write_paths(tmp_path / "traj.npy", made(), Target("sgi2v"))
    with pytest.raises(UserError, match=r"comfyu1.*comfyui"):
        write_paths(tmp_path / "fox.json", made(), Target("comfyu1"))
    assert not list(tmp_path.iterdir())


def test_names_with_commas_and_quotes_survive_csv(tmp_path):
    paths = made(hidden=False, fps=None)
    named = Trajectories(paths.tracks_NT2, paths.visible_NT, CANVAS, None, "made", ('a "red", fox', "b"))
    written = write_paths(tmp_path / "fox.csv", named, Target("csv"))
    assert read_paths(written.files[0], PathReading(CANVAS)).names == named.names


def test_colour_maps_hold_boxes_and_hidden_frames(tmp_path):
    paths = made(moments=6, hidden=False)
    whole = Trajectories(
        np.rint(paths.tracks_NT2), np.array([[True] * 6, [True, True, False, True, True, True]]), CANVAS
    )
    apart = Trajectories(
        whole.tracks_NT2 * [1, 0.3] + np.array([[[0, 5]], [[0, 110]]]), whole.visible_NT, CANVAS
    )
    apart = Trajectories(np.rint(apart.tracks_NT2), apart.visible_NT, CANVAS)
    written = write_paths(tmp_path / "maps", apart, Target("magicmotion", box=(21, 11)))
    assert [file.name for file in written.files[:2]] == [
        "annotated_frame_00000.png",
        "annotated_frame_00001.png",
    ]
    again = read_colour_maps(tmp_path / "maps")
    order = np.argsort(again.tracks_NT2[:, 0, 1])
    assert again.canvas == CANVAS
    np.testing.assert_array_equal(again.visible_NT[order], apart.visible_NT)
    seen = apart.visible_NT
    np.testing.assert_allclose(again.tracks_NT2[order][seen], apart.tracks_NT2[seen], atol=0.51)


def test_colour_maps_survive_a_lossy_video(tmp_path):
    size, frames = (160, 96), 9
    maps = np.zeros((frames, size[1], size[0], 3), np.uint8)
    for t in range(frames):
        maps[t, 20:44, 20 + 5 * t : 50 + 5 * t] = (255, 64, 64)
        maps[t, 60:84, 100 - 5 * t : 130 - 5 * t] = (0, 196, 255)
    write_preview(Video.from_thwc(maps, 8.0), tmp_path / "maps.mp4")
    paths = read_colour_maps(tmp_path / "maps.mp4")
    order = np.argsort(paths.tracks_NT2[:, 0, 1])
    expected = np.array(
        [[[34.5 + 5 * t, 31.5] for t in range(frames)], [[114.5 - 5 * t, 71.5] for t in range(frames)]]
    )
    np.testing.assert_allclose(paths.tracks_NT2[order], expected, atol=1.5)


def test_objects_that_a_first_map_does_not_show_are_told(tmp_path):
    tracks = np.array([[[50.0, 50], [60, 60]], [[50, 50], [90, 90]], [[120, 100], [120, 100]]])
    visible = np.array([[True, True], [True, True], [False, True]])
    paths = Trajectories(tracks, visible, CANVAS, None, "made", ("", "", ""))
    written = write_paths(tmp_path / "maps", paths, Target("magicmotion", box=(9, 9)))
    assert "2 objects are not in the first map, whose colours are the objects: they are lost" in written.notes
    assert "boxes overlap in 1 map: places may be read elsewhere" in written.notes
    assert read_colour_maps(tmp_path / "maps").num_objects == 1
    border = Trajectories(np.array([[[1.0, 1], [9, 9]]]), visible[:1], CANVAS, None, "made", ("",))
    cut = write_paths(tmp_path / "border", border, Target("magicmotion", box=(9, 9))).notes
    assert cut == ("1 box is cut at the border: its centre is read elsewhere",)


def test_maps_that_would_not_be_read_are_not_written(tmp_path):
    with pytest.raises(UserError, match=r"no box of 900x900 is drawn in the first map of 320x200"):
        write_paths(tmp_path / "maps", made(1), Target("magicmotion", box=(900, 900)))
    write_paths(tmp_path / "maps", made(1, moments=5), Target("magicmotion", box=(9, 9)))
    with pytest.raises(UserError, match=r"holds 2 other pictures, e.g. annotated_frame_00003.png"):
        write_paths(tmp_path / "maps", made(1, moments=3, hidden=False), Target("magicmotion", box=(9, 9)))


@pytest.mark.parametrize(
    ("format", "name"), [("numpy", "a.csv"), ("tapvid", "a"), ("tora", "a.json"), ("ati", "a.npy")]
)
def test_a_suffix_under_which_the_format_is_not_read_is_refused(format, name, tmp_path):
    with pytest.raises(UserError, match=f"{format} is not read from a file of suffix .*; allowed: "):
        write_paths(tmp_path / name, made(), Target(format))
    assert not list(tmp_path.iterdir())


def test_hidden_points_outside_the_canvas_are_told_where_all_count_as_visible(tmp_path):
    tracks = np.array([[[1.0, 1], [-30, 12], [14, 14]]])
    paths = Trajectories(tracks, np.array([[True, False, True]]), CANVAS, None, "made", ("",))
    notes = write_paths(tmp_path / "a.json", paths, Target("comfyui")).notes
    assert "1 of them lie outside the canvas: such a file is refused when it is read" in notes
    assert not any("outside" in note for note in write_paths(tmp_path / "a.csv", paths, Target("csv")).notes)


def test_a_name_that_a_table_cannot_hold_is_refused(tmp_path):
    paths = made(1)
    broken = Trajectories(paths.tracks_NT2, paths.visible_NT, CANVAS, None, "made", ("a\nb",))
    with pytest.raises(UserError, match="names without line ends"):
        write_paths(tmp_path / "a.csv", broken, Target("csv"))
