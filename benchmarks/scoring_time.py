"""Time what follows generation, per clip: reading the stored video, tracking it, scoring the tracks.

    python -m benchmarks.scoring_time                      # lucas_kanade, every metric; 16, 64, 128 frames at 512x512
    python -m benchmarks.scoring_time --metrics traj_error fvd --frames 16

The clips are the suite's own renders: of a model's clip the metrics compare as many frames, but `flicker` and the like
may find more to look at. Rendering the reference clip is shown apart (`reference_s`) and belongs to scoring. The first
clip only loads networks and is not counted.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.machine import describe, parser_of, peak_memory_gib, use_threads
from benchmarks.sanity import build
from toraeval import registry
from toraeval.metrics.shared.reference import share_reference
from toraeval.types import Case, MissingAsset
from toraeval.video import read_video, write_lossless

STAGES = ("read_s", "track_s", "reference_s")


def main() -> int:
    """Measure and print one table; returns the exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--tracker", default="lucas_kanade", help="registry name (default: lucas_kanade)")
    parser.add_argument("--suite", default="shapes", help="registry name (default: shapes)")
    parser.add_argument("--metrics", nargs="+", default=None, help="registry names (default: all)")
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels (default: 512)")
    parser.add_argument("--repeat", type=int, default=5, help="clips to time per length (default: 5)")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: torch's own choice)")
    args = parser.parse_args()
    use_threads(args.threads)

    tracker = registry.build("tracker", {"name": args.tracker})
    metrics = build(args.metrics or registry.names("metric"))
    missing = {name: metric for name, metric in metrics.items() if isinstance(metric, MissingAsset)}
    for name, reason in missing.items():
        print(f"{name} is not timed: {reason}", file=sys.stderr)
    metrics = {name: metric for name, metric in metrics.items() if name not in missing}
    print(describe())
    columns = {
        f"{frames} frames": medians(
            measure(args.suite, tracker, metrics, frames, args.size, args.repeat + 1), skipped_first=1
        )
        for frames in args.frames
    }
    names = [*STAGES, *metrics, "in all"]
    print(
        tabulate(
            [[name, *(c[name] for c in columns.values())] for name in names], ["s", *columns], floatfmt=".3f"
        )
    )
    print(f"medians of {args.repeat} clips; peak memory of the process {peak_memory_gib():.2f} GiB")
    return 3 if missing else 0


def measure(
    suite: str, tracker: Any, metrics: Mapping[str, Any], frames: int, size: int, clips: int
) -> Iterator[dict[str, float]]:
    """Yield the seconds of every stage and metric for each clip."""
    with tempfile.TemporaryDirectory() as folder:
        for case in registry.build("suite", {"name": suite}).cases(frames, size, size, clips):
            file = Path(folder) / f"{case.id}.mkv"
            write_lossless(case.reference().video, file)
            yield _one_clip(case, file, tracker, metrics)
            file.unlink()


def _one_clip(case: Case, file: Path, tracker: Any, metrics: Mapping[str, Any]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    start = begun = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        now = time.perf_counter()
        seconds[name], start = now - start, now

    video = read_video(file)
    lap("read_s")
    tracks = tracker.track(video, case.trajectories.tracks_NT2[:, 0])
    lap("track_s")
    case = share_reference(case)
    assert case.reference is not None
    case.reference()
    lap("reference_s")
    for name, metric in metrics.items():
        metric.score(case, tracks, video)
        lap(name)
    return {**seconds, "in all": start - begun}


def medians(rows: Iterator[dict[str, float]], skipped_first: int) -> dict[str, float]:
    """Return the median of every column without the first clips."""
    counted = list(rows)[skipped_first:]
    return {name: statistics.median(row[name] for row in counted) for name in counted[0]}


if __name__ == "__main__":
    sys.exit(main())
