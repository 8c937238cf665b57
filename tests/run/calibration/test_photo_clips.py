"""Calibration on suite `photos`: its clips, groups and files."""

import numpy as np
import pytest

from toraeval.__main__ import main
from toraeval.run.calibration import photo_clips
from toraeval.run.calibration.measure import measure
from toraeval.suites.shared.paths import FAMILIES
from toraeval.trackers.dis_flow import DISFlow
from toraeval.types import UserError


def test_clips_cover_every_family_and_motion_at_every_length_and_damage():
    found = photo_clips([16, 64], 1, ["blur_4"])
    assert len(found) == 3 * 15
    assert set(FAMILIES) | {"pan", "zoom", "rotation", "mixture"} == {clip.family for clip in found}
    assert len({clip.name for clip in found}) == len(found)
    assert {clip.frames for clip in found if clip.damage == "blur_4"} == {16}
    for bad, words in [(([1], 1, []), "frames >= 2"), (([16], 1, ["rain"]), "allowed: blur_2")]:
        with pytest.raises(UserError, match=words):
            photo_clips(*bad)


def test_points_and_objects_are_grouped_and_measured():
    by_family = {clip.family: clip for clip in photo_clips([3], 1, [])}
    crossing, pan = by_family["crossing"], by_family["pan"]
    assert crossing.objects >= 2
    assert {row["occlusion"] for row in crossing.facts()} & {"crossing", "partly"}
    rows = measure(DISFlow(preset="fast"), pan)
    assert [row["family"] for row in rows] == ["camera pan"] * pan.objects
    assert all(np.isfinite(row["traj_error"]) for row in rows)


@pytest.mark.long
def test_damage_spoils_photographs_as_it_does_shapes():
    clean, blurred, faded = (photo_clips([2], 1, [name])[15] for name in ("blur_8", "noise_25", "fade_60"))
    truth = clean.renderer.render()
    for clip in (clean, blurred, faded):
        assert clip.video().thwc.shape == truth.shape
        assert (clip.video().thwc != truth).any()


@pytest.mark.long
def test_the_command_writes_files_of_its_own(tmp_path, capsys):
    words = [
        "calibrate",
        "suite=photos",
        "tracker=dis_flow",
        "frames=2",
        "degrade=none",
        f"results={tmp_path}",
    ]
    assert main(words) == 0
    assert {path.name for path in tmp_path.glob("trackers*")} == {
        "trackers_photos.csv",
        "trackers_photos.md",
        "trackers_photos.png",
    }
    assert "Suite `photos`, validation split" in (tmp_path / "trackers_photos.md").read_text()
    assert main(["calibrate", "suite=phots"]) == 2
    assert "Did you mean 'photos'" in capsys.readouterr().err
