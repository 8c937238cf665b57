"""The motion picture against numbers recorded from Tora's release, and the fast route against the slow one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parity_colours import LEVEL, jumps, level_difference, sum_allowance, sum_difference
from benchmarks.parity_data import read_arrays
from toraeval.models.shared.flow_colour import (
    colour_wheel,
    flow_colours,
    flow_video,
    torch_magnitude,
)
from toraeval.models.shared.trajectory import (
    blur_flow,
    blur_kernel,
    clipped_points,
    flow_patches,
    integer_points,
    sparse_flow,
    trajectory_patches,
    trajectory_video,
)
from toraeval.types import UserError

CLIPS = [
    ("circle", "16x128x128"),
    ("coaster", "16x128x128"),
    ("coaster", "49x120x180"),
    ("coaster", "64x64x64"),
    ("sawtooth", "16x128x128"),
    ("shake", "16x128x128"),
    ("shake", "64x64x64"),
]
Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "tora" / "traj_flow_a.npz")


def canvas(size: str) -> tuple[int, int]:
    """Width and height of a recorded clip named frames x height x width."""
    _, height, width = (int(part) for part in size.split("x"))
    return width, height


def test_kernel(golden: Golden) -> None:
    kernel = blur_kernel().astype(float)
    np.testing.assert_allclose(kernel[49], golden["const/blur_kernel_center_row"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(kernel.sum(), golden["const/blur_kernel_sum"], rtol=1e-6)
    np.testing.assert_allclose(kernel[0, 0], golden["const/blur_kernel_corner"], rtol=1e-6)
    assert kernel[49, 49] == 1
    assert np.array_equal(kernel, kernel.T)


def test_colour_wheel(golden: Golden) -> None:
    assert np.array_equal(colour_wheel(), golden["const/colorwheel"])


@pytest.mark.parametrize(("name", "size"), CLIPS)
def test_recorded_clips(golden: Golden, name: str, size: str) -> None:
    clip = {k.split("/", 2)[2]: v for k, v in golden.items() if k.startswith(f"{name}/{size}/")}
    points = clip["points"].astype(np.int64)
    flow = blur_flow(sparse_flow(points, *canvas(size)))
    np.testing.assert_allclose(np.abs(flow).max((1, 2)), clip["flow_absmax"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(flow.astype(float).sum((1, 2)), clip["flow_sum"], rtol=1e-5, atol=1e-2)
    for t in range(1, points.shape[1]):
        x, y = points[0, t - 1]
        np.testing.assert_allclose(flow[t, y, x], clip["flow_at_points"][0, t], rtol=0, atol=1e-4)
    radius = torch_magnitude(flow).max()
    np.testing.assert_allclose(radius, clip["max_radius"], rtol=1e-6)
    video = flow_video(flow)
    where = jumps(flow)
    assert sum_difference(video, clip["color_sum"], where) <= sum_allowance(video)
    if "flow_sub" in clip:
        np.testing.assert_allclose(flow[:, ::8, ::8], clip["flow_sub"], rtol=0, atol=1e-4)
        part = (slice(None), slice(None, None, 8), slice(None, None, 8))
        recorded = clip["color_sub"].transpose(0, 2, 3, 1)
        assert level_difference(video[part], recorded, where.part(*part)) <= LEVEL
    if "full_frame20_flow" in clip:
        np.testing.assert_allclose(flow[20, ::4, ::4], clip["full_frame20_flow"], rtol=0, atol=1e-4)
        recorded = clip["full_frame20_color"].transpose(1, 2, 0)[None]
        one = slice(20, 21)
        assert level_difference(video[one], recorded, where.part(one)) <= LEVEL


def same_picture(points: np.ndarray, width: int, height: int) -> None:
    """Both routes: equal flow, and colours apart only where the wheel jumps (no vertical motion)."""
    fast, slow = (trajectory_video(points, width, height, method) for method in ("window", "opencv"))
    apart = np.abs(fast.astype(float) - slow)
    apart[..., 2] -= jumps(blur_flow(sparse_flow(points, width, height))).seam
    assert (apart.max(-1) > 1).mean() < 0.005


@pytest.mark.parametrize(("name", "size"), CLIPS[3:5])
def test_window_route_on_recorded_clips(golden: Golden, name: str, size: str) -> None:
    points = golden[f"{name}/{size}/points"].astype(np.int64)
    same_picture(points, *canvas(size))


def window_flow(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """The flow of the window route, put back onto the canvas."""
    flow = np.zeros((points.shape[1], height, width, 2), np.float32)
    for t, top, left, patch in flow_patches(points, width, height):
        flow[t, top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    return flow


@pytest.mark.parametrize("start", [(0, 0), (95, 79), (0, 40), (1, 78), (48, 40), (30, 0)])
def test_blur_is_mirrored_at_the_border(start: tuple[int, int]) -> None:
    x, y = start
    points = np.array([[[x, y], [abs(x - 5), abs(y - 7)], [40, 30]]])
    expected = blur_flow(sparse_flow(points, 96, 80))
    np.testing.assert_allclose(window_flow(points, 96, 80), expected, rtol=0, atol=2e-5)


@given(
    st.integers(51, 130),
    st.integers(2, 130),
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
)
def test_routes_agree_anywhere(width: int, height: int, seed: int, objects: int) -> None:
    points = np.random.default_rng(seed).integers(0, (width, height), (objects, 3, 2))
    expected = blur_flow(sparse_flow(points, width, height))
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(window_flow(points, width, height), expected, rtol=0, atol=1e-5 * scale)


def test_a_later_object_overwrites_an_earlier_one_on_the_same_pixel() -> None:
    one, two = [[30, 30], [40, 30], [50, 30]], [[30, 30], [30, 22], [30, 14]]
    points = np.array([one, two])
    flow = sparse_flow(points, 64, 64)
    assert flow[1, 30, 30].tolist() == [0, -8]
    np.testing.assert_allclose(window_flow(points, 64, 64), blur_flow(flow), rtol=0, atol=1e-5)
    resting = np.array([one, [[30, 30]] * 3])
    assert not window_flow(resting, 64, 64)[1].any()
    assert not sparse_flow(resting, 64, 64)[1].any()


def test_patches_of_a_frame_are_disjoint_and_hold_every_mark() -> None:
    rng = np.random.default_rng(0)
    points = rng.integers(0, 512, (6, 4, 2))
    video = trajectory_video(points, 512, 512)
    hits = np.zeros(video.shape[:3], int)
    for t, top, left, patch in trajectory_patches(points, 512, 512):
        hits[t, top : top + patch.shape[0], left : left + patch.shape[1]] += 1
    assert hits.max() == 1
    assert (video[hits == 0] == 255).all()
    assert not hits[0].any()


def test_rest_is_white_and_directions_have_the_colours_of_the_wheel() -> None:
    assert (trajectory_video(np.full((2, 5, 2), 20), 64, 64) == 255).all()
    right, left = flow_colours(np.array([[1, 1e-6], [-1, 1e-6]], np.float32), 1.0)
    assert right[0] > 240
    assert right[1:].max() < 20
    assert left[0] < 20
    assert left[1:].min() > 190


def test_whole_clip_shares_one_normaliser() -> None:
    points = np.array([[[100, 100], [104, 100], [124, 100]]])
    video = trajectory_video(points, 200, 200)
    slow, fast = video[1].min(), video[2].min()
    assert fast < 30
    assert 190 < slow < 210  # a fifth of the greatest speed


def test_integer_points_truncate_and_stay_on_the_canvas() -> None:
    tracks = np.array([[[1.99, 0.5], [-0.4, -3.0], [63.7, 64.2]]])
    assert integer_points(tracks, 64, 64).tolist() == [[[1, 0], [0, 0], [63, 63]]]


@pytest.mark.parametrize("method", ["window", "opencv"])
@pytest.mark.parametrize("bad", [(64, 10), (10, 48), (-1, 10)])
def test_points_outside_are_refused(method: str, bad: tuple[int, int]) -> None:
    points = np.array([[[5, 5], bad, [6, 6]]])
    with pytest.raises(
        UserError, match=r"object 0 at frame 1 lies outside the 64x48 canvas; allowed: 0 <= x < 64"
    ):
        trajectory_video(points, 64, 48, method)


def test_unknown_method_is_refused() -> None:
    with pytest.raises(UserError, match="'fft'; allowed: window, opencv"):
        trajectory_video(np.zeros((1, 2, 2), int), 64, 64, "fft")


def test_motionctrl_kernel_sums_to_one(data_dir: Path) -> None:
    recorded = read_arrays(data_dir / "tora" / "motionctrl_flow_a.npz")
    names = sorted({k.split("/")[0] for k in recorded if "/" in k})
    assert len(names) == 4
    for name in names:
        points = recorded[f"{name}/points256"].astype(np.int64)[None]
        flow = blur_flow(sparse_flow(points, 256, 256), normalise="sum")
        np.testing.assert_allclose(flow[:, ::16, ::16], recorded[f"{name}/flow_sub"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(
            np.abs(flow).max((1, 2)), recorded[f"{name}/flow_absmax"], rtol=0, atol=1e-6
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [({"border": "wrap"}, "allowed: mirror, zero"), ({"normalise": "peak"}, "allowed: centre, sum")],
)
def test_unknown_blurs_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        blur_flow(np.zeros((2, 8, 8, 2), np.float32), **options)


def test_unknown_rule_for_points_outside_is_refused() -> None:
    with pytest.raises(UserError, match="allowed: refuse, skip"):
        sparse_flow(np.zeros((1, 2, 2), int), 8, 8, outside="clip")


def test_positions_outside_are_counted_and_moved_inside() -> None:
    tracks = np.array([[[-0.9, 3.0], [-1.0, 3.0], [9.9, 7.9], [10.0, 3.0], [4.0, 8.0]]])
    assert clipped_points(tracks, 10, 8) == 3
    assert integer_points(tracks, 10, 8).tolist() == [[[0, 3], [0, 3], [9, 7], [9, 3], [4, 7]]]
