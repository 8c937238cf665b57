"""Metrics that look at frames: answers known by construction, and what degenerate videos get."""

import numpy as np
import pytest

from tests.metrics.made_up import SIZE, clip, draw, field, line, make_case, make_clip, make_tracks
from toraeval.metrics.looks import AppearanceDrift, Flicker, ObjectSurvival
from toraeval.metrics.movement import MotionAmount
from toraeval.metrics.overlap import BoxIoU, ColourModel, MaskIoU, box_of, box_overlap, moved_box
from toraeval.metrics.shared.likeness import likeness
from toraeval.metrics.shared.paths import scored_paths
from toraeval.types import Reference, UserError

W, H = SIZE
TWO = np.concatenate([line(16), line(16, (110, 100), (60, 100))])


@pytest.fixture(scope="module")
def moving():
    return make_clip(line(16))


def frozen(video):
    return clip(np.repeat(video.thwc[:1], video.num_frames, axis=0))


def still_tracks(case):
    target = case.trajectories.tracks_NT2
    return make_tracks(np.repeat(target[:, :1], target.shape[1], axis=1))


# --- motion_amount ------------------------------------------------------------------------------------------


def test_the_ground_truth_moves_as_far_as_asked_and_nothing_else_moves(moving):
    case, video = moving
    values = MotionAmount().score(case, make_tracks(case.trajectories.tracks_NT2), video).values
    assert values["motion_amount"] == values["motion_amount_ratio"] == 1.0
    assert values["motion_amount_inside"] > 0
    assert values["motion_amount_outside"] == 0


def test_a_frozen_video_has_no_motion(moving):
    case, video = moving
    values = MotionAmount().score(case, still_tracks(case), frozen(video)).values
    assert dict(values) == dict.fromkeys(values, 0.0)
    assert len(values) == 4


def test_motion_is_capped_at_what_was_asked(moving):
    case, video = moving
    target = case.trajectories.tracks_NT2
    tracked = target[:, :1] + 2.5 * (target - target[:, :1])
    values = MotionAmount().score(case, make_tracks(tracked), video).values
    assert values["motion_amount"] == 1.0
    assert values["motion_amount_ratio"] == pytest.approx(2.5)


def test_changes_are_counted_where_they_happen():
    case, video = make_clip(line(3))
    frames = video.thwc.copy()
    frames[:] = frames[0]
    frames[1, 120:, :10] += 30  # a far corner
    values = MotionAmount().score(case, still_tracks(case), clip(frames)).values
    assert values["motion_amount_inside"] == 0
    outside = values["motion_amount_outside"] * (H * W)
    assert 8 * 10 * 30 <= outside <= 1.4 * 8 * 10 * 30  # divided by the outer part alone


def test_still_targets_have_no_motion_to_compare():
    case, video = make_clip(np.full((1, 8, 2), 60.0))
    score = MotionAmount().score(case, still_tracks(case), video)
    assert "every target stands still" in score.skipped


# --- flicker ------------------------------------------------------------------------------------------------


def test_flicker_of_alternating_brightness_is_its_step(moving):
    case, video = moving
    frames = video.thwc.astype(int)
    frames[::2] += 7
    score = Flicker().score(case, make_tracks(case.trajectories.tracks_NT2), clip(frames))
    assert score.values["flicker"] == pytest.approx(7.0)
    assert np.isnan(score.arrays["flicker_T"][[0, -1]]).all()


def test_flicker_ignores_even_change_and_moving_objects(moving):
    case, video = moving
    tracks = make_tracks(case.trajectories.tracks_NT2)
    assert Flicker().score(case, tracks, video).values["flicker"] == 0
    fade = clip(video.thwc + np.arange(16, dtype=np.uint8)[:, None, None, None])
    assert Flicker().score(case, tracks, fade).values["flicker"] == 0


def test_flicker_of_noise_is_what_the_definition_says(moving):
    case, _ = moving
    rng = np.random.default_rng(0)
    still = np.repeat(field()[None], 16, axis=0)
    noisy = clip(np.rint(np.clip(still + rng.normal(0, 10, still.shape), 0, 255)))
    value = Flicker().score(case, make_tracks(case.trajectories.tracks_NT2), noisy).values["flicker"]
    # the difference has standard deviation 10 sqrt(1.5); the mean of |normal| is sqrt(2 / pi) of it
    assert value == pytest.approx(10 * np.sqrt(1.5 * 2 / np.pi), rel=0.02)
    assert value == pytest.approx(9.8, rel=0.02)


def test_flicker_needs_three_frames():
    case, video = make_clip(line(2))
    assert "flicker needs 3" in Flicker().score(case, still_tracks(case), video).skipped


# --- appearance_drift and object_survival -------------------------------------------------------------------


def test_correlation_equals_numpy_on_whole_pixels(moving):
    case, video = moving
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, video.thwc.shape, dtype=np.uint8)
    paths = scored_paths("test", case, make_tracks(case.trajectories.tracks_NT2))
    found = likeness(case, paths, clip(frames))
    reach = round(0.06 * 128)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = x**2 + y**2 <= reach**2
    px, py = case.trajectories.tracks_NT2[0].astype(int).T

    def patch(frame, t):
        cut = frame[py[t] - reach : py[t] + reach + 1, px[t] - reach : px[t] + reach + 1].astype(float)[
            inside
        ]
        return cut, (cut - cut.mean(axis=0)).ravel()

    first, a = patch(case.first_frame_HWC, 0)
    for t in (1, 9, 15):
        own, b = patch(frames[t], t)
        assert found.correlation_NT[0, t] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)), abs=1e-5)
        assert found.colour_NT[0, t] == pytest.approx(np.abs(own - first).mean(), abs=1e-3)
    assert np.isnan(found.correlation_NT[0, 0])


def test_what_was_compared_last_is_used_for_the_same_clip_and_paths_only(moving):
    case, video = moving
    paths = scored_paths("test", case, make_tracks(case.trajectories.tracks_NT2))
    found = likeness(case, paths, video)
    assert likeness(case, scored_paths("test", case, make_tracks(paths.tracked_NT2)), video) is found
    elsewhere = likeness(case, scored_paths("test", case, still_tracks(case)), video)
    assert not np.array_equal(elsewhere.correlation_NT, found.correlation_NT, equal_nan=True)
    other = likeness(case, paths, frozen(video))
    assert not np.array_equal(other.correlation_NT, found.correlation_NT, equal_nan=True)


def test_the_ground_truth_keeps_its_look_and_survives(moving):
    case, video = moving
    tracks = make_tracks(case.trajectories.tracks_NT2)
    assert AppearanceDrift().score(case, tracks, video).values["appearance_drift"] < 0.01
    values = ObjectSurvival().score(case, tracks, video).values
    assert dict(values) == dict.fromkeys(values, 1.0)


def test_a_frozen_video_keeps_its_look_but_never_survives(moving):
    case, video = moving
    tracks = still_tracks(case)
    assert AppearanceDrift().score(case, tracks, frozen(video)).values["appearance_drift"] < 1e-9
    values = ObjectSurvival().score(case, tracks, frozen(video)).values
    assert values["object_survival"] == 0.0
    assert values["object_survival_look"] == values["object_survival_frames"] == 1.0


def test_a_frozen_video_survives_where_nothing_should_move():
    case, video = make_clip(np.full((1, 8, 2), 60.0))
    assert ObjectSurvival().score(case, still_tracks(case), video).values["object_survival"] == 1.0


def test_an_object_that_vanishes_half_way_is_lost():
    case, video = make_clip(TWO)
    frames = video.thwc.copy()
    frames[8:] = draw(case.trajectories.tracks_NT2[:1])[0][8:]  # the second object is gone
    tracks = make_tracks(case.trajectories.tracks_NT2)
    score = ObjectSurvival().score(case, tracks, clip(frames))
    assert score.arrays["survived_N"].tolist() == [1.0, 0.0]
    assert score.values["object_survival"] == 0.5
    assert score.values["object_survival_frames"] == pytest.approx((1 + 7 / 15) / 2)
    drift = AppearanceDrift().score(case, tracks, clip(frames))
    assert np.nanmax(drift.arrays["drift_NT"][0]) < 0.01
    assert drift.arrays["drift_NT"][1, 8:].min() > 0.5


def test_brightness_shows_in_the_colour_distance_only(moving):
    case, video = moving
    darker = clip(video.thwc // 2)
    values = AppearanceDrift().score(case, make_tracks(case.trajectories.tracks_NT2), darker).values
    assert values["appearance_drift"] < 0.01
    assert values["appearance_drift_colour"] > 40


def test_a_flat_patch_has_nothing_in_common_with_the_object(moving):
    case, video = moving
    grey = clip(np.full_like(video.thwc, 128))
    score = AppearanceDrift().score(case, make_tracks(case.trajectories.tracks_NT2), grey)
    assert score.values["appearance_drift"] == 1.0


def test_an_object_without_structure_cannot_be_recognised():
    video = clip(np.full((8, H, W, 3), 90))
    case = make_case(line(8))
    for metric in (AppearanceDrift(), ObjectSurvival()):
        score = metric.score(case, still_tracks(case), video)
        assert "no object has structure in frame 0" in score.skipped
        assert dict(score.values) == {}


# --- box_iou and mask_iou -----------------------------------------------------------------------------------


def test_boxes_have_pixel_edges():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:7] = True
    assert box_of(mask) == (2.5, 1.5, 6.5, 4.5)
    assert box_of(mask[2:, 3:], (3, 2)) == (2.5, 1.5, 6.5, 4.5)
    assert box_of(np.zeros((4, 4), bool)) is None
    box = (0.0, 0.0, 4.0, 2.0)
    assert box_overlap(box, moved_box(box, np.array([1.0, 1.0]))) == pytest.approx(3 / 13)
    assert box_overlap(box, moved_box(box, np.array([9.0, 0.0]))) == 0


def test_box_iou_is_the_tracking_error_in_units_of_the_object(moving):
    case, _ = moving
    target = case.trajectories.tracks_NT2
    side = 25.0  # radius 12: 25 pixels across
    assert BoxIoU().score(case, make_tracks(target)).values["box_iou"] == 1.0
    found = BoxIoU().score(case, make_tracks(target + np.array([5.0, 0.0]))).values["box_iou"]
    assert found == pytest.approx((side - 5) / (side + 5))


def test_mask_iou_of_the_exact_render_is_one_and_of_a_shifted_one_is_its_overlap(moving):
    case, video = moving
    target = case.trajectories.tracks_NT2
    values = MaskIoU().score(case, make_tracks(target), video).values
    assert values["mask_iou"] == values["mask_iou_box"] == values["mask_iou_found"] == 1.0
    shifted = target + np.array([6.0, 0.0])
    frames, own = draw(shifted)
    masks = case.reference().masks()
    expected = np.mean(
        [(own[0, t] & masks[0, t]).sum() / (own[0, t] | masks[0, t]).sum() for t in range(1, 16)]
    )
    values = MaskIoU().score(case, make_tracks(shifted), clip(frames)).values
    assert values["mask_iou"] == pytest.approx(expected)
    assert values["mask_iou_box"] == pytest.approx(19 / 31)


def test_an_object_that_is_not_in_the_picture_scores_zero_and_is_reported(moving):
    case, _ = moving
    empty = clip(np.repeat(field()[None], 16, axis=0))
    values = MaskIoU().score(case, make_tracks(case.trajectories.tracks_NT2), empty).values
    assert dict(values) == {"mask_iou": 0.0, "mask_iou_box": 0.0, "mask_iou_found": 0.0}


def test_objects_are_told_apart_by_their_colours():
    case, video = make_clip(TWO)
    masks = case.reference().masks()
    model = ColourModel(video.thwc[0], masks[:, 0], TWO[:, 0])
    for n in (0, 1):
        (left, top), own = model.find(n, video.thwc[5], np.rint(TWO[n, 5]))
        np.testing.assert_array_equal(own, masks[n, 5, top : top + own.shape[0], left : left + own.shape[1]])
        assert own.any()


def test_a_point_far_outside_the_picture_finds_nothing(moving):
    case, video = moving
    target = case.trajectories.tracks_NT2.copy()
    target[:, 1:] += 1e7
    for metric in (MaskIoU(), BoxIoU(), AppearanceDrift(), ObjectSurvival(), Flicker(), MotionAmount()):
        score = metric.score(case, make_tracks(target), video)
        assert score.skipped is None
    assert MaskIoU().score(case, make_tracks(target), video).values["mask_iou_found"] == 0


def test_no_masks_is_a_recorded_skip(moving):
    case, video = moving
    tracks = make_tracks(case.trajectories.tracks_NT2)
    bare = make_case(case.trajectories.tracks_NT2)
    no_masks = make_case(case.trajectories.tracks_NT2, reference=lambda: Reference(video))
    for metric in (BoxIoU(), MaskIoU()):
        for other in (bare, no_masks):
            assert "no object masks" in metric.score(other, tracks, video).skipped


def test_wrong_masks_and_clips_are_refused(moving):
    case, video = moving
    tracks = make_tracks(case.trajectories.tracks_NT2)
    wrong = make_case(
        case.trajectories.tracks_NT2, reference=lambda: Reference(video, lambda: np.ones((1, 3, H, W), bool))
    )
    with pytest.raises(UserError, match=r"masks \(1, 3, 128, 160\), expected \(1, 16, 128, 160\)"):
        MaskIoU().score(wrong, tracks, video)
    with pytest.raises(UserError, match="15 frames of 160x128, expected 16 of 160x128"):
        Flicker().score(case, tracks, clip(video.thwc[:15]))


@pytest.mark.parametrize(
    "metric", [MotionAmount(), Flicker(), AppearanceDrift(), ObjectSurvival(), MaskIoU()]
)
def test_metrics_that_look_say_so_and_skip_without_a_video(moving, metric):
    assert metric.needs_video
    assert "no video" in metric.score(moving[0], make_tracks(moving[0].trajectories.tracks_NT2), None).skipped
