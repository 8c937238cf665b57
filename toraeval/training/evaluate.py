"""Follow a training run: TrajError and pictures of validation scenes, from any saved state."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from toraeval.metrics.traj_error import TrajError
from toraeval.models.tora.config import nano
from toraeval.models.tora.linear_vae import LinearPatchAutoencoder
from toraeval.models.tora.model import Tora
from toraeval.models.tora.pipeline import SamplingOptions, generate_frames
from toraeval.suites.shapes import Shapes
from toraeval.trackers.lucas_kanade import LucasKanade
from toraeval.types import Case, Video


def load_state(path: Path, vae_path: Path, average: bool = True) -> tuple[Tora, LinearPatchAutoencoder, int]:
    """Load a training state; returns network, autoencoder and clips seen."""
    from safetensors.torch import load_file

    saved = torch.load(path, weights_only=True, map_location="cpu")
    model = Tora(nano())
    model.load_state_dict(saved["average" if average else "model"])
    state = load_file(str(vae_path))
    vae = LinearPatchAutoencoder(state["basis"].shape[0])
    vae.load_state_dict(state)
    return model.eval(), vae, int(saved["clips"])


def generate(model: Tora, vae: LinearPatchAutoencoder, case: Case, options: SamplingOptions) -> Video:
    """Generate one case as `model=tora` does."""
    return Video.from_thwc(generate_frames(model, vae, case, 0, options)[: case.frames], case.fps)


def errors(case: Case, video: Video) -> float:
    """Return the case's TrajError in pixels by the embedded tracker."""
    seen = LucasKanade().track(video, case.trajectories.tracks_NT2[:, 0])
    return float(TrajError().score(case, seen).values["traj_error"])


def main() -> None:
    """Print static error, model error and seconds per clip; write a sheet of frames."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--steps", type=int, default=SamplingOptions().steps)
    parser.add_argument("--weights", choices=("last", "average"), default="last")
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    model, vae, clips = load_state(args.state, args.vae, args.weights == "average")
    rows, results = [], []
    for case in Shapes(args.split, args.cases).cases(args.frames, 512, 512)[: args.cases]:
        began = time.perf_counter()
        video = generate(model, vae, case, SamplingOptions(args.steps))
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
        "tora": round(error.mean(), 2),
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
