"""Does the path decide? Every test case is generated on another case's path and scored against its own.

    python benchmarks/shuffled_paths.py --frames 16 128

Two ways of shuffling: `moved`, the other path shifted to this object's own start point, and
`as_is`, the other path where it lies. Cases are paired with the next case of as many objects.
Writes results/shuffled_paths.csv.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.machine import parser_of
from toraeval.metrics.traj_error import TrajError
from toraeval.models.tora.generator import Tora
from toraeval.suites.shapes.suite import Shapes
from toraeval.trackers.lucas_kanade import LucasKanade
from toraeval.training.engine.log import write_rows
from toraeval.types import Case, Trajectories

MODES = ("own", "moved", "as_is")


def borrowed(case: Case, other: Case, mode: str) -> Trajectories:
    """Return the paths to condition on, on the canvas of the case."""
    own, foreign = case.trajectories, other.trajectories
    if mode == "own":
        return own
    tracks = foreign.tracks_NT2
    if mode == "moved":
        tracks = tracks - tracks[:, :1] + own.tracks_NT2[:, :1]
    limits = np.array([case.width - 1, case.height - 1])
    return replace(own, tracks_NT2=np.clip(tracks, 0, limits), visible_NT=foreign.visible_NT)


def partners(cases: list[Case]) -> list[int]:
    """Return, for each case, the index of the next one with as many objects."""
    count = [c.trajectories.num_objects for c in cases]
    n = len(cases)
    return [next((i + k) % n for k in range(1, n + 1) if count[(i + k) % n] == count[i]) for i in range(n)]


def main() -> int:
    """Generate, score, print and write the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[16])
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--out", type=Path, default=Path("results/shuffled_paths.csv"))
    args = parser.parse_args()
    generator, tracker, metric = Tora(weights=args.weights), LucasKanade(), TrajError()
    rows: list[dict[str, object]] = []
    for frames in args.frames:
        cases = Shapes().cases(frames, 512, 512, args.limit)
        totals: dict[str, list[float]] = {mode: [] for mode in MODES}
        for case, partner in zip(cases, partners(cases), strict=True):
            if cases[partner].id == case.id:
                continue  # nobody to swap paths with
            for mode in MODES:
                given = replace(case, trajectories=borrowed(case, cases[partner], mode))
                video = generator.generate(given, seed=0)
                tracks = tracker.track(video, case.trajectories.tracks_NT2[:, 0])
                error = metric.score(case, tracks, video).values["traj_error"]
                totals[mode].append(error)
                rows.append(
                    {
                        "frames": frames,
                        "case": case.id,
                        "path_of": cases[partner].id,
                        "mode": mode,
                        "traj_error": f"{error:.3f}",
                    }
                )
            print(
                f"{frames} frames, {case.id}: " + ", ".join(f"{m} {totals[m][-1]:.1f}" for m in MODES),
                file=sys.stderr,
            )
        means = {mode: float(np.mean(values)) for mode, values in totals.items()}
        for mode in MODES:
            rows.append(
                {
                    "frames": frames,
                    "case": "mean",
                    "path_of": "",
                    "mode": mode,
                    "traj_error": f"{means[mode]:.3f}",
                }
            )
            print(
                f"{frames} frames, {mode}: {means[mode]:.2f} px, {means[mode] / means['own']:.2f} times the own path's"
            )
    write_rows(args.out, rows)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
