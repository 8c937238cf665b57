"""A whole run over a wrapper: what goes wrong in the child is a failure row, and nothing outlives the run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baselines.motionctrl.generator import MotionCtrlOptions
from baselines.motionctrl.upstream import UpstreamMotionCtrl
from baselines.process.runner import Runner
from tests.fake_parts import config
from toraeval.run import pipeline
from toraeval.run.plan import plan_run
from toraeval.types import MissingAsset

FAKE = Path(__file__).with_name("fake_upstream.py")


class FakeUpstream(UpstreamMotionCtrl):
    """The MotionCtrl wrapper over the fake driver; `bad` says what happens to which case."""

    def __init__(self, checkout: str, bad: dict[str, str] | None = None, start: str = "") -> None:
        options = MotionCtrlOptions(checkout, sys.executable, str(FAKE), any_revision=True)
        super().__init__(options)
        settings = {"bad": bad or {}, "start": start, "suffix": ", best quality"}
        self.runner = Runner("motionctrl", options, FAKE, settings)


pytestmark = pytest.mark.usefixtures("fakes")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("main/evaluation/motionctrl_inference.py", "configs/inference/config_both.yaml"):
        (tmp_path / "checkout" / name).parent.mkdir(parents=True)
        (tmp_path / "checkout" / name).touch()
    return tmp_path / "checkout"


def run(checkout: Path, **options: Any) -> tuple[Any, pipeline.Report, Any]:
    """Run the three fake cases; returns rows by case, the report, and the generator."""
    values = config(checkout.parent / "results", model={"name": "static"}, frames=16, floor=False)
    plan = plan_run({**values, "model": {"name": "static"}})
    plan = replace(plan, generator=FakeUpstream(str(checkout), **options))
    report = pipeline.run(plan, command="test")
    plan.generator.runner.session.close()
    return report.result.cases.set_index("case"), report, plan.generator


def test_clips_follow_the_paths_and_say_how_they_were_made(checkout: Path) -> None:
    rows, report, _ = run(checkout)
    assert rows["status"].tolist() == ["ok"] * 3
    assert (
        rows["traj_error"] < 1.5
    ).all()  # of 64 pixels; the last place is not in the flow, and 256 becomes 64
    assert rows["length_mode"].tolist() == ["exact"] * 3
    meta = (report.result.run_dir / "cases" / "alpha" / "video.json").read_text()
    for said in (
        '"prompt_sent": "a square, alpha, best quality"',
        '"checkpoint_sha256"',
        '"sampler_seed"',
        '"resize"',
    ):
        assert said in meta
    again = run(checkout)[1]
    assert (again.cached, again.computed) == (3, 0)


def test_failures_are_rows_and_the_other_cases_complete(checkout: Path) -> None:
    rows, report, _ = run(checkout, bad={"alpha": "short", "beta": "crash"})
    assert rows["status"].tolist() == ["failed", "failed", "ok"]
    short = "case alpha: wrote an array (15, 256, 256, 3); expected (16, 256, 256, 3)"
    assert rows.loc["alpha", "error"] == f"model motionctrl size=upstream, {short}"
    assert (
        "ended with exit code 9 while making case beta; its last lines: Traceback line 10"
        in rows.loc["beta", "error"]
    )
    assert report.exit_code == 1


def test_a_child_that_never_starts_fails_every_case_with_its_reason(checkout: Path) -> None:
    rows, report, _ = run(checkout, start="crash")
    assert rows["status"].tolist() == ["failed"] * 3
    assert "no kernel image" in rows.loc["gamma", "error"]
    assert report.exit_code == 1


def test_a_package_that_is_missing_ends_the_run_at_once(checkout: Path) -> None:
    with pytest.raises(
        MissingAsset, match=r"a_package_that_nobody_has.*fetch model=motionctrl size=upstream"
    ):
        run(checkout, start="missing")
