"""Calibration: its clips, its numbers on trackers whose errors are known, its cache."""

import cv2
import numpy as np
import pytest

from toraeval import registry
from toraeval.run import calibration
from toraeval.run.calibration import conditions, tables
from toraeval.run.calibration.conditions import CalibrationClip
from toraeval.types import Tracks, UserError

CROSSING = CalibrationClip("validation", 1009, "crossing", 2, 8)


class Off:
    """Answers with the exact tracks, moved by (3, -4) px from frame 1 on; never doubts."""

    name = "off"
    version = "1"
    calls = 0

    def fingerprint(self):
        return {"name": self.name}

    def track(self, video, queries):
        type(self).calls += 1
        clip = next(c for c in CLIPS if np.array_equal(c.renderer.tracks_NT2[:, 0], queries))
        points = clip.renderer.tracks_NT2 + np.array([3.0, -4.0])
        points[:, 0] = queries
        return Tracks(points, np.ones(points.shape[:2], bool))


CLIPS = [CROSSING, CalibrationClip("validation", 1000, "line", 1, 8)]


@pytest.fixture(autouse=True)
def off(monkeypatch):
    monkeypatch.setattr(Off, "calls", 0)
    tables = registry.snapshot()
    registry.register("tracker", "off", f"{__name__}:Off")
    yield
    registry.restore(tables)


def test_clips_cover_what_is_asked_and_avoid_the_training_split():
    found = calibration.clips([16, 64], 2, ["blur_4"])
    assert len(found) == 2 * 2 * len(conditions.SCENES) + 2 * len(conditions.SCENES)
    assert {c.family for c in found} == set(conditions.FAMILIES)
    assert {c.objects for c in found} == {1, 2, 3}
    assert len({c.name for c in found}) == len(found)
    assert {c.frames for c in found if c.damage == "blur_4"} == {16}
    for bad, message in [
        (([1], 1, [], "test"), "frames >= 2"),
        (([16], 0, [], "test"), "count >= 1"),
        (([16], 1, ["rain"], "test"), "allowed: blur_2"),
        (([16], 1, [], "train"), "allowed: validation, test"),
    ]:
        with pytest.raises(UserError, match=message):
            calibration.clips(*bad)


def test_objects_are_grouped_by_what_happens_to_them():
    facts = CROSSING.facts()
    assert [f["occlusion"] for f in facts] == ["crossing", "none"]  # the second one is drawn on top
    assert {f["objects"] for f in facts} == {2}
    slow = CalibrationClip("validation", 1000, "line", 1, 128).facts()[0]
    fast = CalibrationClip("validation", 1000, "line", 1, 8).facts()[0]
    assert (slow["speed"], fast["speed"]) == ("slow", "fast")


def test_a_known_error_is_measured_exactly(tmp_path):
    rows = calibration.calibrate(["off"], CLIPS, tmp_path)
    assert len(rows) == 3
    hidden = ~CROSSING.renderer.visible()[0, 1:]
    assert hidden.any()
    for row in rows:
        assert row["traj_error"] == pytest.approx(7.0)
        # 5 px at 512 are 2.5 px at 256: within 4, 8 and 16 of the five thresholds
        assert row["delta_avg"] == pytest.approx(0.6)
        assert row["lost"] == 0.0
    assert rows[0]["oa"] == pytest.approx(1 - hidden.mean())
    seen = (~hidden).sum()
    assert rows[0]["aj"] == pytest.approx(0.6 * seen / 7 + 0.0)
    table = calibration.summarise(rows)
    whole = table[table["group"] == "all"].iloc[0]
    assert whole["floor"] == pytest.approx(7.0)
    assert whole["objects"] == 3
    assert set(table[table["group"] == "occlusion"]["value"]) == {"none", "crossing"}


def test_results_are_kept_and_used_again(tmp_path):
    told = []
    first = calibration.calibrate(["off"], CLIPS, tmp_path, lambda label, cached: told.append(cached))
    second = calibration.calibrate(["off"], CLIPS, tmp_path, lambda label, cached: told.append(cached))
    assert first == second
    assert told == [False, False, True, True]
    assert Off.calls == 2
    next(tmp_path.rglob("*.json")).write_text("{ cut o")  # a damaged file is measured again
    assert [r["traj_error"] for r in calibration.calibrate(["off"], CLIPS, tmp_path)] == pytest.approx(
        [7.0] * 3
    )
    assert Off.calls == 3


def test_damage_changes_the_pictures_and_not_the_tracks():
    clean = CalibrationClip("validation", 1000, "line", 1, 3)
    for name in conditions.DAMAGES:
        worse = CalibrationClip("validation", 1000, "line", 1, 3, name)
        assert not np.array_equal(worse.video().frames_TCHW, clean.video().frames_TCHW), name
        assert np.array_equal(worse.renderer.tracks_NT2, clean.renderer.tracks_NT2)


def test_trackers_by_name_and_by_class():
    for name in ("lucas_kanade", "toraeval.trackers.lucas_kanade:LucasKanade"):
        assert calibration.calibrate([name], [], None) == []
    for name, message in (
        ("lucas_canade", "unknown tracker"),
        ("toraeval.trackers.lucas_kanade:Nobody", "cannot be imported"),
    ):
        with pytest.raises(UserError, match=message):
            calibration.calibrate([name], [], None)
    with pytest.raises(UserError, match="each tracker once"):
        calibration.calibrate(["lucas_kanade", "lucas_kanade"], [], None)


def test_figure_and_page_hold_every_group(tmp_path):
    table = calibration.summarise(calibration.calibrate(["off"], CLIPS, tmp_path))
    calibration.draw(table, tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] > 500
    page = calibration.to_markdown(table, "# Trackers")
    for group in ("frames", "family", "speed", "occlusion", "objects"):
        assert f"| {group}" in page
    assert tables.VALUES[1] in page
