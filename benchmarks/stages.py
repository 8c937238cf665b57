"""Time and memory of every stage of one clip: rendering, generating, writing, reading, tracking and each metric.

    python -m benchmarks.stages --frames 128 --size 512 512

Prints JSON, which `benchmarks.all` collects: processor seconds and the memory that a stage adds at its peak. With
`--held` the process first touches as much memory as two clips and keeps it, if glibc was told so (`HELD`): what the
system takes to hand out fresh memory is then no part of the seconds, and memory is not measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import parser_of, peak_memory_gib, use_threads
from toraeval import registry
from toraeval.metrics.shared.reference import share_reference
from toraeval.types import UserError
from toraeval.video import read_video, write_lossless, write_preview

METRICS = (
    "traj_error", "path_distance", "motion_amount", "flicker", "appearance_drift", "fvd", "clipsim", "lpips", "ssim",
    "psnr",
)  # fmt: skip

HELD = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**62), "MALLOC_ARENA_MAX": "1"}
"""Environment in which glibc gives no memory back to the system."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--held", action="store_true", help="without fresh memory, see above")
    args = parser.parse_args()
    use_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        width, height = args.size
        json.dump(measure(args.frames, width, height, Path(folder), args.held), sys.stdout)


def measure(frames: int, width: int, height: int, folder: Path, held: bool = False) -> dict[str, Any]:
    """Return {stage: {seconds, mib}}, or {stage: reason} where a stage cannot be.

    With `held` none gets fresh memory, see above.
    """
    warm_up(folder)
    case = registry.build("suite", {"name": "shapes"}).cases(frames, height, width, 1)[0]
    found: dict[str, Any] = {}

    def stage(name: str, work: Callable[[], Any]) -> Any:
        before, start = _reset_peak(), time.process_time()
        try:
            result = work()
        except UserError as error:
            found[name] = str(error)
            return None
        seconds = time.process_time() - start
        found[name] = {"seconds": seconds, "mib": _status("VmHWM") - before}
        return result

    clip = frames * height * width * 3
    if held:
        np.ones(2 * clip + 2**29, np.uint8)
    else:
        stage("fresh memory for one clip", lambda: np.ones(clip, np.uint8).size)
    video = stage("render", lambda: case.reference().video)
    file = folder / "clip.mkv"
    stage("write lossless", lambda: write_lossless(video, file))
    stage("write preview", lambda: write_preview(video, folder / "clip.mp4"))
    video = None
    generator = registry.build("model", {"name": "tora"})
    try:
        generator.check(frames, height, width)
        generator.prepare()
        stage("generate (tora nano)", lambda: generator.generate(case, 0).num_frames)
    except UserError as error:
        found["generate (tora nano)"] = str(error)
    clip = stage("read", lambda: read_video(file))
    tracker = registry.build("tracker", {"name": "lucas_kanade"})
    tracks = stage("track (lucas_kanade)", lambda: tracker.track(clip, case.trajectories.tracks_NT2[:, 0]))
    shared = share_reference(case)
    for name in METRICS:
        metric = registry.build("metric", {"name": name})
        stage(f"metric {name}", partial(metric.score, shared, tracks, clip))
    found["process"] = {"mib": 1024 * peak_memory_gib()}
    return found


def warm_up(folder: Path) -> None:
    """Run everything once on a small clip, so that loading is no part of any stage."""
    case = registry.build("suite", {"name": "shapes"}).cases(17, 64, 64, 1)[0]
    video = case.reference().video
    write_lossless(video, folder / "warm.mkv")
    write_preview(video, folder / "warm.mp4")
    video = read_video(folder / "warm.mkv")
    tracks = registry.build("tracker", {"name": "lucas_kanade"}).track(
        video, case.trajectories.tracks_NT2[:, 0]
    )
    for name in METRICS:
        registry.build("metric", {"name": name}).score(case, tracks, video)


def _status(field: str) -> float:
    """Return a size from /proc/self/status in MiB, NaN on other systems than Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def _reset_peak() -> float:
    """Let the peak of the resident memory start anew and return what is resident now, MiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return float("nan")
    return _status("VmRSS")


if __name__ == "__main__":
    main()
