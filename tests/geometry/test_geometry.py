"""Coordinate conversions, resampling and frame alignment."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toraeval import geometry
from toraeval.types import Trajectories, UserError

finite = st.floats(-2000, 2000, allow_nan=False, allow_subnormal=False)
paths = hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 30), st.just(2)), elements=finite)
sides = st.tuples(st.integers(1, 4096), st.integers(1, 4096))


def make(tracks: object, canvas: tuple[int, int] = (256, 256), visible: object = None) -> Trajectories:
    tracks = np.asarray(tracks, dtype=np.float64)
    flags = np.ones(tracks.shape[:2], dtype=bool) if visible is None else np.asarray(visible)
    return Trajectories(tracks, flags, canvas, fps=8.0, names=("",) * len(tracks))


def test_canvas_keeps_borders_and_centre() -> None:
    corners = [[-0.5, -0.5], [255.5, 255.5], [127.5, 127.5], [0.0, 255.0]]
    moved = geometry.to_canvas(make([corners]), 512, 128)
    expected = [[-0.5, -0.5], [511.5, 127.5], [255.5, 63.5], [0.5, 127.25]]
    np.testing.assert_allclose(moved.tracks_NT2[0], expected, atol=1e-12)
    assert moved.canvas == (512, 128)


def test_canvas_agrees_with_where_an_image_resize_puts_a_pixel() -> None:
    image = np.zeros((8, 8))
    image[3, 5] = 1.0
    large = image.repeat(4, axis=0).repeat(4, axis=1)
    rows, columns = np.nonzero(large)
    np.testing.assert_allclose(
        geometry.scale_points([5, 3], (8, 8), (32, 32)), [columns.mean(), rows.mean()], atol=1e-12
    )


@given(paths, sides, sides)
def test_canvas_round_trip(tracks: np.ndarray, source: tuple[int, int], target: tuple[int, int]) -> None:
    there = geometry.to_canvas(make(tracks, source), *target)
    np.testing.assert_allclose(geometry.to_canvas(there, *source).tracks_NT2, tracks, atol=1e-8)


@pytest.mark.parametrize("size", [(0, 4), (4, -1)])
def test_canvas_refuses_empty(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="canvas"):
        geometry.to_canvas(make([[[0, 0], [1, 1]]]), *size)


@given(paths, st.integers(2, 140), st.sampled_from(geometry.RESAMPLING_RULES))
def test_resample_keeps_endpoints_exactly(tracks: np.ndarray, frames: int, rule: str) -> None:
    resampled = geometry.resample(make(tracks), frames, rule)
    assert resampled.tracks_NT2.shape == (len(tracks), frames, 2)
    np.testing.assert_array_equal(resampled.tracks_NT2[:, 0], tracks[:, 0])
    np.testing.assert_array_equal(resampled.tracks_NT2[:, -1], tracks[:, -1])


@given(paths, st.integers(1, 140), st.sampled_from(geometry.RESAMPLING_RULES), finite, finite)
def test_joint_translation_commutes_with_resampling(
    tracks: np.ndarray, frames: int, rule: str, dx: float, dy: float
) -> None:
    # Coordinates on a grid: a step far below a pixel would be lost in the sum and change the arc length.
    tracks, shift = np.round(tracks * 8) / 8, np.round(np.array([dx, dy]) * 8) / 8
    before = geometry.resample(make(tracks + shift), frames, rule).tracks_NT2
    after = geometry.resample(make(tracks), frames, rule).tracks_NT2 + shift
    np.testing.assert_allclose(before, after, atol=1e-8)


@given(paths, st.sampled_from(("index", "pchip")))
def test_resample_to_own_length_changes_nothing(tracks: np.ndarray, rule: str) -> None:
    same = geometry.resample(make(tracks), tracks.shape[1], rule)
    np.testing.assert_allclose(same.tracks_NT2, tracks, atol=1e-9)


def test_index_rule_is_linear_over_the_point_index() -> None:
    path = make([[[0, 0], [10, 0], [10, 0], [40, 6]]])
    np.testing.assert_allclose(
        geometry.resample(path, 7).tracks_NT2[0],
        [[0, 0], [5, 0], [10, 0], [10, 0], [10, 0], [25, 3], [40, 6]],
        atol=1e-12,
    )


def test_arc_length_rule_has_constant_speed() -> None:
    path = geometry.resample(make([[[0, 0], [1, 0], [1, 0], [30, 0]]]), 11, "arc_length")
    np.testing.assert_allclose(np.diff(path.tracks_NT2[0, :, 0]), 3.0, atol=1e-9)


def test_one_geometry_at_every_length() -> None:
    corner = make([[[0, 0], [100, 0], [100, 100]]])
    for frames in (17, 65, 129):
        x, y = geometry.resample(corner, frames).tracks_NT2[0].T
        assert np.all((np.abs(y) < 1e-9) | (np.abs(x - 100) < 1e-9))
        assert (x.max(), y.max()) == (100, 100)


def test_static_path_and_single_moment() -> None:
    still = make([[[3, 4], [3, 4], [3, 4]]])
    for rule in geometry.RESAMPLING_RULES:
        np.testing.assert_array_equal(
            geometry.resample(still, 5, rule).tracks_NT2[0], np.tile([3.0, 4.0], (5, 1))
        )
    np.testing.assert_array_equal(geometry.resample(make([[[1, 2], [5, 6]]]), 1).tracks_NT2[0], [[1, 2]])
    np.testing.assert_array_equal(geometry.resample(make([[[1, 2]]]), 3).tracks_NT2[0], [[1, 2]] * 3)


def test_visibility_is_that_of_the_nearest_moment_earlier_on_ties() -> None:
    path = make([[[0, 0], [1, 0], [2, 0]]], visible=[[True, False, True]])
    assert geometry.resample(path, 5).visible_NT.tolist() == [[True, True, False, False, True]]
    assert geometry.resample(path, 9).visible_NT.tolist() == [[True] * 3 + [False] * 4 + [True] * 2]


@pytest.mark.parametrize(
    ("frames", "rule", "match"), [(0, "index", "frames=0"), (4, "spline", "'spline'.*index")]
)
def test_resample_refuses(frames: int, rule: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        geometry.resample(make([[[0, 0], [1, 1]]]), frames, rule)


@given(paths, st.integers(1, 40))
def test_cut_undoes_extend(tracks: np.ndarray, more: int) -> None:
    given_paths = make(tracks)
    longer = geometry.extend(given_paths, given_paths.num_frames + more)
    np.testing.assert_array_equal(longer.tracks_NT2[:, -1], tracks[:, -1])
    np.testing.assert_array_equal(geometry.cut(longer, given_paths.num_frames).tracks_NT2, tracks)


def test_extend_and_cut_refuse_the_impossible() -> None:
    path = make([[[0, 0], [1, 1]]])
    with pytest.raises(UserError, match="allowed are 2 or more"):
        geometry.extend(path, 1)
    for frames in (0, 3):
        with pytest.raises(UserError, match=r"allowed are 1\.\.2"):
            geometry.cut(path, frames)


@pytest.mark.parametrize(
    ("frames", "native"), [(1, 1), (2, 5), (16, 17), (17, 17), (49, 49), (64, 65), (128, 129)]
)
def test_native_frames(frames: int, native: int) -> None:
    assert geometry.native_frames(frames) == native


@given(st.integers(1, 200), st.integers(1, 40), st.data())
def test_windows_cover_every_frame_with_the_overlap(frames: int, length: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, length - 1))
    spans = geometry.windows(frames, length, overlap)
    assert spans[0][0] == 0
    assert spans[-1][1] == frames
    assert all(0 < stop - start <= length for start, stop in spans)
    assert all(after[0] == before[1] - overlap for before, after in pairwise(spans))


def test_windows_refuse_full_overlap() -> None:
    with pytest.raises(UserError, match="overlap"):
        geometry.windows(64, 16, 16)


def test_upstream_paths_equal_their_own_code(data_dir: Path) -> None:
    checked = 0
    with np.load(data_dir / "trajectories" / "upstream_resampling.npz") as golden:
        for key in golden:
            project, name, *rest = key.split("__")
            if project == "tora":
                frames = int(rest[0][1:])
                height, width = (int(side) for side in rest[1].split("x"))
                ours = geometry.tora_path(golden[f"raw__{name}"], frames, width, height)
            elif project == "motionctrl":
                ours = geometry.motionctrl_path(golden[f"mcraw__{name}"], int(rest[0][1:]))
            else:
                continue
            np.testing.assert_array_equal(ours, golden[key], err_msg=key)
            checked += 1
    assert checked == 9 * 5 + 8


def test_tora_rule_refuses_one_point() -> None:
    with pytest.raises(UserError, match="at least 2 points; got 1"):
        geometry.tora_process_points([[3, 4]], 16)


def test_upstream_scalings() -> None:
    assert geometry.tora_pixels([[255, 255], [3, 3]], 720, 480).tolist() == [[717, 478], [8, 5]]
    np.testing.assert_allclose(geometry.cotracker_scale([255, 255], (256, 256), (512, 384)), [511, 383])
    np.testing.assert_allclose(geometry.tapnet_scale([255.5, 128], (256, 256), (512, 128)), [511, 64])
    np.testing.assert_allclose(geometry.cotracker_scale([0, 0], (1, 1), (9, 9)), [0, 0])


def test_tapnet_rule_is_ours_with_pixel_centres_at_halves() -> None:
    points = np.array([[0.0, 0.0], [17.25, 200.5]])
    theirs = geometry.tapnet_scale(points + 0.5, (256, 256), (720, 480)) - 0.5
    np.testing.assert_allclose(geometry.scale_points(points, (256, 256), (720, 480)), theirs, atol=1e-12)


def test_dragnuwa_path() -> None:
    assert geometry.dragnuwa_path([[5, 6]])[[0, -1]].tolist() == [[5, 6], [6, 7]]
    line = geometry.dragnuwa_path([[0, 0], [13, 26]])
    np.testing.assert_allclose(line, np.arange(14)[:, None] * [1.0, 2.0], atol=1e-12)
    bend = geometry.dragnuwa_path([[0, 0], [10, 5], [10, 5], [0, 8]], frames=100)
    assert bend.min() >= 0
    assert bend[:, 0].max() <= 10 + 1e-12


def test_cover_crop_moves_points_with_the_picture() -> None:
    plan = geometry.cover_crop((720, 480), (512, 512))
    assert plan.scaled == (768, 512)
    assert plan.box == (128, 0, 640, 512)
    np.testing.assert_allclose(plan.apply([[359.5, 239.5], [-0.5, -0.5]]), [[255.5, 255.5], [-128.5, -0.5]])


@given(sides, sides)
def test_cover_crop_covers(source: tuple[int, int], target: tuple[int, int]) -> None:
    plan = geometry.cover_crop(source, target)
    left, top, right, bottom = plan.box
    assert min(left, top) >= 0
    assert right <= plan.scaled[0]
    assert bottom <= plan.scaled[1]
    assert (right - left, bottom - top) == target


def test_inside_canvas_includes_the_pixel_borders() -> None:
    points = [[-0.5, 0], [255.5, 255.5], [255.6, 0], [0, -0.6]]
    assert geometry.inside_canvas(points, (256, 256)).tolist() == [True, True, False, False]
