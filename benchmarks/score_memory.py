"""Measure memory and time of planning and scoring a large benchmark whose clips are stored, in MoveBench's layout.

    python -m benchmarks.score_memory                  # 10 cases and 1,000, 9 frames of 208x120, all default metrics
    python -m benchmarks.score_memory --cases 200 --frames 17 --width 416 --height 240

Each measurement is a command of its own: `run model=precomputed suite=movebench`, with as many workers as it chooses.
The real clips of the benchmark (scored too, as the floor) and the stored clips of the model are short videos in which a
square follows the path; files of equal content are hard links. Times are processor seconds of the command's first
process. The peak memory is that of all its processes together, looked at every two seconds; on Linux pages that they
share count once.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import describe, parser_of, peak_memory_gib
from toraeval.types import Video
from toraeval.video import write_lossless

LIMIT_GIB = 1.0
VARIANTS = 8  # different clips; the others are links to them


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--width", type=int, default=208)
    parser.add_argument("--height", type=int, default=120)
    parser.add_argument("--child", help="folder with what was made (used by the script itself)")
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(Path(args.child), args.frames, args.width, args.height)))
        return 0
    print(describe())
    peak = 0.0
    for cases in (10, args.cases):
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), cases, args.frames, args.width, args.height)
            words = [f"--{name}={getattr(args, name)}" for name in ("frames", "width", "height")]
            command = [sys.executable, "-m", "benchmarks.score_memory", f"--child={folder}", *words]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                peak = watched(child)
                said = child.communicate()[0]
        if child.returncode:
            return child.returncode
        found = json.loads(said.splitlines()[-1])
        peak = max(peak, found["peak_gib"])
        print(
            f"{cases} cases of {args.frames} frames of {args.width}x{args.height}: planned in {found['plan_s']:.1f} s, "
            f"scored in {found['score_s']:.0f} s, peak memory {1024 * peak:.0f} MiB"
        )
    print(f"limit: {1024 * LIMIT_GIB:.0f} MiB, {'kept' if peak <= LIMIT_GIB else 'exceeded'}")
    return int(peak > LIMIT_GIB)


def watched(child: subprocess.Popen[str]) -> float:
    """Wait for a process; return the most GiB that it and its descendants had, 0 where /proc does not tell."""
    peak = 0
    while child.poll() is None:
        peak = max(peak, sum(shared_kib(pid) for pid in family(child.pid)))
        time.sleep(2)
    return peak / 2**20


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for one in found:  # grows while it is gone through
        for listed in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, listed.read_text().split())
    return found


def shared_kib(pid: int) -> int:
    """Return the memory of a process, KiB; pages that n processes share count as 1/n."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def make(folder: Path, cases: int, frames: int, width: int, height: int) -> None:
    """Write `bench` in MoveBench's layout and `clips`, a video for each case as a model would have made it."""
    base = folder / "bench" / "en"
    for place in (base / "track" / "single", base / "first_frame", base / "video", folder / "clips"):
        place.mkdir(parents=True)
    paths = [drift(index, frames, width, height) for index in range(VARIANTS)]
    lines = []
    for index in range(cases):
        name, variant = f"clip_{index:04d}", index % VARIANTS
        lines.append(f"{name}.mp4,a square drifts over grey ground")
        track_T2 = paths[variant]
        tracks = base / "track" / "single"
        np.save(tracks / f"{name}_tracks.npy", track_T2[None, :, None].astype(np.float32))
        np.save(tracks / f"{name}_visibility.npy", np.ones((1, frames, 1), dtype=bool))
        real, made = base / "video" / f"{name}.mp4", folder / "clips" / f"{name}.mkv"
        picture = base / "first_frame" / f"{name}.jpg"
        if index < VARIANTS:
            video = Video.from_thwc(drawn(track_T2, width, height, index), 16.0)
            write_lossless(video, folder / "real.mkv")
            (folder / "real.mkv").rename(real)
            late_T2 = 0.8 * (track_T2 - track_T2[0]) + track_T2[0]  # a model that stays behind
            write_lossless(Video.from_thwc(drawn(late_T2, width, height, index), 16.0), made)
            Image.fromarray(video.thwc[0]).save(picture, quality=95)
        else:
            first = f"clip_{variant:04d}"
            real.hardlink_to(base / "video" / f"{first}.mp4")
            made.hardlink_to(folder / "clips" / f"{first}.mkv")
            picture.hardlink_to(base / "first_frame" / f"{first}.jpg")
    (base / "single_track.txt").write_text("\n".join(lines) + "\n")
    (base / "multi_track.txt").write_text("")


def drift(index: int, frames: int, width: int, height: int) -> np.ndarray:
    """Return a path, float64 (T, 2) pixels, across a third of the frame in a direction of its own."""
    angle = 2 * np.pi * index / VARIANTS
    way_T1 = np.linspace(0, 1, frames)[:, None] / 3
    return np.array([width, height]) * (0.5 + (way_T1 - 1 / 6) * [np.cos(angle), np.sin(angle)])


def drawn(path_T2: np.ndarray, width: int, height: int, seed: int) -> np.ndarray:
    """Return uint8 (T, H, W, 3): a textured square on its path over smooth ground."""
    draw = np.random.default_rng(seed)
    ground = np.add.outer(np.arange(height), np.arange(width))[..., None] % 200
    frames = np.broadcast_to(ground, (len(path_T2), height, width, 3)).astype(np.uint8)
    square = draw.integers(0, 256, (17, 17, 3), dtype=np.uint8)
    for frame, (x, y) in zip(frames, np.rint(path_T2).astype(int), strict=True):
        frame[y - 8 : y + 9, x - 8 : x + 9] = square
    return frames


def measure(folder: Path, frames: int, width: int, height: int) -> dict[str, float]:
    """Plan and score in this process; returns processor seconds and peak memory."""
    from toraeval.__main__ import main as toraeval

    size = [f"frames={frames}", f"width={width}", f"height={height}", f"results={folder / 'results'}"]
    suite = ["suite=movebench", f"suite.path={folder / 'bench'}", "keep=none"]
    words = ["run", "model=precomputed", f"model.videos={folder / 'clips'}", *suite, *size]
    seconds = []  # planning includes what had to be imported for it
    for more in (["dry_run=true"], []):
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()) as said:
            code = toraeval([*words, *more])
        seconds.append(time.process_time() - start)
        if code:
            raise SystemExit(f"exit code {code}: {said.getvalue()[-2000:]}")
    return {"plan_s": seconds[0], "score_s": seconds[1], "peak_gib": peak_memory_gib()}


if __name__ == "__main__":
    sys.exit(main())
