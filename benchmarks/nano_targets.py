"""Measure an embedded model against the targets of its second generation and write them as a table.

    python -m benchmarks.nano_targets                                   # tora, all cases, 16, 64 and 128 frames
    python -m benchmarks.nano_targets --model wan_move --out results/nano_targets_wan_move
    python -m benchmarks.nano_targets --limit 4 --frames 16 --weights training_state/gen2/tora_nano.safetensors

Every clip is made once and followed by both trackers. Writes OUT.md and OUT.csv.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from tabulate import tabulate

from benchmarks.clip_time import time_clip
from benchmarks.machine import describe, parser_of, use_threads
from toraeval import registry
from toraeval.metrics.traj_error import TrajError
from toraeval.store.sealed import write_text
from toraeval.types import BoolArray, ByteArray, Case

TRACKERS = ("lucas_kanade", "shapes_tracker")
SIZE = 512
EDGE = 3
"""Pixels around a true object that belong neither to it nor to its surroundings."""
REACH = 77
"""Pixels from a true object within which its surroundings are looked at: 0.15 of the side, as in `flicker`."""
TIMED_FRAMES, TIMED_CLIPS, TIMED_THREADS = 128, 5, 2
SEVERAL, ONE = "several objects", "one object"


@dataclass(frozen=True)
class Target:
    """One figure that should hold: the column it is read in, its bound, and which side of it is good."""

    column: str
    title: str
    bound: float
    at_most: bool
    kind: str | None = None

    def holds(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


TARGETS = (
    *(Target(f"traj_error_{name}", f"TrajError, {name}, px", 2.5, True, ONE) for name in TRACKERS),
    *(Target(f"traj_error_{name}", f"TrajError, {name}, px", 12.0, True, SEVERAL) for name in TRACKERS),
    *(
        Target(f"visible_{name}", f"share of scored frames that {name} calls visible", 0.9, False)
        for name in TRACKERS
    ),
    Target("psnr_surroundings", "PSNR of the objects' surroundings, dB", 30.0, False),
    Target("residual_at_start", "residual where an object started and left, grey levels", 5.0, True),
)
SECONDS = Target("seconds", f"seconds for {TIMED_FRAMES} frames of {SIZE}x{SIZE}, case to file", 3.0, True)


def near(masks_NHW: BoolArray, pixels: int) -> BoolArray:
    """Return bool (H, W): what lies within so many pixels of any mask."""
    union = masks_NHW.any(0).astype(np.uint8)
    size = 2 * pixels + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.dilate(union, kernel) > 0)


def picture_errors(made_THWC: ByteArray, true_THWC: ByteArray, masks_NTHW: BoolArray) -> dict[str, float]:
    """Return `psnr_surroundings` (dB) and `residual_at_start` (grey levels) of one clip; NaN where nothing counts.

    Args:
        made_THWC: the model's clip.
        true_THWC: the rendered clip.
        masks_NTHW: where each object is to be seen in the true clip.
    """
    squares, pixels = 0.0, 0
    residues: list[float] = []
    starts = [np.asarray(mask) for mask in masks_NTHW[:, 0]]
    for t in range(1, len(true_THWC)):
        apart = np.abs(made_THWC[t].astype(np.float32) - true_THWC[t])
        taken = near(masks_NTHW[:, t], EDGE)
        around = near(masks_NTHW[:, t], REACH) & ~taken
        squares += float((apart[around] ** 2).sum())
        pixels += 3 * int(around.sum())
        residues += [
            float(apart[start].mean()) for start in starts if start.any() and not (start & taken).any()
        ]
    mean = squares / pixels if pixels else np.nan
    return {
        "psnr_surroundings": float(10 * np.log10(255**2 / max(mean, 1e-9))),
        "residual_at_start": float(np.mean(residues)) if residues else np.nan,
    }


def measured(model: Any, cases: Sequence[Case], trackers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Make every clip once and yield what is found in it."""
    metric = TrajError()
    for case in cases:
        assert case.reference is not None
        reference = case.reference()
        assert reference.masks is not None
        video = model.generate(case, 0)
        row: dict[str, Any] = {
            "frames": case.frames,
            "case": case.id,
            "kind": ONE if case.trajectories.num_objects == 1 else SEVERAL,
        }
        for name, tracker in trackers.items():
            tracks = tracker.track(video, case.trajectories.tracks_NT2[:, 0])
            values = metric.score(case, tracks, video).values
            row |= {f"traj_error_{name}": values["traj_error"], f"visible_{name}": values["tracked_visible"]}
        yield row | picture_errors(video.thwc, reference.video.thwc, reference.masks())


def seconds_per_clip(model: Any, suite: Any) -> list[tuple[float, float]]:
    """Return (wall, processor) seconds of some clips from case to file, on `TIMED_THREADS` threads."""
    cases = suite.cases(TIMED_FRAMES, SIZE, SIZE, TIMED_CLIPS)
    use_threads(TIMED_THREADS)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            begin = time.process_time()
            wall = sum(time_clip(model, case, Path(folder) / f"{case.id}.mkv"))
            found.append((wall, time.process_time() - begin))
    return found


def summary(rows: pd.DataFrame, seconds: Sequence[tuple[float, float]]) -> list[list[str]]:
    """Return a line per target and length: what, length, cases, mean, bound, whether it holds."""
    lines = []
    for target in TARGETS:
        for frames, here in rows.groupby("frames"):
            chosen = here if target.kind is None else here[here["kind"] == target.kind]
            values = chosen[target.column].dropna()
            if len(values):
                words = target.title if target.kind is None else f"{target.title}: {target.kind}"
                lines.append(_line(target, words, str(frames), len(values), float(values.mean())))
    if seconds:
        median = float(np.median([wall for wall, _ in seconds]))
        lines.append(_line(SECONDS, SECONDS.title, str(TIMED_FRAMES), len(seconds), median))
    return lines


def _line(target: Target, words: str, frames: str, cases: int, value: float) -> list[str]:
    bound = f"{'<=' if target.at_most else '>='} {target.bound:g}"
    return [words, frames, str(cases), f"{value:.2f}", bound, "yes" if target.holds(value) else "**no**"]


def page(rows: pd.DataFrame, seconds: Sequence[tuple[float, float]], about: str) -> str:
    """Return the Markdown table with what was measured and how."""
    header = ["what", "frames", "cases", "measured", "target", "holds"]
    table = tabulate(summary(rows, seconds), header, tablefmt="github", disable_numparse=True)
    return "\n".join([
        "# Targets of the embedded models",
        "",
        about,
        "",
        table,
        "",
        f"Means over cases, seconds the median. Surroundings: pixels within {REACH} px of a true object and farther",
        f"than {EDGE} px from all, PSNR of a clip over all its frames but the given one. Residual: mean absolute",
        "difference from the true clip at the pixels that an object covered in frame 0, while no object is near them.",
        *([f"A timed clip took {np.median([own for _, own in seconds]):.2f} processor seconds."] if seconds else []),
        "",
    ])  # fmt: skip


def main() -> int:
    """Measure, print, write."""
    parser = parser_of(__doc__)
    parser.add_argument("--model", default="tora")
    parser.add_argument("--weights", default=None, help="file of your own (default: the shipped one)")
    parser.add_argument("--version", type=int, default=2, help="of the world shapes (default: 2)")
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--limit", type=int, default=None, help="only the first cases")
    parser.add_argument("--no-time", action="store_true", help="leave out the seconds per clip")
    parser.add_argument("--out", type=Path, default=Path("results/nano_targets"))
    args = parser.parse_args()
    options = {"name": args.model} | ({"weights": args.weights} if args.weights else {})
    model = registry.build("model", options)
    model.prepare()
    suite = registry.build("suite", {"name": "shapes", "version": args.version})
    trackers = {name: registry.build("tracker", {"name": name}) for name in TRACKERS}
    rows = []
    for frames in args.frames:
        for row in measured(model, suite.cases(frames, SIZE, SIZE, args.limit), trackers):
            rows.append(row)
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, file=sys.stderr)
    table = pd.DataFrame(rows)
    seconds = [] if args.no_time else seconds_per_clip(model, suite)
    about = (
        f"Model `{args.model}` with weights {model.fingerprint()['weights_sha256'][:12]} on `shapes` version "
        f"{args.version}, made by `python -m benchmarks.nano_targets --model {args.model}` ({describe()})."
    )
    text = page(table, seconds, about)
    write_text(args.out.with_suffix(".md"), text)
    write_text(args.out.with_suffix(".csv"), table.round(4).to_csv(index=False, lineterminator="\n"))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
