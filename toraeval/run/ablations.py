"""The paper's ablations at the embedded size: train every variant on an equal budget, generate, score, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from toraeval.config.verbs import AblationsConfig
from toraeval.report import ablations as report
from toraeval.report.collect import ReportedRun, grouped
from toraeval.report.tables import table
from toraeval.run import pipeline
from toraeval.run.bench import SHARED, model_options
from toraeval.run.ending import Progress, Report
from toraeval.run.plan import plan_run
from toraeval.stats import Sensitivity, bootstrap_mean, case_means, paired_difference
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.training.recipes.ablations import BACKBONE, DEFAULT, GROUPS, Trained, check, train_all, variants
from toraeval.types import UserError, counted

ByCase = dict[str, list[float]]
Entries = dict[str, list[tuple[Report, Trained]]]
"""Variant -> what was scored and trained, one per seed."""

STEPS = 2  # of the sampler, for every variant; model_options.tora.steps changes it


def run(
    config: Mapping[str, Any], progress: Progress, command: str, say: Callable[[str], None]
) -> tuple[list[Report], list[Path]]:
    """Train what is not trained, run what is not run, and write `ablations.csv`, `.md` and `.png`.

    Args:
        config: resolved options of `bench`; `ablations` and the shared ones are used.
        progress: receives run events.
        command: for the records.
        say: called for every stage.

    Returns:
        (reports of the runs, written files).

    Raises:
        UserError: an option out of range, several lengths, or results that cannot be compared.
    """
    options = options_of(config)
    say(f"training {options.steps} steps for each variant and seed in {options.folder}/ablations")
    reports: list[Report] = []
    entries: Entries = {}
    for trained in train_all(options):
        minutes = trained.card["training_seconds"] / 60
        say(f"{trained.variant.name}, seed {trained.seed}: {trained.weights}, {minutes:.1f} minutes")
        done = pipeline.run(plan_run(variant_run(config, options, trained)), progress, command)
        reports.append(done)
        entries.setdefault(trained.variant.name, []).append((done, trained))
    rows = pd.DataFrame(rows_of(entries))
    remarks = remarks_of(options, entries[BACKBONE.name][0][1], entries[DEFAULT.name][0][1], reports[0])
    return reports, report.write(rows, remarks, Path(config["results"]))


def options_of(config: Mapping[str, Any]) -> AblationsConfig:
    """Return the checked options.

    Raises:
        UserError: an option out of range, several lengths, another suite, or other models.
    """
    options = AblationsConfig(**config["ablations"])
    check(options)
    for name, value, allowed in (
        ("frames", list(config["frames"]), "one length"),
        ("models", list(config["models"]), "[tora]"),
        (
            "suite",
            config["suite"]["name"],
            "shapes; its split and size are ablations.split and ablations.cases",
        ),
    ):
        wrong = len(value) != 1 if name == "frames" else value not in (["tora"], "shapes")
        if wrong:
            raise UserError(f"bench preset=ablations: {name}={value}; allowed: {allowed}")
    return options


def describe(config: Mapping[str, Any]) -> str:
    """Return what a run would train and score, for `dry_run`."""
    options = options_of(config)
    runs = 1 + len(variants()) * len(options.seeds)
    return (
        f"{runs} training runs of {options.backbone_steps} (backbone) and {options.steps} steps (variants) in "
        f"{options.folder}/ablations, {options.clips} clips to render; then {runs} x {options.cases} clips of "
        f"{config['frames'][0]} frames to generate, track and score"
    )


def variant_run(config: Mapping[str, Any], options: AblationsConfig, trained: Trained) -> dict[str, Any]:
    """Return the options of the run of one variant: Tora with the weights of the variant."""
    shared = {name: config[name] for name in SHARED}
    shared["suite"] = {"name": "shapes", "split": options.split, "count": options.cases}
    given = {"steps": STEPS, **config["model_options"].get("tora", {}), "weights": str(trained.weights)}
    return {**shared, "model": model_options("tora", given), "frames": config["frames"][0]}


def rows_of(entries: Entries) -> list[dict[str, Any]]:
    """Return one row per group and variant, the shared default once in each group; last the backbone.

    The seeds of a case are averaged before anything else; how far they lie apart stands beside the mean.
    """
    baseline = [_entry(done).by_case(MAIN_METRIC) for done, _ in entries[DEFAULT.name]]
    rows = []
    groups = {**GROUPS, "reference": {"no paths (common start)": BACKBONE}}
    for group, members in groups.items():
        for label, variant in members.items():
            default = variant is DEFAULT
            rows.append({
                "ablation": group,
                "variant": f"{label} (default)" if default else label,
                **_row(entries[variant.name], baseline, default),
            })  # fmt: skip
    return rows


def _row(trained: Sequence[tuple[Report, Trained]], baseline: list[ByCase], default: bool) -> dict[str, Any]:
    per_seed = [_entry(done).by_case(MAIN_METRIC) for done, _ in trained]
    values = _joined(per_seed)
    interval = bootstrap_mean(values)
    means = [bootstrap_mean(found).mean for found in per_seed]
    against = _joined(baseline[: len(per_seed)])
    compared = paired_difference(values, against)
    difference = compared.difference
    reference = [bootstrap_mean(found).mean for found in baseline]
    worse = sum(mean > other for mean, other in zip(means, reference, strict=False))
    tables = [table(grouped([done.result])[0]).iloc[0] for done, _ in trained]
    cards = [item.card for _, item in trained]
    return {
        "traj_error": interval.mean,
        "traj_error_low": interval.low,
        "traj_error_high": interval.high,
        "difference": None if default else difference.mean,
        "difference_low": None if default else difference.low,
        "difference_high": None if default else difference.high,
        **dict.fromkeys(Sensitivity._fields) | ({} if default else compared.sensitivity._asdict()),
        "seeds": len(trained),
        "best_seed": min(means),
        "worst_seed": max(means),
        "seeds_worse": None if default else worse,
        "cases": len(case_means(values)),
        "failures": sum(int(row["failures"]) for row in tables),
        "loss": sum(card["last_loss"] for card in cards) / len(cards),
        "minutes": sum(card["training_seconds"] for card in cards) / 60,
        "clips": cards[0]["clips_seen"],
        **{name: cards[0][name] for name in ("parameters", "motion_parameters", "steps")},
        "ratio_to_static": sum(row["ratio_to_static"] for row in tables) / len(tables),
        **{name: tables[0][name] for name in ("tracker", "suite", "frames")},
        **{name: " ".join(str(row[name]) for row in tables) for name in ("weights", "run")},
    }


def _joined(per_seed: Sequence[ByCase]) -> ByCase:
    """Return the values of every case with all seeds."""
    found: ByCase = {}
    for values in per_seed:
        for case, numbers in values.items():
            found.setdefault(case, []).extend(numbers)
    return found


def _entry(done: Report) -> ReportedRun:
    (group,) = grouped([done.result])
    (entry,) = group.entries
    return entry


def remarks_of(options: AblationsConfig, backbone: Trained, default: Trained, done: Report) -> list[str]:
    """Return what a reader must know of budget, start and test cases."""
    card, seeds = default.card, ", ".join(map(str, options.seeds))
    return [
        f"Every variant, with each of the seeds {seeds}: {options.steps} steps, {card['clips_seen']:,} clips seen of "
        f"{options.clips:,} distinct ones (17 frames, 512x512), {options.workers} processes of one thread "
        f"({options.device}); {card['training_seconds'] / 60:.1f} minutes for the default with one seed.",
        "All start from one backbone that follows no path: the shipped Tora nano without trajectory extractor and "
        f"fusers, trained on for {backbone.card['steps']} steps without paths. Extractor and fusers start from "
        "scratch; all weights are trained.",
        "The default is the paper's design, so it binds no entities; what the shipped weights do is in their card.",
        "The shipped weights were trained with the default fusers, place, compression and stages, and with entity "
        "binding. What of that is left in the common start may favour the default; the paper's own start never saw a "
        "path.",
        f"Scored on {counted(len(done.result.cases), 'case')} of {done.result.suite} ({done.result.frames} frames, "
        "tracker "
        f"{done.result.tracker}). An order is worth something where a variant is worse (or better) than the default "
        "with every seed and the interval of the difference leaves out 0; other differences say nothing.",
    ]
