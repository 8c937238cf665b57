"""Search the learning rates of an embedded model by short runs of equal length.

Each run trains from nothing with half, once and twice the default rates, on the same clips and on the whole schedule in
small. The lowest loss over all validation clips wins. Runs that are finished are not repeated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toraeval.config.training_tasks import TuneOptions
from toraeval.training.engine.log import write_rows
from toraeval.training.recipes import nano
from toraeval.training.recipes.learners import Learner, learner
from toraeval.training.recipes.train import prepare_for, recipe
from toraeval.training.recipes.validation import MEASURES
from toraeval.types import UserError

WARMUP_SHARE = 0.06  # of the steps, as in the full run of a hundred in 1,800
CLIPS_PER_STEP = 26


def rates(tries: int) -> list[float]:
    """Return the factors on the default learning rates, e.g. 0.5, 1, 2."""
    return [2.0 ** (k - tries // 2) for k in range(tries)]


def run(kind: Learner, options: TuneOptions, rate: float) -> dict[str, Any]:
    """Train with one rate, or take the result that is there; returns its row of the table."""
    folder = Path(options.folder)
    plain = recipe(folder, kind)
    tried = recipe(
        folder,
        kind,
        out=str(folder / "tuning" / f"{kind.name}-{rate:g}-{options.samples}-{options.seed}"),
        samples=options.samples,
        lr_matrix=rate * plain.lr_matrix,
        lr_other=rate * plain.lr_other,
        warmup_steps=max(1, round(WARMUP_SHARE * options.samples / CLIPS_PER_STEP)),
        seed=options.seed,
        workers=options.workers,
        validation_share=1.0,
    )
    found = nano.result(tried, nano.Ending(keep=False))
    return {
        "rate": rate,
        "lr_matrix": tried.lr_matrix,
        "lr_other": tried.lr_other,
        "clips": found["clips"],
        "steps": found["steps"],
        "seconds": round(found["seconds"]),
        "last_training_loss": found["last_loss"],
        **{f"validation_{name}": round(found[name], 5) for name in MEASURES},
    }


def main(options: TuneOptions) -> int:
    """Try every rate and write the table.

    Raises:
        UserError: a number below 1.
    """
    for name in ("tries", "samples", "workers"):
        if getattr(options, name) < 1:
            raise UserError(f"train task=tune: {name}={getattr(options, name)}; allowed: 1 and more")
    kind = learner(options.model)
    prepare_for(Path(options.folder), kind, options.clips, options.workers, None)
    results = [run(kind, options, rate) for rate in rates(options.tries)]
    best = min(results, key=lambda row: (row["validation_all"], row["rate"]))
    table = Path(options.table or f"docs/models/{kind.name}_tuning.csv")
    write_rows(table, [{**row, "chosen": int(row is best)} for row in results])
    return 0
