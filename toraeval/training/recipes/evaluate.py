"""How well embedded models follow paths: of a run at its last checkpoint, and by the number of sampling steps.

Sampling steps are chosen by the same rule for every model: those with the lowest TrajError on validation cases; of
equal errors the fewest steps win.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toraeval import registry
from toraeval.config.training_tasks import EvaluateOptions, StepsOptions
from toraeval.metrics.traj_error import TrajError
from toraeval.models.shared.base import Generator
from toraeval.suites.shapes.suite import Shapes
from toraeval.trackers.lucas_kanade import LucasKanade
from toraeval.training.data.scenes import SIZE
from toraeval.training.engine.distributed import processes
from toraeval.training.engine.log import write_rows
from toraeval.training.recipes import nano
from toraeval.training.recipes.train import state_folder
from toraeval.types import Case, Video


def errors(case: Case, video: Video) -> float:
    """Return the case's TrajError in pixels by the embedded tracker."""
    seen = LucasKanade().track(video, case.trajectories.tracks_NT2[:, 0])
    return float(TrajError().score(case, seen).values["traj_error"])


def load_state(folder: Path, averaged: bool, options: dict[str, Any]) -> tuple[Generator, int]:
    """Return the generator of a run's last checkpoint, from the weights or their average, and the clips it has seen.

    Raises:
        UserError: no run in the folder.
    """
    recipe = nano.stored(folder)
    with tempfile.TemporaryDirectory() as temporary, processes("cpu") as world:
        weights = Path(temporary) / "state.safetensors"
        ending = nano.Ending(weights, averaged=averaged)
        card = nano.export(nano.build(recipe, world), recipe, ending)
        generator = registry.build("model", {"name": recipe.model, "weights": str(weights), **options})
        generator.prepare()
    return generator, card["clips_seen"]


def follow(options: EvaluateOptions) -> int:
    """Print static error, model error and seconds per clip of a run; write a sheet of frames.

    Raises:
        UserError: no run in the folder.
    """
    given = {} if options.steps is None else {"steps": options.steps}
    generator, clips = load_state(state_folder(Path(options.folder), options.model), options.averaged, given)
    rows, results = [], []
    for case in Shapes(options.split, options.cases).cases(options.frames, SIZE, SIZE)[: options.cases]:
        began = time.perf_counter()
        video = generator.generate(case, 0)
        seconds = time.perf_counter() - began
        assert case.reference is not None
        still = Video.from_thwc(np.repeat(video.thwc[:1], case.frames, 0), case.fps)
        results.append((errors(case, still), errors(case, video), seconds))
        picks = np.linspace(0, case.frames - 1, 6).round().astype(int)
        both = (case.reference().video.thwc, video.thwc)
        rows.append(np.concatenate([np.concatenate([v[t, ::4, ::4] for t in picks], 1) for v in both], 1))
    static, error, times = np.array(results).T
    report = {
        "clips": clips,
        "frames": options.frames,
        "static": round(static.mean(), 2),
        generator.name: round(error.mean(), 2),
        "ratio": round(error.mean() / static.mean(), 3),
        "per_case": error.round(1).tolist(),
        "seconds": round(float(np.median(times)), 2),
    }
    print(json.dumps(report))  # noqa: T201
    if options.sheet:
        from PIL import Image

        Image.fromarray(np.concatenate(rows)).save(options.sheet)
    return 0


def compare(
    build: Callable[[int], Generator], candidates: Sequence[int], cases: Sequence[Case]
) -> list[dict[str, object]]:
    """Return a row per number of steps: mean TrajError in pixels, seconds per clip, and which one is chosen."""
    rows: list[dict[str, object]] = []
    found = []
    for steps in candidates:
        generator = build(steps)
        began = time.perf_counter()
        videos = [generator.generate(case, 0) for case in cases]
        seconds = (time.perf_counter() - began) / len(cases)
        found.append(float(np.mean([errors(c, v) for c, v in zip(cases, videos, strict=True)])))
        rows.append({"steps": steps, "cases": len(cases), "traj_error": f"{found[-1]:.3f}"})
        rows[-1]["seconds_per_clip"] = f"{seconds:.2f}"
    best = min(range(len(found)), key=lambda k: (found[k], candidates[k]))
    return [{**row, "chosen": int(k == best)} for k, row in enumerate(rows)]


def choose_steps(options: StepsOptions) -> int:
    """Compare the candidates and write the table.

    Raises:
        UserError: weights that do not load.
    """
    torch.set_num_threads(1)
    weights = {} if options.weights is None else {"weights": options.weights}

    def build(steps: int) -> Generator:
        return registry.build("model", {"name": options.model, "steps": steps, **weights})  # type: ignore[no-any-return]

    cases = Shapes("validation", options.cases).cases(options.frames, SIZE, SIZE)
    rows = compare(build, options.candidates, cases)
    write_rows(Path(options.table or f"docs/models/{options.model}_steps.csv"), rows)
    return 0
