"""Cases as the page shows them: every model's clip, the path asked for, the path tracked, the error of each frame.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.metrics.shared.readings import mean_over
from toraeval.report.collect import FLOOR_MODEL, STATIC_MODEL, Group, ReportedRun
from toraeval.report.figures import COLOURS, DASHES
from toraeval.report.findings import Findings
from toraeval.report.measures import worst_first
from toraeval.report.texts import case_slug, slug
from toraeval.stats import case_means
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.store.sealed import read_json
from toraeval.store.slot import PREVIEW, TRACKS, VIDEO_META
from toraeval.types import BoolArray, FloatArray

CLIPS = "clips"


@dataclass(frozen=True)
class Clip:
    """What one run made of a case.

    Attributes:
        label, sample, status, error: of the row; `error` is why it failed.
        value: main value of the case, seeds averaged; NaN where it was not scored.
        reference: whether the row brackets the models instead of being one.
        source: the clip to copy, or None when none was kept.
        file: where it lies in the page's folder; empty without one.
        content: what the player needs, of JSON types.
        rows: the rows of all its seeds in `cases.csv`.
    """

    label: str
    sample: str
    status: str
    error: str
    value: float
    reference: bool
    source: Path | None
    file: str
    content: dict[str, Any]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class ShownCase:
    """One case at one length; `value` is the mean of its models, `rank` 1 the worst of `of`, `slug` its file name."""

    slug: str
    case: str
    frames: int
    value: float
    rank: int
    of: int
    family: str = ""
    prompt: str = ""
    clips: list[Clip] = field(default_factory=list)


def style_classes(group: Group) -> dict[str, str]:
    """Return label -> classes of the style sheet that give its colour and dash, as in the figures."""
    found: dict[str, str] = {}
    references = {entry.label: entry.run.model for entry in group.entries if entry.is_reference}
    models = [label for label in group.labels if label not in references]
    for i, label in enumerate(models):
        found[label] = f"m{i % len(COLOURS)} d{(i + i // len(COLOURS)) % len(DASHES)}"
    kinds = {FLOOR_MODEL: "floor-row", STATIC_MODEL: "still-row"}
    return found | {label: kinds[model] for label, model in references.items()}


def cases(findings: Findings) -> Iterator[ShownCase]:
    """Yield every case of every length, worst first."""
    group = findings.group
    styles = style_classes(group)
    for frames in group.lengths:
        entries = group.at(frames)
        ranked = worst_first(entries, findings.main.direction, group.main_column)
        values = {entry.label: case_means(entry.by_case(group.main_column)) for entry in entries}
        rows = {entry.label: entry.cases.sort_values("seed").groupby("case", sort=False) for entry in entries}
        for rank, (case, value) in enumerate(ranked.items(), start=1):
            clips, families, prompts, place = [], [], [], case_slug(case, frames)
            for entry in entries:
                if case not in rows[entry.label].groups:
                    continue
                mine = rows[entry.label].get_group(case).to_dict("records")
                clip, prompt = _clip(
                    entry,
                    place,
                    mine,
                    values[entry.label].get(case, np.nan),
                    styles[entry.label],
                    findings.main.unit,
                )
                clips.append(clip)
                prompts.append(prompt)
                families.append(mine[0].get("tag_family"))
            family = next((str(name) for name in families if isinstance(name, str)), "")
            prompt = next((text for text in prompts if text), "")
            yield ShownCase(place, case, frames, value, rank, len(ranked), family, prompt, clips)


def _clip(
    entry: ReportedRun, folder: str, rows: list[dict[str, Any]], value: float, style: str, unit: str
) -> tuple[Clip, str]:
    """Return the clip of the lowest seed, and its prompt."""
    row = rows[0]
    sample = str(row["sample"])
    slot = entry.run.slot(sample)
    meta = read_json(slot.folder / VIDEO_META) or {}
    source = slot.folder / PREVIEW if slot.has(PREVIEW) else None
    file = f"{CLIPS}/{folder}/{slug(entry.label)}.mp4" if source else ""
    failed = row["status"] == "failed"
    error = str(row["error"]) if failed else ""
    content = {
        "model": entry.label,
        "style": style,
        "still": entry.run.model == STATIC_MODEL,
        "status": str(row["status"]),
        "error": error[:400],
        "video": file,
        "value": figures(value, 6),
        "unit": f" {unit}" if unit else "",
        "fps": float(meta.get("fps") or row.get("fps") or 8.0),
        "size": [int(meta.get("width") or row["width"]), int(meta.get("height") or row["height"])],
        "padded": (meta.get("preview") or {}).get("padded", [0, 0]),
        "frames": int(meta.get("frames") or row["frames"]),
    }
    if not failed and (slot.folder / TRACKS).is_file():
        content |= _paths(entry, sample)
    clip = Clip(
        entry.label, sample, str(row["status"]), error, value, entry.is_reference, source, file, content, rows
    )
    return clip, str(meta.get("prompt") or meta.get("prompt_sent") or "")


def _paths(entry: ReportedRun, sample: str) -> dict[str, Any]:
    stored = entry.run.load_case(sample)
    errors = stored.arrays.get(f"{MAIN_METRIC}/errors_NT")
    found = {
        "frames": int(stored.target_NT2.shape[1]),
        "asked": numbers(stored.target_NT2, 1),
        "inside": ["".join(row) for row in stored.target_visible_NT.astype(int).astype(str)],
        "tracked": numbers(stored.tracks_NT2, 1),
        "seen": ["".join(row) for row in stored.visible_NT.astype(int).astype(str)],
    }
    if errors is not None:
        found["errors"] = numbers(mean_over(np.atleast_2d(np.asarray(errors, dtype=np.float64)), axis=0), 2)
    return found


def numbers(values: FloatArray | BoolArray, digits: int) -> list[Any]:
    """Return an array as nested lists, rounded, with None for what is no finite number."""
    rounded = np.round(np.asarray(values, dtype=np.float64), digits)
    plain = rounded.astype(object)
    plain[~np.isfinite(rounded)] = None
    listed: list[Any] = plain.tolist()
    return listed


def figures(value: float, digits: int) -> float | None:
    """Return a number rounded to significant digits, None for what is not finite."""
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None
