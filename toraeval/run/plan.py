"""From options to a plan: cases, parts, keys and the run folder, all checked before any work starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from toraeval import registry
from toraeval.config import KEEP, STAGES
from toraeval.metrics.shared.base import Metric, adapted
from toraeval.store.keys import canonical, comparability, digest, safe_id, short
from toraeval.store.slot import RunStore, Slot, sample_id
from toraeval.store.tables import MAIN_METRIC
from toraeval.types import Case, UserError

MAX_FRAMES = 1024
MAX_SIDE = 4096
MAX_WORKERS = 64


@dataclass(frozen=True)
class Options:
    """The options of a plan that are no component.

    Attributes:
        seeds: sampling seeds.
        stages: subset of generate, track, score.
        keep: preview, lossless or none.
        workers: processes over cases.
        fail_fast: stop at the first failure.
        floor: measure the tracker on the ground truth too.
        results: folder of everything that is written.
    """

    seeds: tuple[int, ...] = (0,)
    stages: tuple[str, ...] = STAGES
    keep: str = "preview"
    workers: int = 1
    fail_fast: bool = False
    floor: bool = True
    results: Path = Path("results")

    def __post_init__(self) -> None:
        seeds = self.seeds
        if not seeds or any(not isinstance(s, int) or s < 0 for s in seeds) or len(set(seeds)) < len(seeds):
            raise UserError(
                f"seeds={list(seeds)}: allowed are different whole numbers >= 0, e.g. 'seeds=[0,1]'"
            )
        wrong = [stage for stage in self.stages if stage not in STAGES]
        if wrong or not self.stages:
            raise UserError(
                registry.unknown("stage", wrong[0], STAGES) if wrong else "stages=[]: name at least one stage"
            )
        if self.keep not in KEEP:
            raise UserError(registry.unknown("value of keep", str(self.keep), KEEP))
        if not 1 <= self.workers <= MAX_WORKERS:
            raise UserError(f"workers={self.workers}: allowed are 1 to {MAX_WORKERS}")


@dataclass(frozen=True)
class Plan:
    """Everything a run needs.

    Attributes:
        model: name in tables and folders.
        suite: suite with version, e.g. `shapes-v1`.
        cases: what is asked for, each with its place in the suite.
        suite_size: number of cases the whole suite has.
        frames, height, width: what is asked of the generator; 0 where every case has its own.
        generator, tracker: the parts.
        metrics: name -> part.
        suite_fingerprint: of the suite.
        options: everything else.
        config: resolved options, for the record.
        rebuild: `module:function` and its argument that make this plan again in a worker process.
        notes: what was assumed about the input, one line each; printed before the table and kept in the record.
    """

    model: str
    suite: str
    cases: tuple[tuple[int, Case], ...]
    suite_size: int
    frames: int
    height: int
    width: int
    generator: Any
    tracker: Any
    metrics: Mapping[str, Metric]
    suite_fingerprint: Mapping[str, Any]
    options: Options
    config: Mapping[str, Any] = field(default_factory=dict)
    rebuild: tuple[str, Mapping[str, Any]] = ("", {})
    notes: tuple[str, ...] = ()

    @cached_property
    def fingerprints(self) -> dict[str, Any]:
        """Fingerprint of every part."""
        return {
            "suite": dict(self.suite_fingerprint),
            "generator": dict(self.generator.fingerprint()),
            "tracker": dict(self.tracker.fingerprint()),
            "metrics": {name: dict(metric.fingerprint()) for name, metric in self.metrics.items()},
        }

    @cached_property
    def fingerprint(self) -> str:
        """What two rows must share to be compared."""
        prints = self.fingerprints
        metrics = prints["metrics"]
        main = MAIN_METRIC if MAIN_METRIC in metrics else next(iter(metrics), None)
        return comparability(
            prints["suite"], metrics.get(main), prints["tracker"], self.frames, self.height, self.width
        )

    @cached_property
    def run_dir(self) -> Path:
        prints = self.fingerprints
        key = digest(
            prints["suite"],
            self.model,
            prints["generator"],
            prints["tracker"],
            self.frames,
            self.height,
            self.width,
        )
        length = f"{self.frames}f-{self.width}x{self.height}-" if self.frames else ""
        # labels and suites are anybody's words: as folder names they must not lead out of the results
        return (
            self.options.results / "runs" / safe_id(self.suite) / safe_id(self.model) / (length + short(key))
        )

    @cached_property
    def store(self) -> RunStore:
        return RunStore(self.run_dir)

    @cached_property
    def ready_generator(self) -> Any:
        """The generator with its weights loaded; asked for only when something has to be generated."""
        if hasattr(self.generator, "prepare"):
            self.generator.prepare()
        return self.generator

    @property
    def samples(self) -> list[tuple[int, Case, int]]:
        """Every (place in the suite, case, seed) that is asked for."""
        return [(order, case, seed) for order, case in self.cases for seed in self.options.seeds]

    def slot(self, case: Case, seed: int) -> Slot:
        return self.store.slot(case.id, seed)

    def facts(
        self, order: int, case: Case, seed: int, info: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what identifies a sample in every table; `info` is the video's."""
        info = info or {}
        scored = info.get("frames")
        return {
            "order": order,
            "sample": sample_id(case.id, seed),
            "case": case.id,
            "seed": seed,
            "model": self.model,
            "suite": self.suite,
            "frames": case.frames,
            "height": case.height,
            "width": case.width,
            "fps": float(case.fps),
            "tracker": self.tracker.name,
            "frames_generated": info.get("generated", scored),
            "frames_scored": scored,
            "length_mode": info.get("length_mode"),
            "reading": info.get("reading") or None,
            "video_sha256": info.get("sha256"),
            "fingerprint": self.fingerprint,
            **{f"tag_{name}": value for name, value in case.tags.items()},
        }


def path_notes(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return what the readers of these cases' paths assumed, each sentence once with the cases it holds for."""
    holds: dict[str, list[str]] = {}
    for case in cases:
        for note in case.trajectories.notes:
            holds.setdefault(note, []).append(case.id)
    return tuple(
        f"paths of {ids[0] if len(ids) == 1 else f'{len(ids)} cases ({ids[0]}, ...)'}: {note}"
        for note, ids in holds.items()
    )


def build_metrics(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Metric]:
    """Return the metrics of a config; one whose class does not inherit from `Metric` gets its defaults here."""
    return {name: adapted(registry.build("metric", options)) for name, options in configs.items()}


def check_request(frames: int, height: int, width: int) -> None:
    """Refuse lengths and sizes that no suite can have.

    Raises:
        UserError: frames outside 2..1024 or a side outside 16..4096.
    """
    if not 2 <= frames <= MAX_FRAMES:
        raise UserError(f"frames={frames}: allowed are 2 to {MAX_FRAMES}, e.g. frames=16")
    for name, side in (("height", height), ("width", width)):
        if not 16 <= side <= MAX_SIDE:
            raise UserError(f"{name}={side}: allowed are 16 to {MAX_SIDE} pixels, e.g. {name}=512")


def choose(
    cases: Sequence[Case], samples: list[str] | None, limit: int | None
) -> tuple[tuple[int, Case], ...]:
    """Return the asked-for cases with their places in the suite.

    Raises:
        UserError: an unknown id, or nothing left.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit={limit}: allowed are whole numbers >= 1")
    numbered = list(enumerate(cases))
    if samples is not None:
        known = [case.id for case in cases]
        for sample in samples:
            if sample not in known:
                raise UserError(registry.unknown("case", sample, known))
        numbered = [(i, case) for i, case in numbered if case.id in samples]
    numbered = numbered[:limit]
    if not numbered:
        raise UserError("no case left to run; see samples= and limit=, and: python -m toraeval list suites")
    return tuple(numbered)


def options_of(config: Mapping[str, Any]) -> Options:
    """Return the checked options of a resolved config."""
    return Options(
        seeds=tuple(config.get("seeds", (0,))),
        stages=tuple(config["stages"]),
        keep=config["keep"],
        workers=config["workers"],
        fail_fast=config["fail_fast"],
        floor=config.get("floor", False),
        results=Path(config["results"]),
    )


def plan_run(config: Mapping[str, Any]) -> Plan:
    """Make the plan of `run` from its resolved config (plain dicts and lists).

    Raises:
        UserError: any option that cannot work, before anything is generated.
    """
    options = options_of(config)
    frames, height, width = config["frames"], config["height"], config["width"]
    check_request(frames, height, width)
    generator = registry.build("model", config["model"])
    if hasattr(generator, "check"):
        generator.check(frames, height, width)
    every, suite_fingerprint = _suite(canonical(config["suite"]), frames, height, width)
    _check_ids(every)
    cases = choose(every, config.get("samples"), config.get("limit"))
    return Plan(
        model=getattr(generator, "label", None) or generator.name,
        suite=cases[0][1].suite,
        cases=cases,
        suite_size=len(every),
        frames=frames,
        height=height,
        width=width,
        generator=generator,
        tracker=registry.build("tracker", config["tracker"]),
        metrics=build_metrics(config["metrics"]),
        suite_fingerprint=suite_fingerprint,
        options=options,
        config=config,
        rebuild=("toraeval.run.plan:plan_run", config),
        notes=(*getattr(generator, "notes", ()), *path_notes([case for _, case in cases])),
    )


def _check_ids(cases: Sequence[Case]) -> None:
    """Refuse case ids that are no folder names: a sample's files lie in a folder of that name.

    Raises:
        UserError: an id with other characters than letters, digits, `.`, `_` and `-`, or one that is there twice.
    """
    seen: set[str] = set()
    for case in cases:
        if case.id != safe_id(case.id) or case.id.lower() in seen:
            raise UserError(
                f"suite {case.suite}: case id {case.id!r}; allowed: up to 80 letters, digits, '.', '_' and '-', "
                "each once (upper and lower case count as equal)"
            )
        seen.add(case.id.lower())


@lru_cache(maxsize=8)
def _suite(config: str, frames: int, height: int, width: int) -> tuple[tuple[Case, ...], dict[str, Any]]:
    """Return cases and fingerprint of a suite; a bench asks for the same ones again for every model."""
    suite = registry.build("suite", json.loads(config))
    return tuple(suite.cases(frames, height, width)), suite.fingerprint()


def plan_floor(plan: Plan) -> Plan | None:
    """Return the plan that measures the plan's tracker on the ground truth of its cases.

    None when it is switched off, when nothing is scored, when a case has no ground truth, or when the plan
    is the ground truth itself.
    """
    wanted = plan.options.floor and "score" in plan.options.stages and MAIN_METRIC in plan.metrics
    if not wanted or plan.model == "ground_truth" or any(case.reference is None for _, case in plan.cases):
        return None
    config = {
        **plan.config,
        "model": {"name": "ground_truth"},
        "seeds": [0],
        "stages": list(STAGES),
        "fail_fast": False,
    }
    return plan_run(config)
