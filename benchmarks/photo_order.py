"""Do the metrics for photographs order spoilt videos as documented, and is a frozen one the worst in time?

    python -m benchmarks.photo_order                              # 64 clips of suite photos, 6.5 minutes of a core
    python -m benchmarks.photo_order --videos DIR --stride 3      # windows of 16 frames of your own clips instead

Every clip of 16 frames is spoilt in known ways; the frame part and the temporal part of `fvd` on `efficientnet_lite0`
are taken at several numbers of clips, with 95 % intervals over clips. Writes results/photo_order.csv and .md, or
results/photo_order_videos.*; exit code 1 if the order is not the documented one.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tabulate import tabulate

from benchmarks.machine import describe, parser_of, use_threads
from toraeval.metrics.shared.frame_features import FrameFeatures, changes
from toraeval.metrics.shared.set_distances import bootstrap_interval, distance_of_sets
from toraeval.store.sealed import write_text
from toraeval.suites.photos.suite import Photos
from toraeval.types import ByteArray, FloatArray, UserError
from toraeval.video import VIDEO_SUFFIXES, read_video
from toraeval.video.degradation import blur, noise

FRAMES = 16
SIDE = 256  # shorter side that clips are made at; the network sees 224
CLIP_COUNTS = (16, 31, 64)
RESAMPLES = 100
SEED = 20261129

Spoil = Callable[[ByteArray, np.random.Generator], ByteArray]
# blur is stated in pixels of 512, noise in 8-bit levels
CONDITIONS: dict[str, Spoil] = {
    "clean": lambda f, rng: f[:FRAMES],
    "blur_2": lambda f, rng: blur(f[:FRAMES], 2 * SIDE / 512),
    "blur_6": lambda f, rng: blur(f[:FRAMES], 6 * SIDE / 512),
    "noise_10": lambda f, rng: noise(f[:FRAMES], 10, rng),
    "noise_40": lambda f, rng: noise(f[:FRAMES], 40, rng),
    "shuffled": lambda f, rng: f[np.concatenate([[0], 1 + rng.permutation(FRAMES - 1)])],
    "half_speed": lambda f, rng: f[np.arange(FRAMES) // 2],
    "cross_fade": lambda f, rng: _cross_fade(f),
    "frozen": lambda f, rng: f[np.zeros(FRAMES, int)],
}
ORDERS = {
    "frame": (
        "clean < blur_2 < blur_6",
        "clean < noise_10 < noise_40",
        "clean < frozen",
        "clean < cross_fade",
    ),
    "time": (
        "clean < blur_2 < blur_6 < frozen",
        "clean < noise_10 < noise_40 < frozen",
        "clean < shuffled < frozen",
        "clean < half_speed < frozen",
        "clean < cross_fade < frozen",
    ),
}
PARTS: dict[str, Callable[[FloatArray], FloatArray]] = {"frame": lambda f: f.mean(0), "time": changes}


def _cross_fade(frames_THWC: ByteArray) -> ByteArray:
    share = np.linspace(0, 1, FRAMES)[:, None, None, None]
    return np.rint((1 - share) * frames_THWC[0] + share * frames_THWC[FRAMES - 1]).astype(np.uint8)


def suite_clips(count: int) -> Iterator[ByteArray]:
    """Yield uint8 (16, H, W, 3) clips of the test split of `photos`."""
    for case in Photos(count=count).cases(FRAMES, SIDE, SIDE):
        assert case.reference is not None
        yield np.ascontiguousarray(case.reference().video.thwc)


def windows(folder: Path, stride: int) -> Iterator[ByteArray]:
    """Yield windows of 16 frames of the videos of a folder, the shorter side reduced to `SIDE`.

    Raises:
        UserError: no video there.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    if not files:
        raise UserError(f"videos={folder}: no video in this folder")
    for file in files:
        frames = read_video(file).thwc
        scale = SIDE / min(frames.shape[1:3])
        size = (round(frames.shape[2] * scale), round(frames.shape[1] * scale))
        small = np.stack(
            [cv2.resize(np.ascontiguousarray(f), size, interpolation=cv2.INTER_AREA) for f in frames]
        )
        for start in range(0, len(small) - FRAMES + 1, stride):
            yield small[start : start + FRAMES]


def features(clips: Iterator[ByteArray]) -> dict[str, list[FloatArray]]:
    """Return the features (16, 1280) of every clip under every condition."""
    network = FrameFeatures()
    found: dict[str, list[FloatArray]] = {name: [] for name in CONDITIONS}
    for number, clip in enumerate(clips):
        for name, spoil in CONDITIONS.items():
            spoilt = spoil(clip, np.random.default_rng([SEED, number]))
            found[name].append(network(spoilt.transpose(0, 3, 1, 2)))
        print(f"clip {number}", file=sys.stderr)
    return found


def measure(found: dict[str, list[FloatArray]]) -> pd.DataFrame:
    """Return one row per number of clips, part and condition: distance from the clean clips, and its interval."""
    total = len(found["clean"])
    rows = []
    for size in sorted({min(size, total) for size in CLIP_COUNTS}):
        # spread over all clips, so that a small set is as mixed as a large one
        chosen = np.unique(np.linspace(0, total - 1, size).astype(int))
        for part, reduce in PARTS.items():
            truth = [reduce(found["clean"][k])[None] for k in chosen]
            for name, clips in found.items():
                own = [reduce(clips[k])[None] for k in chosen]
                interval = bootstrap_interval(own, truth, RESAMPLES)
                rows.append((len(chosen), part, name, distance_of_sets(own, truth), *interval))
    return pd.DataFrame(rows, columns=["clips", "part", "condition", "fvd", "low", "high"])


def broken(table: pd.DataFrame) -> list[str]:
    """Return every documented order that the table does not follow."""
    wrong = []
    for (size, part), rows in table.groupby(["clips", "part"]):
        values = dict(zip(rows["condition"], rows["fvd"], strict=True))
        for chain in ORDERS[str(part)]:
            names = chain.split(" < ")
            wrong += [
                f"{size} clips, {part}: {low} < {high} does not hold"
                for low, high in itertools.pairwise(names)
                if not values[low] < values[high]
            ]
    return wrong


def to_markdown(table: pd.DataFrame, about: str) -> str:
    """Return the table for reading."""
    lines = ["# Order of spoilt videos under `fvd` on `efficientnet_lite0`\n", about]
    for part, rows in table.groupby("part"):
        cells = [
            [name, *(f"{r.fvd:.4g} [{r.low:.4g}, {r.high:.4g}]" for r in own.itertuples())]
            for name, own in rows.groupby("condition", sort=False)
        ]
        headers = ["condition", *(f"{n} clips" for n in sorted(set(rows["clips"])))]
        lines += [
            f"\n## {part} part\n",
            tabulate(cells, headers=headers, tablefmt="pipe", disable_numparse=True),
        ]
    wrong = broken(table)
    return "\n".join([*lines, "\n" + ("\n".join(wrong) if wrong else "Every documented order holds.") + "\n"])


def main(argv: list[str] | None = None) -> int:
    """Measure, write, and return 1 if an order is broken."""
    parser = parser_of(__doc__)
    parser.add_argument("--videos", type=Path, help="folder of your own clips instead of suite photos")
    parser.add_argument("--count", type=int, default=64, help="clips of suite photos")
    parser.add_argument("--stride", type=int, default=4, help="frames between windows of your own clips")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(argv)
    use_threads(1)
    try:
        clips = windows(options.videos, options.stride) if options.videos else suite_clips(options.count)
        table = measure(features(clips))
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    name = "photo_order_videos" if options.videos else "photo_order"
    source = "windows of own videos" if options.videos else "suite `photos`"
    words = " ".join(["python -m benchmarks.photo_order", *(sys.argv[1:] if argv is None else argv)])
    about = f"Clips of {FRAMES} frames ({source}), spoilt, against the clean ones. Written by `{words}`; {describe()}"
    table.to_csv(options.out / f"{name}.csv", index=False, float_format="%.6g")
    write_text(options.out / f"{name}.md", to_markdown(table, about))
    print(to_markdown(table, about))
    return 1 if broken(table) else 0


if __name__ == "__main__":
    sys.exit(main())
