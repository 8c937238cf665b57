"""The paper's ablations at the embedded size: train every variant on an equal budget, generate, score, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from toraeval.config.verbs import AblationsConfig
from toraeval.report import ablations as report
from toraeval.report.collect import ReportedRun, grouped
from toraeval.report.tables import table
from toraeval.run import pipeline
from toraeval.run.bench import SHARED, model_options
from toraeval.run.pipeline import Progress, Report
from toraeval.run.plan import plan_run
from toraeval.stats import bootstrap_mean, case_means, paired_difference
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.training.recipes.ablations import BACKBONE, DEFAULT, GROUPS, Trained, check, train_all, variants
from toraeval.types import UserError

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
    say(f"training {options.steps} steps for each variant in {options.folder}/ablations")
    reports, entries = [], {}
    for trained in train_all(options):
        say(f"{trained.variant.name}: {trained.weights}, {trained.card['training_seconds'] / 60:.1f} minutes")
        done = pipeline.run(plan_run(variant_run(config, options, trained)), progress, command)
        reports.append(done)
        entries[trained.variant.name] = (done, trained)
    rows = pd.DataFrame(rows_of(entries))
    remarks = remarks_of(options, entries[BACKBONE.name][1], entries[DEFAULT.name][1], reports[0])
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
    runs = 1 + len(variants())
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


def rows_of(entries: Mapping[str, tuple[Report, Trained]]) -> list[dict[str, Any]]:
    """Return one row per group and variant, the shared default once in each group; last the backbone."""
    scored = {name: _entry(done) for name, (done, _) in entries.items()}
    baseline = scored[DEFAULT.name].by_case(MAIN_METRIC)
    rows = []
    groups = {**GROUPS, "reference": {"no paths (common start)": BACKBONE}}
    for group, members in groups.items():
        for label, variant in members.items():
            done, trained = entries[variant.name]
            values = scored[variant.name].by_case(MAIN_METRIC)
            interval, compared = bootstrap_mean(values), paired_difference(values, baseline)
            difference = compared.difference
            summary = table(grouped([done.result])[0]).iloc[0]
            default = variant is DEFAULT
            rows.append({
                "ablation": group,
                "variant": f"{label} (default)" if default else label,
                "traj_error": interval.mean,
                "traj_error_low": interval.low,
                "traj_error_high": interval.high,
                "difference": None if default else difference.mean,
                "difference_low": None if default else difference.low,
                "difference_high": None if default else difference.high,
                "detectable": None if default else compared.sensitivity.detectable,
                "cases_needed": None if default else compared.sensitivity.cases_needed,
                "cases": len(case_means(values)),
                "parameters": trained.card["parameters"],
                "motion_parameters": trained.card["motion_parameters"],
                "loss": trained.card["last_loss"],
                "steps": trained.card["steps"],
                "clips": trained.card["clips_seen"],
                "minutes": trained.card["training_seconds"] / 60,
                **{name: summary[name] for name in
                   ("ratio_to_static", "failures", "tracker", "suite", "frames", "weights", "run")},
            })  # fmt: skip
    return rows


def _entry(done: Report) -> ReportedRun:
    (group,) = grouped([done.result])
    (entry,) = group.entries
    return entry


def remarks_of(options: AblationsConfig, backbone: Trained, default: Trained, done: Report) -> list[str]:
    """Return what a reader must know of budget, start and test cases."""
    card = default.card
    return [
        f"Every variant: {options.steps} steps, {card['clips_seen']:,} clips seen of {options.clips:,} distinct ones "
        f"(17 frames, 512x512), {options.workers} processes of one thread; {card['training_seconds'] / 60:.1f} minutes "
        "for the default.",
        "All start from one backbone that follows no path: the shipped Tora nano without trajectory extractor and "
        f"fusers, trained on for {backbone.card['steps']} steps without paths. Extractor and fusers start from "
        "scratch; all weights are trained.",
        "The shipped weights were once trained with the default design. What of that is left in the common "
        "start may favour the default; the paper's own start never saw a path.",
        f"Scored on {len(done.result.cases)} cases of {done.result.suite} ({done.result.frames} frames, tracker "
        f"{done.result.tracker}), one seed of training: differences within the intervals say nothing.",
    ]
