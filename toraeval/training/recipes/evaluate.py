"""Follow a training run: TrajError and pictures of validation scenes, from any saved state."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import registry
from toraeval.metrics.traj_error import TrajError
from toraeval.models.shared.base import Generator
from toraeval.suites.shapes.suite import Shapes
from toraeval.trackers.lucas_kanade import LucasKanade
from toraeval.training.recipes.train import export
from toraeval.types import Case, Video


def load_state(folder: Path, vae: Path, average: bool, options: dict[str, Any]) -> tuple[Generator, int]:
    """Return the generator of a training state and the clips that it has seen.

    Args:
        folder: holds `state.pt` and `config.json`.
        vae: the autoencoder that it is trained with.
        average: take the moving average of the weights.
        options: further options of the generator.
    """
    name = json.loads((folder / "config.json").read_text())["model"]
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "state.safetensors"
        card = export(folder, vae, weights, average=average)
        generator = registry.build("model", {"name": name, "weights": str(weights), **options})
        generator.prepare()
    return generator, card["clips_seen"]


def errors(case: Case, video: Video) -> float:
    """Return the case's TrajError in pixels by the embedded tracker."""
    seen = LucasKanade().track(video, case.trajectories.tracks_NT2[:, 0])
    return float(TrajError().score(case, seen).values["traj_error"])


def main() -> None:
    """Print static error, model error and seconds per clip; write a sheet of frames."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state.pt of a run")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--steps", type=int, help="of the sampler, the model's own number if not given")
    parser.add_argument("--weights", choices=("last", "average"), default="last")
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    options = {} if args.steps is None else {"steps": args.steps}
    generator, clips = load_state(args.state.parent, args.vae, args.weights == "average", options)
    rows, results = [], []
    for case in Shapes(args.split, args.cases).cases(args.frames, 512, 512)[: args.cases]:
        began = time.perf_counter()
        video = generator.generate(case, 0)
        seconds = time.perf_counter() - began
        assert case.reference is not None
        still = Video.from_thwc(np.repeat(video.thwc[:1], case.frames, 0), case.fps)
        results.append((errors(case, still), errors(case, video), seconds))
        picks = np.linspace(0, case.frames - 1, 6).round().astype(int)
        both = (case.reference().video.thwc, video.thwc)
        rows.append(np.concatenate([np.concatenate([v[t, ::4, ::4] for t in picks], 1) for v in both], 1))
    static, error, seconds = np.array(results).T
    report = {
        "clips": clips,
        "frames": args.frames,
        "static": round(static.mean(), 2),
        generator.name: round(error.mean(), 2),
        "ratio": round(error.mean() / static.mean(), 3),
        "per_case": error.round(1).tolist(),
        "seconds": round(float(np.median(seconds)), 2),
    }
    print(json.dumps(report))  # noqa: T201
    if args.sheet:
        from PIL import Image

        Image.fromarray(np.concatenate(rows)).save(args.sheet)


if __name__ == "__main__":
    main()
