"""`validate` as a user calls it."""

from __future__ import annotations

import pytest

from tests.suites import layouts
from toraeval.__main__ import main


def test_a_complete_benchmark(tmp_path, capsys):
    root = layouts.movebench(tmp_path, 2, 9, (48, 32))
    assert (
        main(["validate", "suite=movebench", f"suite.path={root}", "frames=9", "height=32", "width=48"]) == 0
    )
    out = capsys.readouterr().out
    assert "cases: 2" in out
    assert "nothing is missing" in out


def test_what_is_missing_or_damaged(tmp_path, capsys):
    root = layouts.movebench(tmp_path, 3, 9, (48, 32))
    (root / "en" / "first_frame" / "clip_0000.jpg").write_bytes(b"no picture")
    (root / "en" / "track" / "single" / "clip_0001_visibility.npy").unlink()
    layouts.video(root / "en" / "video" / "clip_0002.mp4", 5, (48, 32))
    assert main(["validate", "suite=movebench", f"suite.path={root}"]) == 1
    out = capsys.readouterr().out
    assert "problem: clip_0000: " in out
    assert "problem: clip_0001: en/track/single/clip_0001_visibility.npy is missing" in out
    assert "its video has 5 frames, its paths have 9" in out
    assert "3 cases cannot be used" in out


def test_where_nothing_is_complete_everything_is_listed(tmp_path, capsys):
    root = layouts.movebench(tmp_path, 2, 9, (48, 32), with_video=False)
    for index in range(2):
        (root / "en" / "first_frame" / f"clip_000{index}.jpg").unlink()
    assert main(["validate", "suite=movebench", f"suite.path={root}"]) == 2
    out, err = capsys.readouterr()
    assert "clip_0000: en/first_frame/clip_0000.jpg is missing, and 1 more" in err
    assert "problem: clip_0001: en/first_frame/clip_0001.jpg is missing" in out


def test_a_length_without_ground_truth_is_noted(tmp_path, capsys):
    root = layouts.movebench(tmp_path, 1, 9, (48, 32))
    command = ["validate", "suite=movebench", f"suite.path={root}", "height=32", "width=48"]
    assert main([*command, "frames=7"]) == 0
    assert "note: clip_0000: no ground truth at 7 frames" in capsys.readouterr().out
    assert main([*command, "frames=5"]) == 0
    assert "no ground truth" not in capsys.readouterr().out


def test_a_missing_caption_is_noted(tmp_path, capsys):
    root = layouts.movebench(tmp_path, 1, 9, (48, 32), with_video=False)
    (root / "en" / "single_track.txt").write_text("clip_0000.mp4,\n")
    assert main(["validate", "suite=movebench", f"suite.path={root}"]) == 0
    assert "note: clip_0000: no caption" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name one suite"),
        (["suite=movebench"], "suite.path=VALUE"),
        (["suite=movebnch", "suite.path=x"], "movebench"),
        (["suite=movebench", "suite.path=x", "suite.langage=zh"], "suite.language"),
        (["suite=movebench", "suite.path=x", "frames=a"], "frames=a; allowed: a whole number"),
        (["suite=shapes", "frames=0"], "frames=0"),
        (["suite=shapes", "height=-3"], "size 512x-3"),
        (["suite=movebench", "suite.path="], "suite.path= gives no value"),
        (["x"], "name one suite"),
    ],
)
def test_wrong_use_is_one_line(arguments, told, capsys):
    assert main(["validate", *arguments]) == 2
    assert told in capsys.readouterr().err
