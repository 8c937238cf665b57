"""Choose the sampling steps of an embedded model: the candidate with the lowest TrajError on validation cases.

`python -m toraeval.training.recipes.choose_steps model=tora` tries 1, 2, 4 and 8 steps on 16 cases of
16 frames and writes
`docs/models/<model>_steps.csv`. The rule is the same for every model; of equal errors the fewest steps win.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from toraeval import registry
from toraeval.models.shared.base import Generator
from toraeval.suites.shapes.suite import Shapes
from toraeval.training.engine.command import run_command
from toraeval.training.engine.tables import write_rows
from toraeval.training.recipes.evaluate import errors
from toraeval.training.recipes.learners import learner
from toraeval.types import Case, UserError

SIDE = 512


@dataclass
class Options:
    """Options of the command.

    Attributes:
        model: an embedded model.
        weights: its weights file, the shipped one if not given.
        candidates: numbers of steps.
        cases: validation cases.
        frames: of each case.
        table: CSV to write, `docs/models/<model>_steps.csv` if not given.
    """

    model: str = "tora"
    weights: str | None = None
    candidates: list[int] = field(default_factory=lambda: [1, 2, 4, 8])
    cases: int = 16
    frames: int = 16
    table: str | None = None


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


def choose(options: Options) -> None:
    """Compare the candidates and write the table.

    Raises:
        UserError: an unknown model, no cases, a candidate below 1, or weights that do not load.
    """
    if options.cases < 1 or not options.candidates or min(options.candidates) < 1:
        raise UserError(
            f"choose_steps: cases={options.cases} candidates={options.candidates}; allowed: numbers from 1 on"
        )
    name = learner(options.model).name
    torch.set_num_threads(1)
    weights = {} if options.weights is None else {"weights": options.weights}

    def build(steps: int) -> Generator:
        return registry.build("model", {"name": name, "steps": steps, **weights})  # type: ignore[no-any-return]

    cases = Shapes("validation", options.cases).cases(options.frames, SIDE, SIDE)
    rows = compare(build, options.candidates, cases)
    write_rows(Path(options.table or f"docs/models/{name}_steps.csv"), rows)


if __name__ == "__main__":
    sys.exit(run_command(Options, choose, sys.argv[1:]))
