"""Sanity table: the ground truth, spoilt in known ways, under every registered metric.

    python -m benchmarks.sanity                              # 4 cases at 16 and 64 frames, 512x512
    python -m benchmarks.sanity --cases 16 --metrics traj_error ssim
    python -m benchmarks.sanity --suite photos               # with the backbones of its preset: results/sanity_photos.*

Every condition of `toraeval.metrics.shared.expectations` is made from the suite's own render by moving, delaying,
shuffling, freezing, filtering or fading it; the first frame stays as given except in `other_case`. Shifts move the
whole picture sideways, away from the nearer border, and repeat the border's pixels. Each video is tracked again.
Writes results/sanity.csv (one row per length, condition and value) and results/sanity.md, for `photos` sanity_photos.*;
exit code 1 if a metric orders the videos differently from what its documentation says.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from tabulate import tabulate

from benchmarks.machine import describe, parser_of, use_threads
from toraeval import registry
from toraeval.metrics.shared.base import Metric, SetMetric
from toraeval.metrics.shared.expectations import CONDITIONS, Finding, check, orders
from toraeval.metrics.shared.reference import share_reference
from toraeval.run.parts import Builder
from toraeval.store.sealed import write_text
from toraeval.trackers.shared.base import follow
from toraeval.types import BoolArray, ByteArray, Case, MissingAsset, Score, UserError, Video
from toraeval.video.degradation import blur, fade_objects, noise

CANVAS = 512  # pixels that shifts, blur and the like are stated in; other sizes scale them
BLUR = 6.0
NOISE = 25.0  # 8-bit levels
TRAIL = 0.7  # share of what was there before in every smeared frame
SEED = 20240731


def spoil(condition: str, case: Case, other: Case) -> Video:
    """Return the ground truth of a case under one condition; `other` is another case of the same length and size."""
    assert case.reference is not None
    reference = case.reference()
    frames = np.ascontiguousarray(reference.video.thwc)
    kind, _, amount = condition.rpartition("_")
    scale = min(case.height, case.width) / CANVAS
    rng = np.random.default_rng([SEED, case.seed])
    if condition == "other_case":
        assert other.reference is not None
        frames = np.ascontiguousarray(other.reference().video.thwc)
    elif kind == "shift":
        start = case.trajectories.tracks_NT2[..., 0].mean()
        frames = _shifted(frames, int(amount) * scale * (1 if start < case.width / 2 else -1))
    elif kind == "lag":
        frames = frames[np.maximum(0, np.arange(len(frames)) - int(amount))]
    elif condition == "shuffled":
        frames = frames[np.concatenate([[0], 1 + rng.permutation(len(frames) - 1)])]
    elif condition == "frozen":
        frames = np.repeat(frames[:1], len(frames), axis=0)
    elif condition == "blurred":
        frames = np.concatenate([frames[:1], blur(frames[1:], BLUR * scale)])
    elif condition == "noise":
        frames = np.concatenate([frames[:1], noise(frames[1:], NOISE, rng)])
    elif condition == "smeared":
        frames = _smeared(frames)
    elif condition == "vanished":
        assert reference.masks is not None
        objects = np.asarray(reference.masks().any(axis=0))
        frames = fade_objects(
            frames,
            _emptied(frames, objects),
            objects,
            sigma=4 * scale,
            share=1.0,
            ramp=max(1, len(frames) // 2),
        )
    elif condition != "ground_truth":
        raise UserError(registry.unknown("condition", condition, CONDITIONS))
    return Video.from_thwc(frames, case.fps)


def _shifted(frames_THWC: ByteArray, pixels: float) -> ByteArray:
    matrix = np.array([[1.0, 0.0, pixels], [0.0, 1.0, 0.0]])
    size = (frames_THWC.shape[2], frames_THWC.shape[1])
    moved = [cv2.warpAffine(f, matrix, size, borderMode=cv2.BORDER_REPLICATE) for f in frames_THWC[1:]]
    return np.stack([frames_THWC[0], *moved]).astype(np.uint8)


def _smeared(frames_THWC: ByteArray) -> ByteArray:
    out = frames_THWC.copy()
    trail = frames_THWC[0].astype(np.float32)
    for t in range(1, len(out)):
        trail = TRAIL * trail + (1 - TRAIL) * frames_THWC[t]
        out[t] = np.rint(trail)
    return out


def _emptied(frames_THWC: ByteArray, objects_THW: BoolArray) -> ByteArray:
    """Return the frames with the objects filled from the smooth background around them."""
    out = frames_THWC.copy()
    side = frames_THWC.shape[1] // 3
    for frame, objects in zip(out, objects_THW, strict=True):
        covered = cv2.dilate(objects.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        free = (~covered).astype(np.float32)
        seen = cv2.blur(frame * free[..., None], (side, side))
        share = cv2.blur(free, (side, side))
        frame[covered] = np.rint(seen / np.maximum(share, 1e-6)[..., None])[covered]
    return out


def measure(
    cases: Sequence[Case],
    tracker: Any,
    metrics: Mapping[str, Metric],
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per condition, metric and value: mean over cases, their number, or why there is none."""
    scores: dict[str, dict[str, dict[str, Score]]] = {}
    for index, case in enumerate(cases):
        other = share_reference(cases[(index + 1) % len(cases)])
        case = share_reference(case)
        for condition in CONDITIONS:
            video = spoil(condition, case, other)
            tracks = follow(tracker, case, video)
            for name, metric in metrics.items():
                by_case = scores.setdefault(condition, {}).setdefault(name, {})
                by_case[case.id] = _scored(metric, case, tracks, video)
        progress(f"{case.frames} frames, {case.id}")
    rows = [
        row
        for condition, by_name in scores.items()
        for name, by_case in by_name.items()
        for row in _rows(condition, name, metrics[name], by_case)
    ]
    table = pd.DataFrame(rows, columns=["condition", "metric", "column", "value", "cases", "skipped"])
    # the committed table is not about this machine's folders
    return table.assign(skipped=table["skipped"].str.replace(f"{Path.cwd()}{os.sep}", "", regex=False))


def _scored(metric: Metric, case: Case, tracks: Any, video: Video) -> Score:
    try:
        return metric.score(case, tracks, video)
    except MissingAsset as error:
        return Score(metric.name, metric.version, skipped=str(error))


def _rows(condition: str, name: str, metric: Metric, by_case: dict[str, Score]) -> list[tuple[Any, ...]]:
    given = {case: score for case, score in by_case.items() if score.skipped is None}
    if not given:
        return [(condition, name, name, np.nan, 0, next(iter(by_case.values())).skipped)]
    if isinstance(metric, SetMetric):
        pooled = metric.pool({case: score.arrays for case, score in given.items()})
        if pooled.skipped is not None:
            return [(condition, name, name, np.nan, 0, pooled.skipped)]
        return [(condition, name, column, value, len(given), "") for column, value in pooled.values.items()]
    found: dict[str, list[float]] = {}
    for score in given.values():
        for column, value in score.values.items():
            found.setdefault(column, []).append(value)
    return [(condition, name, column, float(np.mean(of)), len(of), "") for column, of in found.items()]


def findings(table: pd.DataFrame) -> list[tuple[int, Finding]]:
    """Return every expectation, checked at every length; only means over the same number of cases are compared."""
    found = []
    for frames, part in table.groupby("frames"):
        for column, values in part.dropna(subset="value").groupby("column"):
            full = values[values["cases"] == values["cases"].max()]
            means = dict(zip(full["condition"], full["value"], strict=True))
            found += [(int(frames), finding) for finding in check(str(column), means)]
    return found


def to_markdown(table: pd.DataFrame, about: str) -> str:
    """Return the table for reading: expected columns by condition, then every expectation."""
    lines = ["# Sanity table\n", about, ""]
    for frames, part in table.groupby("frames"):
        wide = part[part["column"].isin(orders())].pivot_table(
            index="column", columns="condition", values="value", sort=False
        )
        wide = wide.reindex(columns=[name for name in CONDITIONS if name in wide])
        rows = zip(wide.index, wide.to_numpy(), strict=True)
        cells = [[column, *(f"{value:.3g}" for value in row)] for column, row in rows]
        headers = ["value", *wide.columns]
        lines += [f"## {frames} frames\n", tabulate(cells, headers, "pipe", disable_numparse=True), ""]
    checked = [(frames, finding) for frames, finding in findings(table) if finding.holds is not None]
    failed = [(frames, finding) for frames, finding in checked if not finding.holds]
    lines += [f"## Expected order\n\n{len(checked) - len(failed)} of {len(checked)} expectations hold.\n"]
    for frames, finding in failed:
        low, high = finding.seen
        lines.append(
            f"- {frames} frames, {finding.column}: {finding.claim} does not hold: {low:.4g}, {high:.4g}"
        )
    skipped = table[table["skipped"] != ""].drop_duplicates(["frames", "metric", "skipped"])
    lines += [f"- {row.frames} frames, {row.metric} skipped: {row.skipped}" for row in skipped.itertuples()]
    return "\n".join(lines).rstrip() + "\n"


def build(names: Sequence[str], suite: str = "shapes") -> dict[str, Metric]:
    """Return the metrics by name, with their default options or, for `photos`, those of its preset."""
    preset = Path(__file__).parents[1] / "conf" / "preset" / f"{suite}.yaml"
    options = OmegaConf.to_container(OmegaConf.load(preset).metrics) if preset.exists() else {}
    assert isinstance(options, dict)
    return Builder().metrics({"metrics": {name: {"name": name, **options.get(name, {})} for name in names}})


def main() -> int:
    """Measure, write both files and print the Markdown."""
    parser = parser_of(__doc__)
    parser.add_argument("--suite", choices=("shapes", "photos"), default="shapes")
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--cases", type=int, default=4, help="test cases, spread over the suite (default: 4)")
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels (default: 512)")
    parser.add_argument("--tracker", default="lucas_kanade", help="registry name (default: lucas_kanade)")
    parser.add_argument("--metrics", nargs="+", default=None, help="registry names (default: all)")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: torch's own choice)")
    parser.add_argument("--out", type=Path, default=Path("results"))
    args = parser.parse_args()
    use_threads(args.threads)
    tracker = registry.build("tracker", {"name": args.tracker})
    metrics = build(args.metrics or registry.names("metric"), args.suite)
    start = time.perf_counter()

    def progress(line: str) -> None:
        print(f"{time.perf_counter() - start:6.0f} s  {line}", file=sys.stderr)

    parts = []
    for frames in args.frames:
        every = registry.build("suite", {"name": args.suite}).cases(frames, args.size, args.size)
        chosen = every[:: max(1, len(every) // args.cases)][: args.cases]
        parts.append(measure(chosen, tracker, metrics, progress).assign(frames=frames))
    table = pd.concat(parts, ignore_index=True)
    table = table[["frames", "condition", "metric", "column", "value", "cases", "skipped"]]
    about = (
        f"Means over {len(chosen)} cases of `{args.suite}` ({', '.join(case.id for case in chosen)}) at "
        f"{args.size}x{args.size}, tracker `{args.tracker}`. Conditions: "
        "`toraeval/metrics/shared/expectations.py`; expected orders: each metric's `expected`. "
        f"Made by `python -m benchmarks.sanity {'' if args.suite == 'shapes' else f'--suite {args.suite} '}"
        f"--frames {' '.join(map(str, args.frames))} --cases {args.cases} --size {args.size}`."
    )
    text = to_markdown(table, about)
    name = "sanity" if args.suite == "shapes" else f"sanity_{args.suite}"
    write_text(args.out / f"{name}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_text(args.out / f"{name}.md", text)
    print(describe(), file=sys.stderr)
    print(text)
    return int(any(finding.holds is False for _, finding in findings(table)))


if __name__ == "__main__":
    sys.exit(main())
