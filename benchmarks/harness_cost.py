"""Measure what toraeval adds around a bare tracker call, and whether memory grows with the number of clips.

    python -m benchmarks.harness_cost                          # 4 clips of 128 frames at 512x512, lucas_kanade
    python -m benchmarks.harness_cost --tracker cotracker3_offline --frames 64
    python -m benchmarks.harness_cost --memory 1000            # peak memory of scoring 10 and 1000 small clips

The clips are stored beforehand, as generation would leave them; times are processor seconds, which other
processes on the machine change little. Reading a video and the metrics are not part of the tracker call and are shown
apart; everything else is the harness.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from omegaconf import OmegaConf

from benchmarks.machine import describe, parser_of, peak_memory_gib
from toraeval import registry
from toraeval.cli import overrides
from toraeval.run import pipeline
from toraeval.run.own_videos import plan_score
from toraeval.run.plan import Plan
from toraeval.video import read_video, write_lossless


class Stopwatch:
    """Adds up the processor seconds of the calls it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, timed."""

        def timed(*args: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **options)
            finally:
                self.seconds += time.process_time() - start

        return timed


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--tracker", default="lucas_kanade", help="registry name (default: lucas_kanade)")
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels (default: 512)")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument(
        "--memory", type=int, metavar="CLIPS", help="compare the memory of scoring 10 and CLIPS clips"
    )
    parser.add_argument("--child", type=int, metavar="CLIPS", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(score_small_clips(args.child))
    elif args.memory:
        print(describe())
        few, many = (_child(count) for count in (10, args.memory))
        print(f"peak memory: 10 clips {few:.1f} MiB, {args.memory} clips {many:.1f} MiB, x{many / few:.3f}")
    else:
        print(describe())
        cost(args.tracker, args.frames, args.size, args.clips)


def cost(tracker: str, frames: int, size: int, count: int) -> None:
    """Print processor seconds per clip: tracker, reading, metrics, and everything else."""
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), frames, size, count)
        words = [f"tracker={tracker}", "keep=lossless"]
        pipeline.run(make_plan(Path(folder), [*words, "stages=[generate]"]), command="benchmark")
        plan = make_plan(Path(folder), words)
        bare, reading, scoring = Stopwatch(), Stopwatch(), Stopwatch()
        with contextlib.ExitStack() as patches:
            # trackers are frozen dataclasses; the class is patched, so that names and fingerprints stay
            patches.enter_context(
                mock.patch.object(type(plan.tracker), "track", bare.around(type(plan.tracker).track))
            )
            for module in ("toraeval.models.precomputed", "toraeval.store.slot"):
                patches.enter_context(mock.patch(f"{module}.read_video", reading.around(read_video)))
            for kind in {type(metric) for metric in plan.metrics.values()}:
                patches.enter_context(mock.patch.object(kind, "score", scoring.around(kind.score)))
            start = time.process_time()
            report = pipeline.run(plan, command="benchmark")
            total = time.process_time() - start
        if report.exit_code or not bare.seconds:
            raise SystemExit(f"the run failed: {[o.error for o in report.outcomes]}")
        parts = {"tracker": bare.seconds, "reading": reading.seconds, "metrics": scoring.seconds}
        parts["everything else"] = total - sum(parts.values())
        for name, seconds in parts.items():
            print(
                f"{name:16} {seconds / count:8.3f} s a clip  {100 * seconds / bare.seconds:6.1f} % of the tracker"
            )


def make_plan(folder: Path, words: list[str]) -> Plan:
    """Return the plan of `score` on the clips of a folder."""
    places = [
        f"videos={folder / 'videos'}",
        f"trajectories={folder / 'paths'}",
        f"results={folder / 'results'}",
        "workers=1",  # what is timed and measured is this process
    ]
    checked = overrides.check("score", [*places, *words], multirun=False)
    plain = OmegaConf.to_container(checked.configs[0], resolve=True)
    assert isinstance(plain, dict)
    return plan_score({str(key): value for key, value in plain.items()})


def write_clips(folder: Path, frames: int, size: int, count: int, copies: int = 1) -> None:
    """Write `count` renders of the suite with their paths, each `copies` times."""
    (folder / "videos").mkdir()
    (folder / "paths").mkdir()
    for case in registry.build("suite", {"name": "shapes"}).cases(frames, size, size, count):
        first = folder / "videos" / f"{case.id}_0.mkv"
        write_lossless(case.reference().video, first)
        for copy in range(copies):
            name = f"{case.id}_{copy}"
            if copy:
                (folder / "videos" / f"{name}.mkv").hardlink_to(first)
            np.save(folder / "paths" / f"{name}.npy", case.trajectories.tracks_NT2)


def score_small_clips(count: int) -> float:
    """Score `count` clips of 8 frames at 64x64 in this process and return its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), 8, 64, 10, count // 10)
        with contextlib.redirect_stdout(io.StringIO()):
            report = pipeline.run(make_plan(Path(folder), ["keep=none"]), command="benchmark")
        if report.exit_code:
            raise SystemExit(f"the run failed: {next(o.error for o in report.outcomes if o.failed)}")
    return 1024 * peak_memory_gib()


def _child(count: int) -> float:
    command = [sys.executable, "-m", "benchmarks.harness_cost", "--child", str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
