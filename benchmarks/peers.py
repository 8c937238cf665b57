"""Time what others have written for the same task beside our own, in turns within one process.

    python -m benchmarks.peers --tapnet ~/tapnet --co-tracker ~/co-tracker --open-sora ~/Open-Sora

Prints JSON, which `benchmarks.all` collects. A peer that is not there is a recorded skip: `pip install scikit-image
decord` brings two, and checkouts of google-deepmind/tapnet, facebookresearch/co-tracker and hpcaitech/Open-Sora
(v1.2.0, with einops and rotary-embedding-torch) the others.
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
import sys
import tempfile
import time
import typing
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import parser_of, use_threads

LEAST_S = 0.05  # shorter calls are repeated up to this
ROUNDS = 7


class Pair(NamedTuple):
    """A task, who else does it, and both functions."""

    task: str
    peer: str
    theirs: Callable[[], Any]
    ours: Callable[[], Any]


def main() -> None:
    args = parse()
    use_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for make in (frechet, ssim, bootstrap, tapvid, reading, decord, co_tracker, transformer):
            try:
                for pair in make(args, Path(folder)):
                    found.append(timed(pair))
                    print(found[-1], file=sys.stderr, flush=True)
            except (ImportError, OSError, SkipError) as error:
                found.append({"task": make.__name__, "skipped": " ".join(str(error).split())[:160]})
    json.dump(found, sys.stdout)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    for name in ("tapnet", "co-tracker", "open-sora"):
        parser.add_argument(f"--{name}", type=Path, help="a checkout")
    return parser.parse_args()


class SkipError(Exception):
    """A peer is not there."""


def timed(pair: Pair) -> dict[str, Any]:
    """Return median processor seconds of both and the median of the ratios peer / own."""
    functions = (pair.theirs, pair.ours)
    first = [_seconds(function, 1) for function in functions]
    counts = [max(1, round(LEAST_S / max(seconds, 1e-6))) for seconds in first]
    rounds = ROUNDS if max(first) < 0.5 else 3 if max(first) < 3 else 1
    pairs = [[_seconds(f, n) for f, n in zip(functions, counts, strict=True)] for _ in range(rounds)]
    theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return {"task": pair.task, "peer": pair.peer, "theirs": theirs, "ours": ours, "ratio": ratio}


def _seconds(function: Callable[[], Any], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - start) / times


def frechet(args: argparse.Namespace, folder: Path) -> Iterator[Pair]:
    """The two lines of cd-fvd 0.1.1 and common_metrics, and the eigenvalues that FID packages moved to."""
    import scipy.linalg

    from toraeval.metrics.shared.set_distances import distance_of_sets

    def moments(sets: tuple[Any, Any]) -> list[Any]:
        return [(x.mean(0), np.cov(x, rowvar=False)) for x in sets]

    def root(sets: tuple[Any, Any]) -> float:
        (m1, s1), (m2, s2) = moments(sets)
        return float(np.square(m1 - m2).sum() + np.trace(s1 + s2 - 2 * np.real(scipy.linalg.sqrtm(s1 @ s2))))

    def eigenvalues(sets: tuple[Any, Any]) -> float:
        (m1, s1), (m2, s2) = moments(sets)
        roots = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).real.sum()
        return float(np.square(m1 - m2).sum() + np.trace(s1) + np.trace(s2) - 2 * roots)

    rng = np.random.default_rng(0)
    for count, features in ((2048, 512), (64, 512)):
        sets = (rng.normal(size=(count, features)), rng.normal(0.1, 1.1, (count, features)))
        task = f"Frechet distance, {count} x {features}"
        own = partial(distance_of_sets, [sets[0]], [sets[1]])
        yield Pair(task, "scipy sqrtm (cd-fvd, common_metrics)", partial(root, sets), own)
        yield Pair(task, "numpy eigvals", partial(eigenvalues, sets), own)


def _pictures() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    return first, np.clip(first + rng.normal(0, 9, first.shape), 0, 255).astype(np.uint8)


def ssim(args: argparse.Namespace, folder: Path) -> Iterator[Pair]:
    """One pair of pictures, Gaussian window of 11, sigma 1.5."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    from toraeval.metrics.pictures import ssim as own

    a, b = _pictures()
    x, y = (torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32) / 255) for x in (a, b))
    task = "SSIM, one pair at 512x512"
    yield Pair(
        task,
        "torchmetrics",
        lambda: structural_similarity_index_measure(x, y, data_range=1.0),
        lambda: own(a, b),
    )
    from skimage.metrics import structural_similarity

    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    yield Pair(
        task,
        "scikit-image",
        lambda: structural_similarity(a, b, data_range=255, **options),
        lambda: own(a, b),
    )


def bootstrap(args: argparse.Namespace, folder: Path) -> Iterator[Pair]:
    """BCa intervals of a mean with the same number of draws."""
    import scipy.stats

    from toraeval.stats import bootstrap_mean
    from toraeval.stats.intervals import RESAMPLES

    for count in (16, 200):
        values = np.random.default_rng(0).gamma(2.0, size=count)
        cases = {f"{k:03d}": float(v) for k, v in enumerate(values)}
        theirs = partial(scipy.stats.bootstrap, (values,), np.mean, n_resamples=RESAMPLES, method="BCa")
        task = f"BCa interval of {count} cases"
        yield Pair(task, "scipy.stats.bootstrap", theirs, partial(bootstrap_mean, cases))


def tapvid(args: argparse.Namespace, folder: Path) -> Iterator[Pair]:
    """TAP-Vid's numbers by tapnet's function, which is taken out of its file: the module imports TensorFlow."""
    from toraeval.metrics.shared.tapvid_scores import tapvid_metrics

    if args.tapnet is None:
        raise SkipError("no checkout of google-deepmind/tapnet; give --tapnet")
    source = (args.tapnet / "tapnet/tapvid/evaluation_datasets.py").read_text()
    tree = ast.parse(source)
    name = "compute_tapvid_metrics"
    body: list[ast.stmt] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    space: dict[str, Any] = {"np": np, **vars(typing)}
    exec(compile(ast.Module(body, []), "tapnet", "exec"), space)
    rng = np.random.default_rng(0)
    for points, frames in ((3, 128), (256, 64)):
        target = rng.uniform(0, 256, (points, frames, 2))
        tracked = target + rng.normal(0, 4, target.shape)
        seen, claimed = rng.random((2, points, frames)) > 0.2
        query = np.zeros((points, 3))
        theirs = partial(
            space[name], query[None], ~seen[None], target[None], ~claimed[None], tracked[None], "first"
        )
        ours = partial(tapvid_metrics, query[:, 0], target, seen, tracked, claimed)
        yield Pair(f"TAP-Vid metrics, {points} points, {frames} frames", "tapnet", theirs, ours)


def _clip(folder: Path) -> tuple[Path, Any]:
    from toraeval import registry
    from toraeval.video import write_lossless

    video = registry.build("suite", {"name": "shapes"}).cases(64, 512, 512, 1)[0].reference().video
    return write_lossless(video, folder / "clip.mkv"), video


def reading(args: argparse.Namespace, folder: Path) -> Iterator[Pair]:
    """All frames of a lossless clip as RGB."""
    import av

    from toraeval.video import read_video

    file, _ = _clip(folder)

    def bare() -> Any:
        with av.open(str(file)) as container:
            container.streams.video[0].thread_type = "AUTO"
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])

    yield Pair("reading 64 lossless frames at 512x512", "PyAV", bare, lambda: read_video(file))


def decord(args: argparse.Namespace, folder: Path) -> Iterator[Pair]:
    """All frames of a preview as RGB; decord reads no lossless RGB."""
    from decord import VideoReader

    from toraeval.video import read_video, write_preview

    file = folder / "preview.mp4"
    write_preview(_clip(folder)[1], file)
    yield Pair(
        "reading 64 frames of a preview at 512x512",
        "decord",
        lambda: VideoReader(str(file), num_threads=1).get_batch(range(64)).asnumpy(),
        lambda: read_video(file),
    )


def co_tracker(args: argparse.Namespace, folder: Path) -> Iterator[Pair]:
    """CoTracker3 with random weights: its own predictor, and the tracker around it."""
    import torch

    from toraeval import registry
    from toraeval.types import Video

    if args.co_tracker is None:
        raise SkipError("no checkout of facebookresearch/co-tracker; give --co-tracker")
    frames = np.random.default_rng(0).integers(0, 256, (16, 128, 128, 3), dtype=np.uint8)
    options = {"weights": "random", "source": "local", "repo_dir": str(args.co_tracker)}
    tracker = registry.build("tracker", {"name": "cotracker3_offline", **options})
    tracker.track(Video.from_thwc(frames, 8.0), [[64.0, 64.0]])  # puts the checkout on the path
    sys.path.insert(0, str(args.co_tracker))
    from cotracker.predictor import CoTrackerPredictor

    predictor = CoTrackerPredictor(checkpoint=None, offline=True, window_len=60)
    clip = torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())[None].float()
    query = torch.tensor([[[0.0, 64.0, 64.0]]])

    def theirs() -> Any:
        with torch.no_grad():
            return predictor(clip, queries=query)

    yield Pair(
        "tracking 16 frames with CoTracker3",
        "co-tracker's predictor",
        theirs,
        lambda: tracker.track(Video.from_thwc(frames, 8.0), [[64.0, 64.0]]),
    )


def transformer(args: argparse.Namespace, folder: Path) -> Iterator[Pair]:
    """STDiT3 at XL/2 width, one pair of blocks, float32, 16 frames at 256x256; see `benchmarks.stdit`."""
    import torch

    from benchmarks import stdit

    if args.open_sora is None:
        raise SkipError("no checkout of hpcaitech/Open-Sora; give --open-sora")
    chosen = argparse.Namespace(
        upstream=args.open_sora, depth=1, frames=16, size=256, batch=2, text_tokens=120, frame_mask=False,
        dtype="float32", device="cpu",
    )  # fmt: skip
    inputs = stdit.make_inputs(chosen)
    models = {which: stdit.build(which, chosen) for which in ("upstream", "ours")}

    def run(which: str) -> Any:
        with torch.no_grad():
            return models[which](**inputs)

    yield Pair(
        "STDiT3, XL/2 width, one pair of blocks",
        "Open-Sora 1.2",
        lambda: run("upstream"),
        lambda: run("ours"),
    )


if __name__ == "__main__":
    main()
