"""What is sent to Wan-Move, ATI, LTX and Wan-Fun, against recordings of the authors' functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from baselines.ati import export as ati
from baselines.ltx_motion_track import export as ltx
from baselines.wan_fun_control import export as wan_fun
from baselines.wan_move import export as wan_move
from benchmarks import parity_field
from toraeval.geometry import extend
from toraeval.trajectories.formats import ati as ati_file
from toraeval.trajectories.writers import Target
from toraeval.trajectories.writing import write_paths
from toraeval.types import Trajectories


def recorded(data_dir: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(data_dir / "field" / f"{name}_a.npz") as archive:
        return dict(archive)


def still(x: float, y: float, frames: int = 81, canvas: tuple[int, int] = (832, 480)) -> Trajectories:
    tracks = np.tile(np.array([x, y]), (1, frames, 1))
    return Trajectories(tracks, np.ones((1, frames), bool), canvas)


@pytest.mark.parametrize("name", ["wan_move", "ati"])
def test_tensors_equal_the_authors(data_dir: Path, name: str) -> None:
    for row in parity_field.rows(name, recorded(data_dir, name)):
        assert row.error <= 1e-6, row


@pytest.mark.parametrize("name", ["ltx_motion_track", "wan_fun_control"])
def test_guide_videos_equal_the_authors_in_every_pixel(data_dir: Path, name: str) -> None:
    theirs = recorded(data_dir, name)["video"]
    ours = parity_field.COMPARED[name].ours(parity_field.COMPARED[name].probe())["video"]
    assert theirs.any()
    if theirs.dtype != np.uint8:  # another processor may add up a bilinear mean in another order
        np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=0, atol=2**-11)
        ours, theirs = (np.rint(video.astype(np.float32) * 255) for video in (ours, theirs))
    np.testing.assert_array_equal(ours, theirs)


def test_a_recording_of_another_shape_or_value_is_told(data_dir: Path) -> None:
    known = recorded(data_dir, "ati")["tracks"]
    moved = parity_field.rows("ati", {"tracks": known + 1e-4})
    short = parity_field.rows("ati", {"tracks": known[:-1]})
    assert not moved[0].ok
    assert not short[0].ok


def test_an_unknown_checkout_is_one_message(tmp_path: Path) -> None:
    from toraeval.types import UserError

    with pytest.raises(UserError, match="is not a checkout that is known here"):
        parity_field.main([str(tmp_path)])
    (tmp_path / "sparse_tracks.py").write_text("_MAX_TRAIL = 50\n")
    with pytest.raises(UserError, match=r"does not define _parse_tracks.*of another version"):
        parity_field.main([str(tmp_path)])


def test_a_path_that_starts_hidden_has_no_cell_in_wan_move() -> None:
    paths = still(100, 50)
    assert wan_move.cells(paths)[0, [0, -1]].tolist() == [[6, 12], [6, 12]]
    hidden = replace(paths, visible_NT=np.arange(81)[None] > 0)
    assert wan_move.cells(hidden)[0, [0, 1]].tolist() == [[-1, -1], [6, 12]]
    assert (wan_move.cells(still(832, 50)) == -1).all()  # the right border lies outside


def test_wan_move_arrays_are_those_of_its_files(tmp_path: Path) -> None:
    paths = parity_field.probe(832, 480, 81, 3)
    files = write_paths(tmp_path / "a_tracks.npy", paths, Target("wan_move")).files
    for array, file in zip(wan_move.arrays(paths), files, strict=True):
        np.testing.assert_array_equal(array, np.load(file))


def test_ati_samples_give_every_frame_its_own_point(tmp_path: Path) -> None:
    paths = parity_field.probe(832, 480, 81, 3)
    made = ati.samples(paths)
    assert (made.shape, made.dtype) == ((3, 121, 1, 3), np.float32)
    assert ati_file.PICKED.tolist()[:6] == [0, 1, 3, 4, 6, 7]
    assert (len(ati_file.PICKED), ati_file.PICKED[-1]) == (81, 120)
    points = made[:, ati_file.PICKED, 0, :2] / 8
    np.testing.assert_allclose(points, paths.tracks_NT2, rtol=0, atol=1e-4)
    assert np.abs(np.diff(made[0, :, 0, 0])).max() < 8 * 8  # between the picked moments it moves on
    with pytest.raises(ValueError, match="80 moments; ATI takes 81"):
        ati.samples(still(1, 1, 80))


def test_guide_of_a_still_point_keeps_its_newest_colour() -> None:
    video = ltx.guide_video(extend(still(48.4, 32.4, 3, (96, 64)), 60))
    assert (video.shape, video.dtype) == ((60, 64, 96, 3), np.uint8)
    assert video[0, 32, 48].tolist() == video[-1, 32, 48].tolist()
    assert video[0, 32, 48].argmax() == 2  # red, in the order that the LoRA was trained on
    assert not video[:, :20].any()


def test_guide_trails_from_red_to_blue_over_fifty_moments() -> None:
    radius, colour = ltx.look(0)
    assert radius == 8
    np.testing.assert_allclose(colour, [1, 0, 0], rtol=0, atol=1e-6)
    radius, colour = ltx.look(50)
    assert radius == 2
    assert colour.tolist() == [0, 0, 1]
    assert ltx.drawing_size(832, 480) == (1872, 1080)
    assert ltx.drawing_size(480, 832) == (1080, 1872)


def test_spots_follow_the_path_and_are_left_out_beyond_the_picture() -> None:
    video = wan_fun.control_video(still(200, 100, 2))
    assert (video.shape, video.dtype) == ((2, 480, 832, 3), np.uint8)
    ys, xs = np.nonzero(video[0, ..., 0] > 250)
    assert abs(xs.mean() - 200) < 1
    assert abs(ys.mean() - 100) < 1
    assert video.max() >= 250
    assert (video[..., 0] == video[..., 2]).all()
    assert not wan_fun.control_video(still(-60, 100, 2)).any()
