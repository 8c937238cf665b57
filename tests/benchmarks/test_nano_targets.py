"""The targets of the embedded models: what is measured in a picture, and that a perfect clip meets all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import nano_targets
from toraeval import registry
from toraeval.suites.shapes.suite import Shapes


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A square of 10 px that moves by 30 px a frame over a grey ground, and its masks."""
    video = np.full((4, 96, 160, 3), 100, np.uint8)
    masks = np.zeros((1, 4, 96, 160), bool)
    for t in range(4):
        masks[0, t, 40:50, 20 + 30 * t : 30 + 30 * t] = True
        video[t][masks[0, t]] = 200
    return video, masks


def test_a_ghost_at_the_start_is_a_residual() -> None:
    true, masks = scene()
    made = true.copy()
    made[2:, 40:50, 20:30] = 130
    found = nano_targets.picture_errors(made, true, masks)
    assert found["residual_at_start"] == pytest.approx((0 + 30 + 30) / 3)


def test_noise_beside_the_object_lowers_the_psnr_and_noise_in_it_does_not() -> None:
    true, masks = scene()
    made = true.copy()
    for t in range(1, 4):
        made[t][masks[0, t]] = 0
    assert nano_targets.picture_errors(made, true, masks)["psnr_surroundings"] > 100
    outside = ~nano_targets.near(masks[:, 1], nano_targets.EDGE)
    made[1][outside] = true[1][outside] + 10
    noisy = nano_targets.picture_errors(made, true, masks)["psnr_surroundings"]
    all_frames = 10 * np.log10(255**2 / 100)
    assert all_frames < noisy < all_frames + 6


def test_an_object_that_never_leaves_has_no_residual() -> None:
    true, masks = scene()
    still = np.repeat(true[:1], 4, 0), np.repeat(masks[:, :1], 4, 1)
    assert np.isnan(nano_targets.picture_errors(still[0], *still)["residual_at_start"])


def test_the_true_clip_meets_every_target() -> None:
    cases = Shapes(version=2).cases(6, 256, 256, 1)
    model = registry.build("model", {"name": "ground_truth"})
    trackers = {"lucas_kanade": registry.build("tracker", {"name": "lucas_kanade"})}
    (row,) = nano_targets.measured(model, cases, trackers)
    assert row["traj_error_lucas_kanade"] < 1
    assert row["residual_at_start"] == 0
    rows = pd.DataFrame([row | {"traj_error_shapes_tracker": 2.6, "visible_shapes_tracker": 0.91}])
    lines = nano_targets.summary(rows, [(2.0, 4.0), (9.0, 4.0), (2.5, 4.0)])
    verdicts = {line[0]: line[-1] for line in lines}
    assert verdicts.pop("TrajError, shapes_tracker, px: one object") == "**no**"
    assert set(verdicts.values()) == {"yes"}
    assert lines[-1][1:4] == ["128", "3", "2.50"]
    assert "| holds" in nano_targets.page(rows, [], "about")
