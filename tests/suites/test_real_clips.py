"""Real clips and second takes beside the cases of a folder."""

from __future__ import annotations

import numpy as np
import pytest

from tests.suites import layouts
from toraeval import registry
from toraeval.__main__ import main
from toraeval.types import UserError

SIZE = (48, 32)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "fox.csv").write_text("x,y\n6,8\n26,13\n")
    layouts.video(tmp_path / "fox.mp4", 11, SIZE)
    layouts.video(tmp_path / "fox.take2.mp4", 11, SIZE)
    return tmp_path


def suite(folder):
    return registry.build("suite", {"name": "folder", "path": str(folder), "canvas": list(SIZE)})


def test_a_clip_is_the_reference_and_a_second_take_stands_beside_it(folder):
    (case,) = suite(folder).cases(6, 32, 48)
    np.testing.assert_array_equal(case.reference().video.thwc, layouts.pictures(11, SIZE)[::2])
    np.testing.assert_array_equal(case.second_take().thwc, layouts.pictures(11, SIZE)[::2])
    (other,) = suite(folder).cases(7, 32, 48)
    assert other.reference is None
    assert other.second_take is None


def test_clips_change_the_fingerprint_and_their_absence_changes_nothing(folder):
    with_both = suite(folder).fingerprint()
    (folder / "fox.take2.mp4").unlink()
    with_one = suite(folder).fingerprint()
    (folder / "fox.mp4").unlink()
    assert len({str(with_both), str(with_one), str(suite(folder).fingerprint())}) == 3
    (case,) = suite(folder).cases(6, 32, 48)
    assert case.reference is None


def test_a_second_take_needs_a_first(folder):
    (folder / "fox.mp4").unlink()
    with pytest.raises(UserError, match=r"fox has a second take, fox.take2.mp4, without a first"):
        suite(folder)


def test_a_clip_of_no_case_is_refused(folder):
    layouts.video(folder / "hen.mp4", 11, SIZE)
    with pytest.raises(UserError, match=r"hen.mp4"):
        suite(folder)


def test_the_second_take_is_a_row_like_a_model(folder, tmp_path, capsys):
    arguments = [
        "run", "model=second_take", "suite=folder", f"suite.path={folder}", "suite.canvas=[48,32]", "frames=11",
        "height=32", "width=48", "metric=[traj_error,ssim]", f"results={tmp_path / 'results'}",
    ]  # fmt: skip
    assert main(arguments) == 0
    assert "second_take" in capsys.readouterr().out
    assert main([text.replace("frames=11", "frames=7") for text in arguments]) != 0
    assert "no second take" in " ".join(capsys.readouterr())
