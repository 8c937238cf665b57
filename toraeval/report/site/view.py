"""What the templates of the page show, gathered from the findings of one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toraeval.report.claims import ANOTHER, CLAIM, CLAIMED, CLAIMED_AT, UNETS
from toraeval.report.figures import LOG_FROM_RATIO, STATIC_REFERENCE
from toraeval.report.findings import OWN_LENGTH, Findings
from toraeval.report.html import flat
from toraeval.report.site import headline
from toraeval.report.site.cases import ShownCase, figures, style_classes
from toraeval.report.site.columns import SETS, Column, ModelRow, columns, families, lines
from toraeval.report.tables import caption
from toraeval.report.texts import printable, slug
from toraeval.store.tables.run import RunResult, length_words

PROMPT = 160
"""Letters of a prompt in the list of cases; the case's own page has all of it."""
MOST_REASONS = 5
PACKAGES = ("toraeval", "torch", "numpy", "av")
Link = tuple[str, str, bool]
"""Address, title, and whether it is the page at hand."""


def _verdict(model: str, low: float, high: float) -> str:
    if not model.startswith(UNETS):
        return ANOTHER
    if high < CLAIMED[0]:
        return "below the claim"
    if low > CLAIMED[1]:
        return "above the claim"
    return "as claimed" if low >= CLAIMED[0] and high <= CLAIMED[1] else "reaches into the claimed range"


def index_view(
    findings: Findings, shown: list[ShownCase], empty: Sequence[RunResult], siblings: list[Link]
) -> dict[str, Any]:
    """Return what the template of a group's page shows, by name; `siblings` are the pages of all groups."""
    group, kinds, standings = findings.group, columns(findings), headline.standings(findings)
    bars = [bar for standing in standings for bar in standing.bars]
    names = sorted({name for entry in group.entries for name in families(entry)})
    return {
        "findings": findings,
        "title": f"{group.suite}, {group.size}",
        "caption": caption(group),
        "models": {entry.run.model for entry in group.entries},
        "styles": style_classes(group),
        "standings": standings,
        "intervals": any(bar.interval for bar in bars),
        "scored": any(bar.at is not None for bar in bars),
        "columns": kinds,
        # groups of columns of which some are hidden at first
        "sets": [name for name in SETS if any(c.group == name and not c.headline for c in kinds)],
        "lines": lines(findings, kinds),
        "marks": findings.marks,
        "families": names if len(names) > 1 else [],
        "cases": shown,
        "kept": sum(clip.source is not None for case in shown for clip in case.clips),
        "failures": _failures(shown),
        "failed": int(findings.rows["failures"].sum()),
        "claim": CLAIM,
        "claims": _claims(findings.ratios),
        "reference": str(next(iter(findings.ratios["reference"]), "")),
        "people": findings.said["What people say"],
        "sentences": findings.said["Mind this"],
        "definitions": {name: flat(value) for name, value in group.definitions.items()},
        "provenance": [provenance(entry.run) for entry in group.entries],
        "empty": [provenance(run) for run in empty],
        "siblings": siblings,
    }


def _claims(ratios: pd.DataFrame) -> dict[int, list[dict[str, str]]]:
    """Return length -> how many times the error of Tora each model has, for the check of the paper's claim."""
    found: dict[int, list[dict[str, str]]] = {}
    for row in ratios.itertuples():
        known = np.isfinite(row.low)
        one = {
            "model": str(row.model),
            "ratio": f"{row.ratio:.2f}" if np.isfinite(row.ratio) else "–",
            "interval": f"{row.low:.2f} to {row.high:.2f}" if known else f"n = {row.cases}",
            "verdict": _verdict(str(row.model), row.low, row.high)
            if row.frames == CLAIMED_AT and known
            else "",
        }
        found.setdefault(int(row.frames), []).append(one)
    return found


def _failures(shown: list[ShownCase]) -> list[tuple[str, int, ShownCase]]:
    """Return the most frequent reasons of failures, each with its samples and a case to look at."""
    found: dict[str, tuple[int, ShownCase]] = {}
    for case in shown:
        for row in (row for clip in case.clips for row in clip.rows if row["status"] == "failed"):
            reason = printable(str(row["error"]), PROMPT)
            known = found.get(reason, (0, case))
            found[reason] = (known[0] + 1, known[1])
    ranked = sorted(found.items(), key=lambda item: -item[1][0])
    return [(reason, number, case) for reason, (number, case) in ranked[:MOST_REASONS]]


def record_name(run: RunResult) -> str:
    """Return the name of a run's record in the page's folder."""
    return f"records/{slug(run.model)}-{slug(run.run_dir.name)}.json"


def provenance(run: RunResult) -> dict[str, str]:
    record, git, packages = run.record, run.record.get("git") or {}, run.record.get("packages") or {}
    return {
        "model": run.model,
        "frames": length_words(int(run.frames)),
        "run": run.run_dir.name,
        "command": str(record.get("command", "")),
        "versions": ", ".join(f"{name} {packages[name]}" for name in PACKAGES if name in packages),
        "commit": str(git.get("commit") or "")[:10],
        "fingerprint": str((record.get("run") or {}).get("fingerprint") or ""),
        "record": record_name(run),
    }


def player_index(findings: Findings, shown: list[ShownCase], table: list[ModelRow]) -> dict[str, Any]:
    """Return what the scripts of the first page need, of JSON types."""
    group, main = findings.group, findings.main
    return {
        "main": {"column": group.main_column, "unit": main.unit, "direction": main.direction},
        "models": [{"label": label, "style": style} for label, style in style_classes(group).items()],
        "families": [line.of_families for line in table],
        "lengths": group.lengths,
        "curves": _curves(findings.curves),
        "log_from": LOG_FROM_RATIO,
        "floors": {frames: figures(value, 4) for frames, value in findings.floors.items()},
        "cases": [
            {
                "slug": case.slug,
                "case": case.case[:PROMPT],
                "frames": case.frames,
                "family": case.family,
                "prompt": case.prompt[:PROMPT],
                "value": figures(case.value, 4),
                "values": {clip.label: clip.content["value"] for clip in case.clips},
                "failed": sum(clip.status == "failed" for clip in case.clips),
            }
            for case in shown
        ],
    }


def _curves(rows: pd.DataFrame) -> list[dict[str, Any]]:
    found = []
    for (frames, model), part in rows.groupby(["frames", "model"], sort=False):
        if model == STATIC_REFERENCE and "static" in set(rows.loc[rows["frames"] == frames, "model"]):
            continue
        x = part["time"] if frames == OWN_LENGTH else part["frame"]
        found.append(
            {
                "model": model,
                "frames": int(frames),
                "x": [round(float(value), 4) for value in x],
                **{name: [figures(value, 4) for value in part[name]] for name in ("error", "low", "high")},
            }
        )
    return found


@dataclass(frozen=True)
class CasePage:
    """The page of one case."""

    findings: Findings
    case: ShownCase
    before: ShownCase | None
    after: ShownCase | None
    heads: list[str]
    rows: list[dict[str, Any]]
    notes: list[str]


def case_view(
    findings: Findings,
    shown: Sequence[Column],
    case: ShownCase,
    around: tuple[ShownCase | None, ShownCase | None],
) -> CasePage:
    """Return the page of one case, between its neighbours in the order from worst to best."""
    kinds = {column.key: column for column in shown}
    wanted = findings.further.loc[findings.further["main"] == "yes", "column"].unique().tolist()
    heads = [findings.group.main_column, *(name for name in wanted if name != findings.group.main_column)]
    present = {name for clip in case.clips for row in clip.rows for name in row}
    heads = [name for name in heads if name in present and name in kinds]
    rows = [
        {
            "model": clip.label,
            "seed": row["seed"],
            "status": row["status"],
            "values": [kinds[name].text(float(row.get(name, np.nan))) for name in heads],
            "sample": row["sample"],
            "file": clip.file if row["sample"] == clip.sample else "",
            "error": str(row["error"]) if isinstance(row.get("error"), str) else "",
        }
        for clip in case.clips
        for row in clip.rows
    ]
    notes = []
    if any(len(clip.rows) > 1 for clip in case.clips):
        notes.append("The player shows the lowest seed of each model; the table has all of them.")
    return CasePage(findings, case, *around, heads, rows, notes)
