"""What a run leaves in the results, when it is made again, and what makes its key."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from tests.fake_parts import FakeModel, FakeTracker, config
from tests.run.test_pipeline import model, run, table
from toraeval.metrics.traj_error import TrajError
from toraeval.run.plan import Plan, plan_run
from toraeval.store import slot as store
from toraeval.store.sealed import write_json
from toraeval.store.tables.run import load_run, table_hashes
from toraeval.suites.shapes.suite import Shapes
from toraeval.types import Case
from toraeval.video import read_video, video_sha256

pytestmark = pytest.mark.usefixtures("fakes")


@pytest.mark.parametrize(("keep", "files"), [("none", []), ("preview", ["preview.mp4"])])
def test_keep_decides_what_stays(tmp_path: Path, keep: str, files: list[str]) -> None:
    report = run(tmp_path, keep=keep)
    folder = report.result.run_dir / "cases" / "alpha"
    assert sorted(path.name for path in folder.iterdir() if path.suffix in (".mkv", ".mp4")) == files
    assert report.disk_bytes > 0


def test_asking_for_the_lossless_files_later_makes_them_again_with_the_same_hash(tmp_path: Path) -> None:
    first = run(tmp_path, keep="none")
    second = run(tmp_path, keep="lossless")
    folder = second.result.run_dir / "cases" / "beta"
    assert video_sha256(read_video(folder / "video.mkv")) == table(first).loc["beta", "video_sha256"]
    assert all("track" not in outcome.computed for outcome in second.outcomes)


def test_a_limit_makes_no_more_cases_than_it_asks_for_and_the_record_says_how_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    build = Shapes.cases

    def counted(self: Shapes, *request: int | None) -> list[Case]:
        cases = build(self, *request)  # type: ignore[arg-type]
        made.append(len(cases))
        return cases

    monkeypatch.setattr(Shapes, "cases", counted)
    plan = plan_run(config(tmp_path, suite={"name": "shapes"}, frames=3, height=64, width=64, limit=2))
    assert made == [len(plan.cases)] == [2]
    assert plan.suite_size == len(Shapes().scenes())


def test_new_tracker_regenerates_the_same_clip(tmp_path: Path) -> None:
    first = run(tmp_path)
    second = run(tmp_path, tracker={"name": "fake_tracker", "offset": 1.0})
    assert first.result.run_dir != second.result.run_dir
    assert table(first)["video_sha256"].tolist() == table(second)["video_sha256"].tolist()
    assert set(table(first)["fingerprint"]).isdisjoint(table(second)["fingerprint"])


def test_generator_that_does_not_repeat_itself_is_found_out(tmp_path: Path) -> None:
    run(tmp_path, keep="none", model=model(unsteady=True))
    report = run(tmp_path, keep="lossless", model=model(unsteady=True))
    assert report.result.num_failed == 3
    assert "does not repeat itself" in table(report).loc["alpha", "error"]


def test_new_metric_version_scores_again_without_generating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    FakeModel.calls.clear()
    tracked = FakeTracker.calls
    monkeypatch.setattr(TrajError, "version", "2-test")
    report = run(tmp_path)
    assert [outcome.computed for outcome in report.outcomes] == [("score",)] * 3
    assert (FakeModel.calls, FakeTracker.calls - tracked) == ([], 0)


def test_damaged_lossless_file_is_not_believed(tmp_path: Path) -> None:
    report = run(tmp_path, stages=["generate"])
    slot = store.Slot(report.result.run_dir / "cases" / "alpha")
    other = read_video(report.result.run_dir / "cases" / "beta" / "video.mkv")
    slot.save_lossless(other)
    FakeModel.calls.clear()
    scored = run(tmp_path)
    assert FakeModel.calls == ["alpha/0"]
    assert table(scored)["traj_error"].tolist() == [2.0] * 3


def test_a_file_of_an_attempt_that_was_cut_off_is_replaced(tmp_path: Path) -> None:
    report = run(tmp_path, stages=["generate"])
    slot = store.Slot(report.result.run_dir / "cases" / "alpha")
    other = read_video(report.result.run_dir / "cases" / "beta" / "video.mkv")
    slot.save_lossless(other)
    (slot.folder / "video.json").unlink()  # killed between the file and its metadata
    assert table(run(tmp_path))["traj_error"].tolist() == [2.0] * 3


def test_a_lossless_file_as_written_is_not_hashed_frame_by_frame(tmp_path: Path) -> None:
    slot = store.Slot(run(tmp_path, stages=["generate"]).result.run_dir / "cases" / "alpha")
    meta = slot.video_meta()
    assert meta is not None
    slot.save_video_meta({**meta, "sha256": "1" * 64})  # a hash of the frames would differ
    assert slot.load_video("1" * 64) is not None
    slot.save_video_meta({**meta, "lossless_sha256": "0" * 64})  # another file
    assert slot.load_video(meta["sha256"]) is None


def test_record_is_complete(tmp_path: Path) -> None:
    record = run(tmp_path).result.record
    assert record["command"] == "test"
    assert record["prompts_sent"]["beta"] == "a square, beta"
    assert record["fingerprints"]["generator"] == {"model": "fake_model", "shift": 2}
    assert record["counts"] == {
        "requested": 3, "generated": 3, "scored": 3, "unscored": 0, "failed": 0, "computed_now": 3,
    }  # fmt: skip
    assert set(record["video_sha256"]) == {"alpha", "beta", "gamma"}
    assert record["packages"]["numpy"]
    assert record["peak_memory_mb"] > 10
    assert record["config"]["frames"] == 8


def test_arrays_of_a_case_can_be_read_back(tmp_path: Path) -> None:
    case = run(tmp_path).result.load_case("beta")
    assert case.target_NT2.shape == case.tracks_NT2.shape == (1, 8, 2)
    assert (case.tracks_NT2 - case.target_NT2)[0, 1:].tolist() == [[2.0, 0.0]] * 7
    assert case.arrays["traj_error/errors_NT"][0, 1:].tolist() == [2.0] * 7
    assert case.preview is not None
    assert case.preview.name == "preview.mp4"


def test_plans_are_frozen(tmp_path: Path) -> None:
    plan = plan_run(config(tmp_path))
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.model = "x"  # type: ignore[misc]
    assert isinstance(plan, Plan)


@pytest.mark.parametrize("fingerprint", ["3364693e85", "0012345678"])
def test_a_fingerprint_that_looks_like_a_number_is_read_as_written(tmp_path: Path, fingerprint: str) -> None:
    report = run(tmp_path)
    cases = report.result.run_dir / "cases.csv"
    cases.write_text(cases.read_text().replace(table(report)["fingerprint"].iloc[0], fingerprint))
    record = report.result.record
    write_json(
        report.result.run_dir / "record.json", {**record, "files": table_hashes(report.result.run_dir)}
    )
    assert load_run(report.result.run_dir).cases["fingerprint"].tolist() == [fingerprint] * 3


def test_the_key_of_a_video_covers_everything_that_changes_a_clip(tmp_path: Path) -> None:
    plans = [
        plan_run(config(tmp_path)),
        plan_run(config(tmp_path, model=model(shift=3))),
        plan_run(config(tmp_path, frames=9)),
        plan_run(config(tmp_path, seeds=[1])),
    ]
    keys = [plan.video_key(sample) for plan in plans for sample in plan.samples]
    assert len(set(keys)) == 12
    sample = plans[0].samples[0]
    for changed in ({"content_hash": "x"}, {"frames": 17}, {"height": 32}, {"width": 32}):
        other = sample._replace(case=dataclasses.replace(sample.case, **changed))
        assert plans[0].video_key(other) != plans[0].video_key(sample), changed


def test_rows_may_be_compared_unless_suite_tracker_or_length_differ(tmp_path: Path) -> None:
    base = plan_run(config(tmp_path)).fingerprint
    assert plan_run(config(tmp_path, model=model(shift=3))).fingerprint == base
    for changed in (
        {"suite": {"name": "fake_suite", "reference": False}},
        {"tracker": {"name": "fake_tracker", "offset": 1.0}},
        {"frames": 9},
    ):
        assert plan_run(config(tmp_path, **changed)).fingerprint != base, changed


def test_rows_are_returned_as_they_are_read_back(tmp_path: Path) -> None:
    report = run(tmp_path, model=model(bad="beta", how="crash"), seeds=[0, 1])
    pd.testing.assert_frame_equal(report.result.cases, load_run(report.result.run_dir).cases)
    assert report.result.record == load_run(report.result.run_dir).record
