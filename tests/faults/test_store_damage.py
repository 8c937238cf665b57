"""Nothing stored is believed without its checksum; what differs is made again, or refused in one line."""

from __future__ import annotations

import errno
import json
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import seal_store, store_damage
from tests.fake_parts import FakeModel, FakeTracker, config
from toraeval import assets, bench, calibration, load_results, pipeline, registry, sealed
from toraeval.calibration import measure
from toraeval.pipeline import Report
from toraeval.plan import plan_run
from toraeval.report import pictures
from toraeval.report.assemble import build
from toraeval.results import load_run
from toraeval.sealed import Damaged
from toraeval.types import UserError
from toraeval.videoio import TEMPORARY

FILES = {
    "score.json", "score.npz", "tracks.npz", "video.json", "video.mkv", "preview.mp4", "cases.csv", "skips.csv",
    "timings.csv", "definitions.json", "record.json",
}  # fmt: skip


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tables = registry.snapshot()
    for kind, name in (("model", "FakeModel"), ("suite", "FakeSuite"), ("tracker", "FakeTracker")):
        registry.register(kind, f"fake_{kind}", f"tests.fake_parts:{name}")
    monkeypatch.setattr("os.fsync", lambda _: None)
    store_damage._new_process()
    yield
    registry.restore(tables)


def run(results: Path, **changes: Any) -> Report:
    store_damage._new_process()
    return pipeline.run(plan_run(config(results, **changes)), command="run it")


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A finished run of three cases."""
    return run(tmp_path / "results").result.run_dir


def flip(path: Path, place: int = -40) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_kind_of_file_and_of_damage(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "results"
    options = {"keep": "lossless", "floor": False, "limit": 1}
    with store_damage.frozen():
        target = run(folder, **options).result.run_dir
    path = next(iter([*target.glob(name), *target.glob(f"cases/*/{name}")]))
    found = store_damage.attack(folder, [path], lambda: run(folder, **options), flips=2)
    (counts,) = found.values()
    assert counts["run equal"] == len(store_damage.KINDS) + 2
    bad = {outcome: count for outcome, count in counts.items() if outcome.endswith(("accepted", "traceback"))}
    assert not bad


def test_an_edited_score_is_computed_again(done: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = done / "cases" / "alpha" / "score.json"
    before = path.read_bytes()
    content = json.loads(before)
    content["metrics"]["traj_error"]["values"]["traj_error"] = 6.89
    path.write_text(json.dumps(content, indent=1) + "\n")
    report = run(done.parents[3])
    assert report.computed == 1
    assert json.loads(path.read_bytes())["metrics"] == json.loads(before)["metrics"]
    assert sum("score.json differs from its checksum" in line for line in caplog.messages) == 1


def test_tables_of_a_smaller_run_name_the_damaged_sample(done: Path) -> None:
    flip(done / "cases" / "beta" / "score.npz")
    run(done.parents[3], limit=1)
    rows = load_run(done).cases.set_index("sample")
    assert rows.loc["beta", "status"] == "failed"
    assert "checksum" in rows.loc["beta", "error"]


@pytest.mark.parametrize("name", ["cases.csv", "skips.csv", "timings.csv"])
def test_half_a_table_is_refused_with_the_command(done: Path, name: str) -> None:
    path = done / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    store_damage._new_process()
    with pytest.raises(UserError, match=rf"{name} differs from its checksum.*run it"):
        build([done], done.parent / "report")


@pytest.mark.parametrize("name", ["score.npz", "score.json", "tracks.npz", "preview.mp4"])
def test_a_report_never_leaves_a_damaged_sample_out(done: Path, name: str) -> None:
    path = done / "cases" / "beta" / name
    if name == "preview.mp4":
        flip(path)
    else:
        path.unlink()
    store_damage._new_process()
    with pytest.raises(UserError, match=r"run its command again: run it"):
        build([done], done.parent / "report")


@pytest.mark.parametrize("name", ["cases.csv", "record.json"])
def test_a_run_without_its_table_is_refused_and_not_left_out(done: Path, name: str) -> None:
    (done / name).unlink()
    with pytest.raises(UserError, match=r"no record\.json and cases\.csv here"):
        load_results(done.parents[2])


def test_a_cut_preview_is_made_again(done: Path) -> None:
    preview = done / "cases" / "beta" / "preview.mp4"
    whole = preview.read_bytes()
    preview.write_bytes(whole[:100])
    report = run(done.parents[3])
    assert report.cached == 2
    assert preview.read_bytes() == whole


def test_a_damaged_failure_stays_a_failure(tmp_path: Path) -> None:
    options = {"model": {"name": "fake_model", "bad": "beta"}}
    target = run(tmp_path / "results", **options).result.run_dir
    flip(target / "cases" / "beta" / "failure.json")
    report = run(tmp_path / "results", **options)
    assert [outcome.failed for outcome in report.outcomes] == [True]


def test_a_damaged_bench_record_is_refused(tmp_path: Path) -> None:
    sealed.write_json(tmp_path / "record.json", {"runs": {}, "samples": ["a"]})
    flip(tmp_path / "record.json", 5)
    with pytest.raises(UserError, match=r"differs from its checksum; run the bench again"):
        bench.recorded(tmp_path)


def test_any_bit_of_a_sealed_file_shows(tmp_path: Path) -> None:
    arrays, notes = tmp_path / "a.npz", tmp_path / "a.json"
    sealed.write_arrays(arrays, {"features": np.arange(4.0)})
    sealed.write_json(notes, {"reason": "é", "numbers": list(range(40))})
    for path, read in ((arrays, sealed.require_arrays), (notes, sealed.require_json)):
        whole = path.read_bytes()
        for place in range(0, 8 * len(whole), 37):
            content = bytearray(whole)
            content[place // 8] ^= 1 << place % 8
            path.write_bytes(content)
            with pytest.raises(Damaged, match=r"damaged|checksum"):
                read(path)


def test_sealed_files_stay_plain_json_and_npz(tmp_path: Path) -> None:
    sealed.write_json(tmp_path / "empty.json", {})
    assert sealed.require_json(tmp_path / "empty.json") == {}
    sealed.write_arrays(tmp_path / "a.npz", {"x": np.eye(2), "meta": np.array("words")})
    with np.load(tmp_path / "a.npz") as stored:
        assert stored["x"].tolist() == [[1, 0], [0, 1]]
    assert str((sealed.require_arrays(tmp_path / "a.npz") or {})["meta"]) == "words"


def test_promised_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    words = "{'descr': '<f8', 'fortran_order': False, 'shape': (4000000000,), }"
    header = words.encode() + b" " * (117 - len(words)) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"12345678"
        )
    path.write_bytes(path.read_bytes()[:-2] + struct.pack("<H", 71))
    sealed.add_tail(path)  # a checksum that fits
    with pytest.raises(Damaged, match=r"32,000,000,000 bytes"):
        sealed.require_arrays(path)


def test_weights_replaced_by_others_of_equal_size_and_time_are_hashed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    weights, other = tmp_path / "weights.bin", tmp_path / "other.bin"
    weights.write_bytes(b"one")
    first = assets.remembered_sha256(weights)
    stat = weights.stat()
    other.write_bytes(b"two")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(weights)
    assert assets.remembered_sha256(weights) != first


def test_a_changed_hash_memory_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"one")
    sha256 = assets.remembered_sha256(weights)
    memory = tmp_path / "hashes.json"
    memory.write_text(memory.read_text().replace(sha256, "0" * 64))
    assert assets.remembered_sha256(weights) == sha256


def test_a_damaged_calibration_result_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(measure, "measure", lambda tracker, clip: calls.append(clip.name) or [{"points": 3}])
    clips = calibration.clips([2], 1, [])[:1]
    first = measure.calibrate(["lucas_kanade"], clips, tmp_path)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(file.read_text().replace("3", "4", 1))
    assert measure.calibrate(["lucas_kanade"], clips, tmp_path) == first
    assert len(calls) == 2


def test_a_damaged_picture_is_drawn_again(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    picture = Image.fromarray(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3))
    pictures.save_keyed(picture, path, "key")
    assert pictures.is_drawn(path, "key")
    with Image.open(path) as seen:
        assert seen.size == (32, 32)
    flip(path, 60)
    assert not pictures.is_drawn(path, "key")


# --- links, full disks, left-over files -------------------------------------------------------------------------


def test_nothing_is_written_through_a_link(done: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (done / "cases" / "alpha").rename(outside)
    (outside / "video.mkv").write_bytes(b"mine")
    (outside / "score.json").unlink()
    (done / "cases" / "alpha").symlink_to(outside)
    before = store_damage.snapshot(outside)
    with pytest.raises(UserError, match=r"alpha is a link to .*outside"):
        run(done.parents[3])
    assert store_damage.snapshot(outside) == before


@pytest.mark.parametrize("name", ["cases", "."])
def test_a_linked_folder_of_the_run_is_refused(done: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    (done / name).resolve().rename(outside)
    (done / name).resolve().symlink_to(outside)
    with pytest.raises(UserError, match=r"is a link to"):
        run(done.parents[3])


def test_the_results_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    assert run(tmp_path / "results").exit_code == 0


def test_a_linked_lock_is_not_emptied(done: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("text")
    (done / ".lock").unlink()
    (done / ".lock").symlink_to(mine)
    with pytest.raises(UserError, match=r"\.lock cannot be opened"):
        run(done.parents[3])
    assert mine.read_text() == "text"


def test_a_report_writes_through_no_link(done: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "samples").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match=r"samples is a link to"):
        build([done], tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["cases.csv", "timings.csv", "definitions.json", "record.json", "score.json"]
)
def test_a_full_disk_ends_in_one_line_wherever_it_strikes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write = Path.write_text

    def full(path: Path, *args: Any, **kwargs: Any) -> int:
        if path.name.endswith(name):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(UserError, match=r"No space left|disk of .* is full"):
            run(tmp_path / "results")
    assert run(tmp_path / "results").exit_code == 0
    assert not list((tmp_path / "results").rglob(f"{TEMPORARY}*"))


def test_what_killed_processes_left_is_swept(done: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    left = [done / f"{TEMPORARY}1-a", done / "cases" / "alpha" / f"{TEMPORARY}2-b"]
    left += [out / f"{TEMPORARY}3-c", out / "samples" / f"{TEMPORARY}4-d"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    run(done.parents[3])
    build([done], out)
    assert [path for path in left if path.exists()] == []


def test_a_cache_is_swept_of_old_files_only(tmp_path: Path) -> None:
    old, young = tmp_path / f"{TEMPORARY}1-a", tmp_path / f"{TEMPORARY}2-a"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    sealed.sweep(tmp_path, least_age_s=60)
    assert (old.exists(), young.exists()) == (False, True)


# --- stores of versions without checksums -----------------------------------------------------------------------


def test_a_former_store_is_refused_and_can_be_taken_as_it_is(done: Path) -> None:
    for path in done.rglob("*.json"):
        content = json.loads(path.read_bytes())
        del content[sealed.CHECKSUM]
        content.pop("arrays_sha256", None)
        path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"wrote no checksums.*seal_store"):
        run(done.parents[3])
    assert seal_store.main(done.parents[3]) == 3
    FakeModel.calls.clear()
    FakeTracker.calls = 0
    report = run(done.parents[3])
    assert (report.computed, FakeModel.calls, FakeTracker.calls) == (0, [], 0)
