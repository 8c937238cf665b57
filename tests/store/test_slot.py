from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.fake_parts import FakeSuite
from toraeval.store import disk, sealed
from toraeval.store.slot import PREVIEW, VIDEO, RunStore, Slot, sample_id
from toraeval.types import TEMPORARY, Score, Tracks, UserError


def test_atomic_leaves_the_old_file_and_no_temporary_when_writing_fails(tmp_path: Path) -> None:
    sealed.write_text(tmp_path / "a.txt", "old")

    def fails(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(UserError, match=r"full"):
        sealed.atomic(tmp_path / "a.txt", fails)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_atomic_keeps_the_suffix_for_writers_that_go_by_it(tmp_path: Path) -> None:
    seen: list[Path] = []

    def write(path: Path) -> None:
        seen.append(path)
        path.write_bytes(b"x")

    sealed.atomic(tmp_path / "video.mkv", write)
    assert seen[0].suffix == ".mkv"
    assert seen[0].parent == tmp_path


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"JSON"):
        sealed.write_json(tmp_path / "a.json", {"a": float("nan")})


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_damaged_json_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert sealed.read_json(tmp_path / "a.json") is None


def test_full_disk_is_recognised_through_other_errors() -> None:
    error = UserError("video: cannot write")
    error.__cause__ = OSError(errno.ENOSPC, "full")
    assert disk.full(error) == "is full"
    assert "ulimit -f" in disk.full(OSError(errno.EFBIG, "large"))
    assert not disk.full(OSError(errno.EACCES, "no"))


def test_too_little_space_and_unwritable_folders_are_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"are needed.*keep=none.*results=DIR"):
        disk.require_space(tmp_path, 10**18)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written.*results=DIR"):
        disk.require_writable(tmp_path / "file" / "below")


def test_sample_ids() -> None:
    assert sample_id("wave", 0) == "wave"
    assert sample_id("wave", 3) == "wave.seed3"


def test_tracks_come_back_only_under_their_key(tmp_path: Path) -> None:
    case = FakeSuite().cases(8, 64, 64)[0]
    slot = Slot(tmp_path / "alpha")
    tracks = Tracks(
        case.trajectories.tracks_NT2 + 0.25, np.ones((1, 8), bool), np.full((1, 8), 0.5), {"a": 1}
    )
    slot.save_tracks(case, tracks, "key", "sha", 1.5)
    stored = slot.load_tracks("key")
    assert stored is not None
    np.testing.assert_array_equal(stored.tracks_NT2, tracks.tracks_NT2)
    assert stored.confidence_NT is not None
    assert (slot.tracks_meta() or {})["seconds"] == 1.5
    assert slot.load_tracks("other") is None


@pytest.mark.parametrize("name", ["tracks.npz"])
def test_damaged_arrays_count_as_absent(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 broken")
    assert Slot(tmp_path).load_tracks("key") is None
    assert Slot(tmp_path).tracks_meta() is None


def test_arrays_come_back_by_prefix_and_not_with_sizes_that_the_file_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    sealed.write_arrays(path, {"m/a": np.arange(6.0).reshape(2, 3), "m/b": np.array("text"), "x": np.ones(3)})
    found = sealed.require_arrays(path, "m/")
    assert found is not None
    assert (sorted(found), found["a"].tolist()) == (["a", "b"], [[0, 1, 2], [3, 4, 5]])
    assert str(found["b"]) == "text"
    content = path.read_bytes()[: -len("sha256:") - 64]
    path.write_bytes(content.replace(b"(2, 3)", b"(2, 9)"))
    sealed.add_tail(path)
    with pytest.raises(sealed.Damaged, match="not an archive of arrays"):
        sealed.require_arrays(path)


def test_scores_of_two_metrics_stand_beside_each_other(tmp_path: Path) -> None:
    slot = Slot(tmp_path)
    one = Score("one", "1", {"one": 1.0, "never": float("nan")}, {"e": np.ones(2)})
    slot.save_scores({"one": ("k1", one)}, {"case": "a"}, 0.1)
    slot.save_scores({"two": ("k2", Score("two", "1", {"two": 2.0}, {"e": np.zeros(3)}))}, {"case": "a"}, 0.1)
    assert {name: stored["values"] for name, stored in slot.scores().items()} == {
        "one": {"one": 1.0},
        "two": {"two": 2.0},
    }
    with np.load(tmp_path / "score.npz") as arrays:
        assert sorted(arrays.files) == ["one/e", "two/e"]


def test_sweep_removes_only_what_a_killed_process_left(tmp_path: Path) -> None:
    kept = tmp_path / "cases" / "a" / "score.json"
    left = tmp_path / "cases" / "a" / f"{TEMPORARY}123-video.mkv"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({}))
    left.write_bytes(b"half")
    RunStore(tmp_path).sweep()
    assert left.exists(), "another process may be writing it"
    os.utime(left, (0, 0))
    RunStore(tmp_path).sweep()
    assert kept.is_file()
    assert not left.exists()


def test_trim_follows_keep(tmp_path: Path) -> None:
    for keep, expected in (("lossless", 2), ("preview", 1), ("none", 0)):
        for name in (VIDEO, PREVIEW):
            (tmp_path / name).write_bytes(b"x")
        Slot(tmp_path).trim(keep)
        assert len(list(tmp_path.iterdir())) == expected
