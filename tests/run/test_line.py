"""Generation of the next clip runs while the one before is written, tracked and scored: same bytes, nothing lost."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fake_parts import FakeModel, FakeTracker, config
from toraeval.run import costs, pipeline
from toraeval.run.costs import Costs
from toraeval.run.ending import Report
from toraeval.run.plan import plan_run
from toraeval.run.queue import Queue, tasks_of
from toraeval.run.workers import Here, Workers
from toraeval.store.claims import Claims
from toraeval.types import Case, MissingAsset, Tracks, UserError, Video

pytestmark = [pytest.mark.usefixtures("fakes"), pytest.mark.timeout(300)]
LONG_S = 30.0  # nobody waits for so long unless the test fails


class Events:
    """What happened in its order: `make` of a case, then `track` and `tracked`; hooks are called with each of them."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.hooks: dict[str, Callable[[], object]] = {}
        self._changed = threading.Condition()

    def add(self, what: str) -> None:
        with self._changed:
            self.seen.append(what)
            self._changed.notify_all()
        self.hooks.get(what, lambda: None)()

    def wait_for(self, what: str) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: what in self.seen, LONG_S)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """The events of the fake parts."""
    events, generate, track = Events(), FakeModel.generate, FakeTracker.track
    cases: dict[bytes, str] = {}

    def generated(self: FakeModel, case: Case, seed: int) -> Video:
        events.add(f"make {case.id}")
        video = generate(self, case, seed)
        cases[video.frames_TCHW.tobytes()] = case.id
        return video

    def tracked(self: FakeTracker, video: Video, queries_N2: np.ndarray) -> Tracks:
        case = cases[video.frames_TCHW.tobytes()]
        events.add(f"track {case}")
        found = track(self, video, queries_N2)
        events.add(f"tracked {case}")
        return found

    monkeypatch.setattr(FakeModel, "generate", generated)
    monkeypatch.setattr(FakeTracker, "track", tracked)
    return events


def run(results: Path, **changes: Any) -> Report:
    return pipeline.run(
        plan_run(config(results, **{"overlap": 1, "floor": False, **changes})), command="test"
    )


def kept(results: Path) -> dict[str, bytes]:
    """Return what a run leaves that says nothing of seconds."""
    names = ("cases.csv", "skips.csv", "preview.mp4", "score.npz")
    return {str(p.relative_to(results)): p.read_bytes() for p in results.rglob("*") if p.name in names}


def test_the_next_clip_is_begun_before_the_one_before_is_scored(tmp_path: Path, events: Events) -> None:
    events.hooks["track beta"] = lambda: events.wait_for("make gamma")
    report = run(tmp_path / "behind")
    assert report.result.cases["status"].tolist() == ["ok"] * 3
    assert events.seen.index("make gamma") < events.seen.index("tracked beta")
    assert events.seen.index("tracked alpha") < events.seen.index("make beta"), "the first clip is alone"
    use = report.result.record["utilisation"]
    assert use["processes"] == 1
    assert list(use["busy_s"]) == ["generate", "encode", "track", "score"]
    assert min(use["busy_s"][stage] for stage in ("encode", "track")) > 0
    assert all(0 <= share <= 1 for share in use["share"].values())
    events.hooks.clear()
    events.seen.clear()
    run(tmp_path / "one by one", overlap="off")
    assert events.seen.index("tracked beta") < events.seen.index("make gamma")
    assert kept(tmp_path / "behind") == kept(tmp_path / "one by one")


def test_no_more_clips_than_the_depth_are_behind(tmp_path: Path, events: Events) -> None:
    gate = threading.Event()
    events.hooks["track beta"] = lambda: gate.wait(LONG_S)
    plan = plan_run(config(tmp_path, floor=False))
    alpha, beta, gamma = tasks_of(plan, plan.samples, Costs([plan]))
    with Here([plan], depth=1) as engine:
        engine.give(alpha)
        assert [ended.task for ended in engine.ended(None)] == [alpha]
        engine.give(beta)
        assert engine.idle()
        engine.give(gamma)
        assert not engine.idle()
        assert engine.ended(0.0) == []
        gate.set()
        assert [ended.task for _ in range(2) for ended in engine.ended(None)] == [beta, gamma]
        assert engine.idle()


def test_a_failure_behind_is_that_of_its_case(tmp_path: Path, events: Events) -> None:
    def fail() -> None:
        events.wait_for("make gamma")
        raise ValueError("lost the point")

    events.hooks["track beta"] = fail
    report = run(tmp_path)
    rows = report.result.cases.set_index("sample")
    assert rows["status"].to_dict() == {"alpha": "ok", "beta": "failed", "gamma": "ok"}
    assert rows.loc["beta", "error"] == "ValueError: lost the point"
    (folder,) = tmp_path.glob("runs/*/*/*/cases/beta")
    assert "Traceback" in (folder / "traceback.txt").read_text()
    events.hooks.clear()
    FakeModel.calls.clear()
    assert run(tmp_path).exit_code == 0
    assert FakeModel.calls == [], "its clip was kept"


def test_a_stop_keeps_the_clips_that_are_made(tmp_path: Path, events: Events) -> None:
    def stop() -> None:
        events.wait_for("track beta")
        raise KeyboardInterrupt

    before = threading.active_count()
    events.hooks["track beta"] = lambda: events.wait_for("make gamma")
    events.hooks["make gamma"] = stop
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert not list(tmp_path.rglob(".tmp-*"))
    events.hooks.clear()
    FakeModel.calls.clear()
    assert run(tmp_path).exit_code == 0
    assert FakeModel.calls == ["gamma/0"]
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(0.5)
    assert threading.active_count() <= before


def test_missing_weights_end_the_run_after_what_was_made_before(tmp_path: Path) -> None:
    model = {"name": "fake_model", "bad": "beta", "how": "weights"}
    with pytest.raises(MissingAsset, match="weights are missing"):
        run(tmp_path, model=model)
    assert FakeModel.calls == ["alpha/0", "beta/0"]
    assert len(list(tmp_path.glob("runs/*/*/*/cases/alpha/score.json"))) == 1


def test_a_model_that_draws_from_the_global_generators_stays_alone(tmp_path: Path, events: Events) -> None:
    events.hooks.update({f"make {case}": random.random for case in ("alpha", "beta", "gamma")})
    assert run(tmp_path).exit_code == 0
    order = [
        what
        for case in ("alpha", "beta", "gamma")
        for what in (f"make {case}", f"track {case}", f"tracked {case}")
    ]
    assert events.seen == order


@pytest.mark.long
def test_who_was_beside_a_death_is_not_to_blame(tmp_path: Path) -> None:
    model = {"name": "fake_model", "bad": "gamma", "how": "killed", "log": str(tmp_path / "log")}
    plan = plan_run(config(tmp_path, model=model, floor=False))
    tasks = tasks_of(plan, plan.samples, Costs([plan]))
    with Claims() as claims, Workers([plan], 1, depth=1) as engine:
        ended = {task.sample.id: outcome for task, outcome in Queue(tasks, claims).work_off(engine)}
    assert {name: outcome.failed for name, outcome in ended.items()} == {
        "alpha": False,
        "beta": False,
        "gamma": True,
    }
    assert ended["gamma"].error.startswith("the process that worked on it died 2 times")
    begun = Counter(line.split("/")[0] for line in (tmp_path / "log").read_text().splitlines())
    assert begun["gamma"] == 2


def test_auto_is_for_models_on_a_gpu_as_far_as_memory_suffices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_run(config(tmp_path))
    assert costs.overlap([plan], 1) == 0
    on_gpu = replace(plan, config={**plan.config, "model": {"device": "cuda"}})
    monkeypatch.setattr(costs, "free_memory", lambda: 1 << 40)
    assert costs.overlap([on_gpu], 1) == 2
    clip = 8 * 64 * 64 * 3
    monkeypatch.setattr(costs, "free_memory", lambda: costs.COPIES * clip * 3)
    assert [costs.overlap([on_gpu], processes) for processes in (1, 2, 4)] == [2, 1, 0]
    for overlap, depth in ((3, 3), ("off", 0), (False, 0)):
        assert costs.overlap([plan_run(config(tmp_path, overlap=overlap))], 1) == depth
    with pytest.raises(UserError, match=r"overlap=9: allowed are auto, off and 1 to 8"):
        plan_run(config(tmp_path, overlap=9))
