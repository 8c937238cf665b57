"""The TAP-Vid scores against values of the published implementation, and their errors."""

import json
from pathlib import Path

import numpy as np
import pytest

from toraeval.metrics.shared import tapvid_scores as tapvid
from toraeval.types import UserError

DATA = Path(__file__).parent.parent / "data" / "tapvid"
GOLDEN = json.loads((DATA / "tapvid_golden.json").read_text())["cases"]
UPSTREAM = {"occlusion_accuracy": "oa", "average_jaccard": "aj", "average_pts_within_thresh": "delta_avg"}
CASES = [(name, mode) for name in GOLDEN if name != "scaling_convention" for mode in GOLDEN[name]]


@pytest.fixture(scope="module")
def arrays():
    return dict(np.load(DATA / "tapvid_golden.npz"))


def our_name(upstream):
    return UPSTREAM.get(upstream, upstream.replace("pts_within", "within"))


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_equals_the_published_implementation(arrays, name, mode):
    expected = GOLDEN[name][mode]
    videos = len(arrays[f"{name}__gt_tracks"])
    for b in range(videos):
        values = tapvid.tapvid_metrics(
            arrays[f"{name}__query_points"][b, :, 0],
            arrays[f"{name}__gt_tracks"][b],
            ~arrays[f"{name}__gt_occluded"][b],
            arrays[f"{name}__pred_tracks"][b],
            ~arrays[f"{name}__pred_occluded"][b],
            mode,
        )
        assert set(values) == {our_name(key) for key in expected}
        for key, of_videos in expected.items():
            want = np.nan if of_videos[b] is None else of_videos[b]
            np.testing.assert_allclose(values[our_name(key)], want, rtol=1e-15, atol=0, err_msg=key)


@pytest.mark.parametrize(
    ("convention", "upstream"), [("tapnet", "tapnet_xW"), ("cotracker", "cotracker_xWm1")]
)
def test_both_scaling_conventions(arrays, convention, upstream):
    normalised, hidden = arrays["scaling_convention__raw01"], arrays["scaling_convention__occluded"]
    size = np.array([640.0, 360.0])
    # the published loaders multiply [0, 1] by the side, or by the side less one
    pixels = normalised * (size if convention == "tapnet" else size - 1)
    values = tapvid.tapvid_metrics(
        np.argmin(hidden, axis=1),
        tapvid.to_raster(pixels, (640, 360), convention),
        ~hidden,
        arrays["scaling_convention__pred_tracks"],
        ~hidden,
    )
    for key, want in GOLDEN["scaling_convention"][upstream].items():
        assert values[our_name(key)] == pytest.approx(want[0], abs=1e-12), key


def test_bad_input_is_one_clear_error():
    points, seen = np.zeros((2, 4, 2)), np.ones((2, 4), bool)
    good = (np.zeros(2), points, seen, points, seen)
    for bad, message in [
        ((np.zeros(2), points, seen, points[:, :3], seen), "must both be"),
        ((np.zeros(2), points, seen[:1], points, seen), "do not fit"),
        ((np.full(2, 4.0), points, seen, points, seen), r"allowed: 0\.\.3"),
        ((np.zeros(2), points, seen, np.full_like(points, np.nan), seen), "finite"),
    ]:
        with pytest.raises(UserError, match=message):
            tapvid.tapvid_metrics(*bad)
    with pytest.raises(UserError, match="allowed: first, strided"):
        tapvid.tapvid_metrics(*good, mode="last")
    with pytest.raises(UserError, match="allowed: tapnet, cotracker"):
        tapvid.to_raster(points, (64, 64), "pips")
