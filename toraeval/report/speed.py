"""Variants of one model that are meant to be faster: how much they are, and what that does to every metric."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.report.collect import Group, ReportedRun
from toraeval.report.compare import Pair, compare
from toraeval.report.texts import markdown_text
from toraeval.stats import bootstrap_ratio
from toraeval.store.sealed import write_text

OPTIONS = ("cache", "cache_threshold", "compile", "precision", "steps", "guidance", "tiling")
"""Options of models that trade time for pixels."""

SPEED: dict[str, str] = {
    "model": "registry name",
    "frames": "length",
    "variant": "options in which it differs from the baseline",
    "baseline": "the same options of the baseline: the first variant named without a cache and without compilation",
    "speed_up": "seconds per clip of the baseline / seconds per clip of the variant, over the cases that both have",
    "speed_up_low": "lower bound of its 95 % bootstrap interval over cases",
    "speed_up_high": "upper bound of it",
    "metric": "registry name",
    "column": "its value",
    "direction": "which is better",
    "before": "mean of the baseline, or its value of the whole set",
    "after": "the same of the variant",
    "change": "after - before",
    "low": "lower bound of the 95 % interval of the mean change over cases",
    "high": "upper bound of it",
    "p_holm": "paired sign-flip test, Holm's correction over the metrics of one variant",
    "verdict": "in words",
}
"""Columns of `speed.csv` and what each means."""


def options_of(entry: ReportedRun) -> dict[str, Any]:
    """Return those of a run's model options that trade time for pixels."""
    given: Mapping[str, Any] = entry.run.record.get("config", {}).get("model", {})
    unused = {"cache_threshold"} if given.get("cache") != "teacache" else set()
    return {name: given[name] for name in OPTIONS if name in given and name not in unused}


def speed(group: Group) -> pd.DataFrame:
    """Return one row per variant and metric, with the columns of `SPEED`; none where no model has variants."""
    rows: list[dict[str, Any]] = []
    for frames in group.lengths:
        here = [entry for entry in group.at(frames) if not entry.is_reference]
        for model in dict.fromkeys(entry.run.model for entry in here):
            variants = [entry for entry in here if entry.run.model == model]
            plain = [entry for entry in variants if _is_plain(options_of(entry))]
            if len(variants) > 1 and plain:
                baseline = plain[0]
                for variant in variants:
                    if variant is not baseline and options_of(variant) != options_of(baseline):
                        rows += _rows(variant, baseline)
    return pd.DataFrame(rows, columns=list(SPEED))


def _is_plain(options: Mapping[str, Any]) -> bool:
    return options.get("cache", "none") == "none" and not options.get("compile", False)


def _rows(variant: ReportedRun, baseline: ReportedRun) -> list[dict[str, Any]]:
    mine, theirs = options_of(variant), options_of(baseline)
    differing = [name for name in mine if mine[name] != theirs.get(name)]
    faster = bootstrap_ratio(baseline.by_case("seconds"), variant.by_case("seconds"))
    shared = {
        "model": variant.run.model,
        "frames": variant.frames,
        "variant": _words(mine, differing),
        "baseline": _words(theirs, differing),
        "speed_up": faster.mean,
        "speed_up_low": faster.low,
        "speed_up_high": faster.high,
    }
    compared = compare([Pair(variant.run, baseline.run, ())])
    return [
        {
            **shared,
            "metric": row["metric"],
            "column": row["column"],
            "direction": row["direction"],
            "before": row["b"],
            "after": row["a"],
            "change": row["difference"],
            "low": row["low"],
            "high": row["high"],
            "p_holm": row["p_holm"],
            "verdict": _verdict(row),
        }
        for row in compared.to_dict("records")
    ]


def _verdict(row: Mapping[str, Any]) -> str:
    """Return the verdict with the runs' names, which differ in their keys alone, as what they are here."""
    return str(row["verdict"]).replace(row["name_a"], "the variant").replace(row["name_b"], "the baseline")


def _words(options: Mapping[str, Any], names: list[str]) -> str:
    return " ".join(f"{name}={options[name]}" for name in names if name in options)


def write_speed(group: Group, folder: Path) -> list[Path]:
    """Write `speed.csv` and `speed.md`; nothing stays of them where no model has variants."""
    rows, paths = speed(group), [folder / "speed.csv", folder / "speed.md"]
    if rows.empty:
        for path in paths:
            path.unlink(missing_ok=True)
        return []
    write_text(paths[0], rows.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    write_text(paths[1], _markdown(rows, group))
    return paths


def _markdown(rows: pd.DataFrame, group: Group) -> str:
    lines = [
        f"# Speed against quality: {markdown_text(group.suite)}, {group.size}, tracker {markdown_text(group.tracker)}",
        "",
        "Seconds of generating a clip on the machine of the record, and what the faster variant changes in every "
        "metric (mean over cases, 95 % interval). An interval that holds 0 does not say that nothing changed: "
        "`detectable` of `compare` says what these cases could have shown.",
        "",
    ]
    for key, part in rows.groupby(["frames", "model", "variant", "baseline"], sort=False):
        frames, model, variant, baseline = key
        first = part.iloc[0]
        bounds = f" [{first['speed_up_low']:.2f}, {first['speed_up_high']:.2f}]"
        lines += [
            f"## {markdown_text(str(model))}, {frames} frames: {markdown_text(str(variant))} against "
            f"{markdown_text(str(baseline))}",
            "",
            f"x{first['speed_up']:.2f}{bounds if np.isfinite(first['speed_up_low']) else ''}",
            "",
            "| metric | before | after | change | 95 % interval | verdict |",
            "|---|---|---|---|---|---|",
        ]
        for _, row in part.iterrows():
            interval = f"[{row['low']:.3g}, {row['high']:.3g}]" if np.isfinite(row["low"]) else ""
            lines.append(
                f"| {row['column']} ({row['direction']}) | {row['before']:.4g} | {row['after']:.4g} | "
                f"{row['change']:+.3g} | {interval} | {markdown_text(str(row['verdict']))} |"
            )
        lines.append("")
    return "\n".join(lines)
