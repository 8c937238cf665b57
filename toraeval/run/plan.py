"""From options to a plan: cases, parts, keys and the run folder, all checked before any work starts."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from toraeval.config.verbs import STAGES
from toraeval.metrics.shared.base import Metric
from toraeval.models.shared.base import Generator
from toraeval.run.parts import Builder
from toraeval.run.request import (
    RunOptions,
    Sample,
    check_ids,
    check_request,
    choose,
    options_of,
    path_notes,
)
from toraeval.store.keys import canonical, digest, safe_id, short
from toraeval.store.main_metric import main_of
from toraeval.store.slot import RunStore, Slot
from toraeval.suites.shared.base import Suite
from toraeval.trackers.shared.base import Tracker
from toraeval.types import Case, counted

FLOOR = "ground_truth"
"""The model that shows the tracker's own error."""


@dataclass(frozen=True)
class Plan:
    """Everything a run needs.

    Attributes:
        planner: `module:function` that makes this plan of its config, also in a worker process.
        config: resolved options.
        options: those that are not parts, checked.
        cases: what is asked for, each with its place in the suite; at least one.
        suite_size: number of cases the whole suite has.
        suite_fingerprint: of the suite.
        generator, tracker: the parts.
        metrics: name -> part.
        notes: what was assumed about the input, one line each; printed before the table and kept in the record.
        frames, height, width: what is requested from the generator; 0 where every case has its own.
    """

    planner: str
    config: Mapping[str, Any]
    options: RunOptions
    cases: tuple[tuple[int, Case], ...]
    suite_size: int
    suite_fingerprint: Mapping[str, Any]
    generator: Generator
    tracker: Tracker
    metrics: Mapping[str, Metric]
    notes: tuple[str, ...]
    frames: int = 0
    height: int = 0
    width: int = 0

    @property
    def suite(self) -> str:
        """Suite with version, e.g. `shapes-v2`."""
        return self.cases[0][1].suite

    @property
    def model(self) -> str:
        """Name in tables and folders."""
        return self.generator.label or self.generator.name

    @cached_property
    def main(self) -> tuple[str, str]:
        """The metric that tables show first, and its value."""
        name = main_of(self.metrics)
        return name, self.metrics[name].main_columns[0] if name in self.metrics else name

    @cached_property
    def fingerprints(self) -> dict[str, Any]:
        """Fingerprint of every part."""
        return {
            "suite": dict(self.suite_fingerprint),
            "generator": dict(self.generator.fingerprint()),
            "tracker": dict(self.tracker.fingerprint()),
            "metrics": {name: metric.fingerprint() for name, metric in self.metrics.items()},
        }

    @cached_property
    def fingerprint(self) -> str:
        """What two rows must share to be compared; the model is not part of it."""
        prints = self.fingerprints
        metrics = prints["metrics"]
        return short(
            digest(
                "comparable",
                prints["suite"],
                metrics.get(self.main[0]),
                prints["tracker"],
                self.frames,
                self.height,
                self.width,
            )
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
    def ready_generator(self) -> Generator:
        """The generator with its weights loaded; asked for only when something has to be generated."""
        self.generator.prepare()
        return self.generator

    @cached_property
    def floor(self) -> Plan | None:
        """The plan that measures the same tracker on the ground truth of the same cases.

        None when it is switched off, when nothing is scored, when the main metric has no value for a single case, when
        a case has no ground truth, or when this plan is the ground truth itself.
        """
        main = self.metrics.get(self.main[0])
        wanted = (
            self.options.floor and "score" in self.options.stages and main is not None and not main.of_set
        )
        if not wanted or self.model == FLOOR or any(case.reference is None for _, case in self.cases):
            return None
        own: dict[str, Any] = {
            "model": {"name": FLOOR},
            "seeds": [0],
            "stages": list(STAGES),
            "fail_fast": False,
        }
        config = {**self.config, **own}
        return replace(
            self,
            generator=Builder().take("model", own["model"]),
            options=options_of(config),
            config=config,
            notes=path_notes([case for _, case in self.cases]),
        )

    @property
    def samples(self) -> list[Sample]:
        """Everything that is asked for."""
        return [Sample(order, case, seed) for order, case in self.cases for seed in self.options.seeds]

    def slot(self, sample: Sample) -> Slot:
        return self.store.slot(sample.id)

    def video_key(self, sample: Sample) -> str:
        """Return the key of a sample's clip: what makes it, the case, and the seed."""
        case = sample.case
        generator, of_case = self.fingerprints["generator"], self.generator.case_fingerprint(case)
        if of_case is not None:
            generator = {**generator, "case": of_case}
        asked = (case.content_hash, case.frames, case.height, case.width, sample.seed)
        return digest("video", generator, *asked)

    def facts(self, sample: Sample, info: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what identifies a sample in every table; `info` is the video's."""
        info, case = info or {}, sample.case
        scored = info.get("frames")
        return {
            "order": sample.order,
            "sample": sample.id,
            "case": case.id,
            "seed": sample.seed,
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


def plan_run(config: Mapping[str, Any], builder: Builder | None = None) -> Plan:
    """Make the plan of `run` from its resolved config (plain dicts and lists).

    Args:
        config: resolved.
        builder: those that are built already.

    Raises:
        UserError: any option that cannot work, before anything is generated.
    """
    builder = builder or Builder()
    options = options_of(config)
    frames, height, width = config["frames"], config["height"], config["width"]
    check_request(frames, height, width)
    generator: Generator = builder.take("model", config["model"])
    generator.check(frames, height, width)
    samples, limit = config.get("samples"), config.get("limit")
    # what is drawn is drawn as far as it is asked for; elsewhere, and to find names, the whole suite is needed
    most = limit if samples is None and type(limit) is int and limit > 0 else None
    size = (frames, height, width)
    every, count, suite_fingerprint, suite_notes = _suite(builder, config["suite"], size, most)
    check_ids(every)
    cases = choose(every, samples, limit)
    if samples is None and limit and limit > count:
        suite_notes = (
            *suite_notes,
            f"limit={limit}: the suite has {counted(count, 'case')}, all of which are taken",
        )
    return Plan(
        planner="toraeval.run.plan:plan_run",
        config=config,
        options=options,
        cases=cases,
        suite_size=count,
        suite_fingerprint=suite_fingerprint,
        generator=generator,
        tracker=builder.build("tracker", config["tracker"]),
        metrics=builder.metrics(config),
        notes=(*generator.notes, *suite_notes, *path_notes([case for _, case in cases])),
        frames=frames,
        height=height,
        width=width,
    )


def plan_by(planner: str, config: Mapping[str, Any], builder: Builder | None = None) -> Plan:
    """Return the plan that a `planner`, see `Plan`, makes of a config."""
    module, _, function = planner.partition(":")
    plan: Plan = getattr(importlib.import_module(module), function)(config, builder)
    return plan


def _suite(
    builder: Builder, options: Mapping[str, Any], size: tuple[int, int, int], most: int | None
) -> tuple[tuple[Case, ...], int, dict[str, Any], tuple[str, ...]]:
    """Return cases, their number in the whole suite, fingerprint and notes of a suite.

    A bench asks for the same ones again for every model. `most` is how many of the cases will do, None for all.
    """
    key = (canonical(options), *size, most)
    if key not in builder.cases:
        suite: Suite = Builder().take("suite", options)
        known = suite.count_cases()
        cases = tuple(suite.cases(*size, None if known is None else most))
        count = len(cases) if known is None else known
        builder.cases[key] = (cases, count, suite.fingerprint(), tuple(suite.notes))
    found: tuple[tuple[Case, ...], int, dict[str, Any], tuple[str, ...]] = builder.cases[key]
    return found
