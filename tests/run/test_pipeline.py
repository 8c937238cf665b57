"""The main path over fake parts: cache, resume, failures, disk, floor; every number is known beforehand."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.fake_parts import FakeModel, FakeTracker, config
from toraeval.run import ending, pipeline
from toraeval.run.ending import Progress, Report
from toraeval.run.outcome import Outcome
from toraeval.run.plan import plan_run
from toraeval.store import disk, lock
from toraeval.types import MissingAsset, UserError

pytestmark = pytest.mark.usefixtures("fakes")


def run(results: Path, **changes: Any) -> Report:
    return pipeline.run(plan_run(config(results, **changes)), command="test")


def model(**options: Any) -> dict[str, Any]:
    return {"name": "fake_model", **options}


def table(report: Report) -> pd.DataFrame:
    return report.result.cases.set_index("sample")


def test_rows_hold_the_exact_error_and_the_floor(tmp_path: Path) -> None:
    report = run(tmp_path, tracker={"name": "fake_tracker", "offset": 0.25})
    rows = table(report)
    assert list(rows.index) == ["alpha", "beta", "gamma"]
    assert rows["traj_error"].tolist() == [2.25] * 3
    assert rows["tracker_floor"].tolist() == [0.25] * 3
    assert rows["status"].tolist() == ["ok"] * 3
    assert rows["frames_generated"].tolist() == [9] * 3
    assert rows["length_mode"].tolist() == ["cut"] * 3
    assert report.exit_code == 0


def test_same_command_again_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path)
    table_file = first.result.run_dir / "cases.csv"
    before = table_file.read_bytes(), table_file.stat().st_ino
    monkeypatch.setattr("toraeval.store.record.machine", lambda: {"processor": "another"})
    FakeModel.calls.clear()
    tracked = FakeTracker.calls
    again = run(tmp_path)
    assert (FakeModel.calls, FakeTracker.calls - tracked, again.computed, again.cached) == ([], 0, 0, 3)
    assert (table_file.read_bytes(), table_file.stat().st_ino) == before, "what is there is not written again"
    assert again.result.record["machine"] == first.result.record["machine"], (
        "that of what computed the results"
    )
    more = run(tmp_path, model=model(shift=3))
    assert more.result.record["machine"] == {"processor": "another"}


def test_keep_none_also_deletes_what_finished_clips_kept(tmp_path: Path) -> None:
    first = run(tmp_path, keep="lossless")
    assert len(list(first.result.run_dir.glob("cases/*/*.m*"))) == 6
    run(tmp_path, keep="preview")
    assert len(list(first.result.run_dir.glob("cases/*/*.m*"))) == 6, "a default deletes nothing"
    again = run(tmp_path, keep="none")
    assert again.computed == 0
    assert not list(tmp_path.glob("runs/**/*.m*"))


class Killed(BaseException):
    """Ends a run as a kill would: nothing more is written."""


def test_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole")

    class Killer(Progress):
        def advance(self, outcome: Outcome) -> None:
            if FakeModel.calls:
                raise Killed

    monkeypatch.setattr(ending, "write", lambda *_, **__: None)
    FakeModel.calls.clear()
    with pytest.raises(Killed):
        pipeline.run(plan_run(config(tmp_path / "killed", floor=False)), Killer(), "test")
    monkeypatch.undo()
    FakeModel.calls.clear()
    resumed = run(tmp_path / "killed")
    assert FakeModel.calls == ["beta/0", "gamma/0"]
    for name in ("cases.csv", "definitions.json"):
        assert (resumed.result.run_dir / name).read_bytes() == (whole.result.run_dir / name).read_bytes()


def test_half_written_samples_are_finished(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", keep="lossless")
    for missing in ("video.mkv", "video.json", "tracks.npz", "score.npz", "score.json"):
        report = run(tmp_path / "cut", keep="lossless")
        (report.result.run_dir / "cases" / "beta" / missing).unlink()
        resumed = run(tmp_path / "cut", keep="lossless")
        same = (resumed.result.run_dir / "cases.csv").read_bytes()
        assert same == (whole.result.run_dir / "cases.csv").read_bytes(), missing
        if missing != "score.npz":
            assert [outcome.sample for outcome in resumed.outcomes] == ["beta"], missing


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("crash", "ValueError: matrix is singular"),
        ("user", "non-finite latents; try precision=fp32"),
        ("short", "case beta: fake_model returned 7 frames of 64x64, expected 8 of 64x64"),
    ],
)
def test_one_failure_leaves_a_row_and_stops_nobody(tmp_path: Path, how: str, error: str) -> None:
    report = run(tmp_path, model=model(bad="beta", how=how))
    rows = table(report)
    assert rows["status"].tolist() == ["ok", "failed", "ok"]
    assert rows.loc["beta", "error"] == error
    assert pd.isna(rows.loc["beta", "traj_error"])
    folder = report.result.run_dir / "cases" / "beta"
    assert "Traceback" in (folder / "traceback.txt").read_text()
    assert report.exit_code == 1
    assert report.result.record["counts"]["failed"] == 1


def test_failed_sample_is_tried_again_and_its_traces_go(tmp_path: Path) -> None:
    run(tmp_path, model=model(bad="beta"))
    FakeModel.calls.clear()
    report = run(tmp_path)
    assert FakeModel.calls == ["beta/0"]
    assert table(report)["status"].tolist() == ["ok"] * 3
    assert not (report.result.run_dir / "cases" / "beta" / "failure.json").exists()


def test_a_failure_of_every_sample_is_exit_code_1_whatever_the_reason(tmp_path: Path) -> None:
    for how in ("user", "crash"):
        assert run(tmp_path / how, model=model(bad="alpha", how=how), limit=1).exit_code == 1


def test_fail_fast_stops(tmp_path: Path) -> None:
    report = run(tmp_path, model=model(bad="alpha"), fail_fast=True)
    assert len(report.outcomes) == 1


def test_missing_weights_stop_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match=r"weights are missing"):
        run(tmp_path, model=model(bad="beta", how="weights"))
    assert FakeModel.calls == ["alpha/0", "beta/0"]


def test_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    plan = plan_run(config(tmp_path, model=model(bad="beta", how="interrupt")))
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(plan, command="test")
    rows = pd.read_csv(plan.run_dir / "cases.csv")
    assert rows["sample"].tolist() == ["alpha"]
    record = json.loads((plan.run_dir / "record.json").read_text())
    assert record["finished"] is False


def test_disk_full_in_the_middle_is_one_line_and_keeps_what_is_finished(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"disk of .* is full; everything finished so far is kept"):
        run(tmp_path, model=model(bad="beta", how="full"))
    plan = plan_run(config(tmp_path))
    assert pd.read_csv(plan.run_dir / "cases.csv")["sample"].tolist() == ["alpha"]
    FakeModel.calls.clear()
    run(tmp_path)
    assert FakeModel.calls == ["beta/0", "gamma/0"]


def test_disk_full_inside_a_writer_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise UserError("cannot write preview.mp4") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("toraeval.store.slot.write_preview", full)
    with pytest.raises(UserError, match=r"is full"):
        run(tmp_path)


def test_too_little_space_is_refused_before_anything_is_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = disk.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(UserError, match=r"are needed"):
        run(tmp_path)
    assert FakeModel.calls == []


def test_stages_can_run_one_after_the_other(tmp_path: Path) -> None:
    generated = run(tmp_path, stages=["generate"])
    assert table(generated)["status"].tolist() == ["unscored"] * 3
    assert (generated.result.run_dir / "cases" / "alpha" / "video.mkv").is_file()
    FakeModel.calls.clear()
    tracked = run(tmp_path, stages=["track"])
    assert [outcome.computed for outcome in tracked.outcomes] == [("track",)] * 3
    scored = run(tmp_path, stages=["score"])
    assert table(scored)["traj_error"].tolist() == [2.0] * 3
    assert FakeModel.calls == []
    timings = pd.read_csv(scored.result.run_dir / "timings.csv")
    spent = {
        name: pytest.approx(timings[name].sum(), abs=1e-3) for name in ("generate_s", "track_s", "score_s")
    }
    assert scored.result.record["stage_seconds"] == spent
    assert scored.result.record["stage_seconds"]["score_s"] > 0


def test_scoring_without_videos_says_what_to_add(tmp_path: Path) -> None:
    report = run(tmp_path, stages=["score"], floor=False)
    assert "add generate to stages" in table(report).loc["alpha", "error"]
    assert report.exit_code == 1


def test_seeds_are_samples(tmp_path: Path) -> None:
    report = run(tmp_path, seeds=[0, 3], limit=1)
    assert list(table(report).index) == ["alpha", "alpha.seed3"]
    assert table(report)["traj_error"].tolist() == [2.0, 5.0]
    assert table(report)["tracker_floor"].tolist() == [0.0, 0.0]


def test_partial_runs_are_marked_and_add_up_to_the_whole(tmp_path: Path) -> None:
    part = run(tmp_path / "a", limit=1)
    assert part.result.record["partial"] is True
    rest = run(tmp_path / "a", samples=["gamma", "beta"])
    assert list(table(rest).index) == ["beta", "gamma"]
    whole = run(tmp_path / "b")
    assert whole.result.record["partial"] is False
    added = run(tmp_path / "a")
    assert added.computed == 0
    ours = (added.result.run_dir / "cases.csv").read_bytes()
    assert ours == (whole.result.run_dir / "cases.csv").read_bytes()


def test_suite_without_ground_truth_has_no_floor(tmp_path: Path) -> None:
    report = run(tmp_path, suite={"name": "fake_suite", "reference": False})
    assert table(report)["tracker_floor"].isna().all()
    assert report.floor is None


def test_folder_in_use_is_refused_if_nobody_waits(tmp_path: Path) -> None:
    run(tmp_path)
    plan = plan_run(config(tmp_path))
    with lock.hold(plan.run_dir), pytest.raises(UserError, match=r"is working in this run"):
        pipeline.run(plan, wait_s=0.0)


def test_what_cases_share_is_prepared_once_for_those_without_a_video(tmp_path: Path) -> None:
    prepared: list[list[str]] = []

    def run_counted(**changes: Any) -> Report:
        plan = plan_run(config(tmp_path, **changes))
        plan.generator.prepare_cases = lambda cases: prepared.append([case.id for case in cases])
        return pipeline.run(plan, command="test")

    run_counted(limit=1)
    assert run_counted(stages=["generate", "track"]).exit_code == 0
    assert prepared == [["alpha"], ["beta", "gamma"]]
    run_counted()  # scores are missing, videos are not
    assert len(prepared) == 2
