"""Time what follows generation, per clip: reading the stored video, tracking it, scoring the tracks.

    python -m benchmarks.scoring_time                      # lucas_kanade on 16, 64 and 128 frames at 512x512
    python -m benchmarks.scoring_time --tracker lucas_kanade --frames 16

The clips are the suite's own renders, so the printed error is the tracker's floor on these cases.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe, peak_memory_gib, use_threads
from toraeval import registry, videoio


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tracker", default="lucas_kanade", help="registry name (default: lucas_kanade)")
    parser.add_argument("--suite", default="shapes", help="registry name (default: shapes)")
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels (default: 512)")
    parser.add_argument("--repeat", type=int, default=5, help="clips to time per length (default: 5)")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: torch's own choice)")
    args = parser.parse_args()
    use_threads(args.threads)

    print(describe())
    print("frames  clips  read_s  track_s  score_s  traj_error_px   (medians; error: mean)")
    for frames in args.frames:
        rows = measure(args.suite, args.tracker, frames, args.size, args.repeat)
        read_s, track_s, score_s, errors = zip(*rows, strict=True)
        medians = "  ".join(f"{statistics.median(values):7.3f}" for values in (read_s, track_s, score_s))
        print(f"{frames:6}  {len(rows):5} {medians}  {statistics.fmean(errors):13.3f}")
    print(f"peak memory of the process {peak_memory_gib():.2f} GiB")


def measure(suite: str, tracker: str, frames: int, size: int, repeat: int) -> list[tuple[float, ...]]:
    """Return one row (read, track, score seconds, TrajError in pixels) per clip."""
    follow = registry.build("tracker", {"name": tracker})
    metric = registry.build("metric", {"name": "traj_error"})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in registry.build("suite", {"name": suite}).cases(frames, size, size, repeat):
            path = Path(folder) / f"{case.id}.mkv"
            videoio.write_lossless(case.reference().video, path)
            moments = [time.perf_counter()]
            video = videoio.read(path)
            moments.append(time.perf_counter())
            tracks = follow.track(video, case.trajectories.tracks_NT2[:, 0])
            moments.append(time.perf_counter())
            score = metric.score(case, tracks, video)
            moments.append(time.perf_counter())
            spent = [after - before for before, after in itertools.pairwise(moments)]
            rows.append((*spent, score.values["traj_error"]))
    return rows


if __name__ == "__main__":
    main()
