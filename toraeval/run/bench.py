"""The benchmark: every model at every length, planned and checked before the first one runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from toraeval import registry
from toraeval.allowed import check_once
from toraeval.config import source, uninterpolated
from toraeval.config.absent import check_given
from toraeval.config.verbs import CasesConfig
from toraeval.run import pipeline, requirements
from toraeval.run.ending import Progress, Report
from toraeval.run.plan import Plan, plan_run
from toraeval.store import record
from toraeval.store.sealed import Damaged, read_json, require_json, write_json
from toraeval.types import UserError

RECORD = "record.json"
SHARED = tuple(option.name for option in fields(CasesConfig))
"""Options that every model of a bench has in common."""


@dataclass(frozen=True)
class Bench:
    """Plans in the order they run.

    Attributes:
        plans: by size, then by length as asked for; the ground truth before the models that it gives the floor.
        config: resolved options, for the record.
        left_out: a line for each model that its entry keeps from some of the lengths.
    """

    plans: tuple[Plan, ...]
    config: Mapping[str, Any]
    left_out: tuple[str, ...] = ()

    @property
    def samples(self) -> list[str]:
        """Ids of all samples that are asked for."""
        return sorted({sample.id for plan in self.plans for sample in plan.samples})


def plan_bench(config: Mapping[str, Any]) -> Bench:
    """Make and check the plans of every model and length.

    Raises:
        MissingParts: anything that one of the models, the tracker or the metrics need is absent.
        UserError: an unknown model, a wrong option, or a length or size that one of the models cannot make.
    """
    chosen, lengths = chosen_models(config), list(config["frames"])
    check_once("bench: frames", lengths)
    builder = requirements.require(config, [entry.options for entry in chosen])
    shared = {name: config[name] for name in SHARED}
    plans = [
        plan_run({**shared, **size, "model": entry.options, "frames": frames}, builder)
        for size in chosen_sizes(config)
        for frames in lengths
        for entry in chosen
        if entry.runs_at(frames)
    ]
    if not plans:
        raise UserError(
            f"bench: no entry in models is run at frames={lengths}; name a model without frames of its own, "
            "or ask for other lengths"
        )
    missing = {entry.title: [n for n in lengths if not entry.runs_at(n)] for entry in chosen}
    left_out = [
        f"not run: {title} at {', '.join(map(str, without))} frames, as its entry in models asks"
        for title, without in missing.items()
        if without
    ]
    return Bench(tuple(plans), config, tuple(left_out))


def chosen_sizes(config: Mapping[str, Any]) -> list[dict[str, int]]:
    """Return height and width of every size that is asked for.

    Raises:
        UserError: an entry of `sizes` that is not a pair of whole numbers, or is there twice.
    """
    sizes = list(config.get("sizes") or [[config["height"], config["width"]]])
    for size in sizes:
        if not isinstance(size, Sequence) or len(size) != 2 or any(type(side) is not int for side in size):
            raise UserError(
                f"bench: sizes has the entry {size!r}; allowed: [height, width] in pixels, "
                "e.g. 'sizes=[[256,256],[320,576]]'"
            )
    check_once("bench: sizes", [list(size) for size in sizes])
    return [{"height": height, "width": width} for height, width in sizes]


@dataclass(frozen=True)
class BenchModel:
    """One model of a bench.

    Attributes:
        title: name and own options.
        options: all options of the model.
        frames: the lengths it is run at, None for all.
    """

    title: str
    options: dict[str, Any]
    frames: tuple[int, ...] | None

    def runs_at(self, frames: int) -> bool:
        """Return True if the model is run at this length."""
        return self.frames is None or frames in self.frames


def chosen_models(config: Mapping[str, Any]) -> list[BenchModel]:
    """Return every model of a bench, the ground truth first.

    Raises:
        UserError: no model or length, an unknown model, a wrong option, or the same model twice.
    """
    if not config["models"] or not config["frames"]:
        raise UserError(
            "bench: models and frames must name at least one each, e.g. 'models=[tora]' 'frames=[16]'"
        )
    variants = [split_variant(model) for model in config["models"]]
    names = [name for name, _, _ in variants]
    for name, given in config["model_options"].items():
        if not isinstance(given, Mapping):
            raise UserError(
                f"model_options.{name}={given}: options have names of their own, e.g. model_options.tora.steps=20"
            )
    stray = [name for name in config["model_options"] if name not in names]
    if stray:
        raise UserError(registry.unknown("model in model_options", stray[0], dict.fromkeys(names)))
    variants.sort(key=lambda variant: variant[0] != "ground_truth")
    entries: dict[str, BenchModel] = {}
    for name, own, lengths in variants:
        title = " ".join([name, *(f"{key}={value}" for key, value in own.items())])
        check_once("bench: models", [*entries, title])
        options = model_options(name, {**config["model_options"].get(name, {}), **own})
        entries[title] = BenchModel(title, options, lengths)
    return list(entries.values())


def split_variant(model: Any) -> tuple[str, dict[str, Any], tuple[int, ...] | None]:
    """Return name, own options and lengths of an entry of `models`: a name, or a mapping with `name` and options.

    Raises:
        UserError: anything else, or lengths that are not a list of whole numbers.
    """
    if isinstance(model, str):
        return model, {}, None
    if isinstance(model, Mapping) and isinstance(model.get("name"), str):
        lengths = model.get("frames")
        if lengths is not None and (
            not isinstance(lengths, Sequence) or not lengths or any(type(n) is not int for n in lengths)
        ):
            raise UserError(
                f"bench: the entry of {model['name']} has frames={lengths}; allowed: a list of lengths, e.g. [16]"
            )
        check_once(f"bench: frames of {model['name']}", lengths or ())
        own = {key: value for key, value in model.items() if key not in ("name", "frames")}
        return model["name"], own, None if lengths is None else tuple(lengths)
    raise UserError(
        f"bench: models has the entry {model!r}; allowed: a name, or a name with options like "
        "{name: motionctrl, long_video: direct, frames: [64, 128]}"
    )


def model_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's options: what its class and its YAML file say, then what the user gave.

    Raises:
        UserError: unknown model, unknown or missing option, wrong type.
    """
    merged: Any = source.model_options(name)
    allowed = [str(key) for key in merged.keys() if key != "name"]  # noqa: SIM118 - `in` denies missing values
    wrong = [str(key) for key in given if key not in allowed]
    if wrong:
        raise UserError(registry.unknown(f"option of model {name}", wrong[0], allowed))
    for key, value in given.items():
        if value in ("", None):
            check_given(f"model_options.{name}", merged, key, value, of_part=True)
    try:
        literal = {
            key: uninterpolated(value) if isinstance(value, str) else value for key, value in given.items()
        }
        merged = OmegaConf.merge(merged, literal)
    except OmegaConfBaseException as error:
        raise UserError(f"model_options.{name}: {str(error).splitlines()[0]}") from error
    missing = sorted(OmegaConf.missing_keys(merged))
    if missing:
        raise UserError(
            f"model {name} needs {missing[0]}; give it as model_options.{name}.{missing[0]}=VALUE"
        )
    options = OmegaConf.to_container(merged, resolve=True)
    assert isinstance(options, dict)
    return {str(key): value for key, value in options.items()}


def run(bench: Bench, progress: Progress | None = None, command: str | None = None) -> list[Report]:
    """Bring every plan up to date, then write `results/record.json`."""
    start = time.perf_counter()
    reports = pipeline.run_all(bench.plans, progress, command)
    write_record(bench, reports, command, time.perf_counter() - start)
    return reports


def write_record(bench: Bench, reports: list[Report], command: str | None, wall_s: float) -> None:
    """Write what the tables are made from; the run folders hold the details."""
    results = bench.plans[0].options.results
    runs = {
        str(report.result.run_dir.relative_to(results)): {
            "run": report.result.record["run"],
            "counts": report.result.record["counts"],
            "utilisation": report.result.record["utilisation"],
            "fingerprints": report.result.record["fingerprints"],
            "failed": report.result.record["failed"],
        }
        for report in reports
    }
    computed = any(outcome.computed for report in reports for outcome in report.outcomes)
    former = None if computed else read_json(results / RECORD)
    content = {
        "command": command or record.command_line(),
        "config": dict(bench.config),
        **record.environment(wall_s, former),
        "samples": bench.samples,
        "runs": runs,
    }
    write_json(results / RECORD, content)


def recorded(results: Path) -> tuple[list[Path], set[str]]:
    """Return the run folders and samples of the last bench.

    Raises:
        UserError: there was none.
    """
    try:
        content = require_json(results / RECORD)
    except Damaged as error:
        raise UserError(f"{error}; run the bench again, which rewrites it") from error
    if not content or "runs" not in content:
        raise UserError(
            f"{results / RECORD}: no finished bench here; run: "
            + record.command_line(["bench", f"results={results}"])
        )
    return [results / name for name in content["runs"]], set(content["samples"])
