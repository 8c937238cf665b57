"""Search the learning rates of an embedded model by short runs of equal length.

`python -m toraeval.training.recipes.tune model=tora tries=3 samples=4000` trains from nothing with
half, once and twice the
default rates, each time on the same clips and on the whole schedule in small, and writes the validation losses to
`docs/models/<model>_tuning.csv`. The lowest loss over all validation clips wins. Runs that are finished are not
repeated; one that was stopped goes on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from toraeval.store.sealed import read_json, write_json
from toraeval.training.engine.command import run_command
from toraeval.training.engine.settings import TrainConfig
from toraeval.training.engine.tables import read_rows, write_rows
from toraeval.training.recipes import nano
from toraeval.training.recipes.learners import Learner, learner
from toraeval.training.recipes.train import prepare
from toraeval.types import UserError

WARMUP_SHARE = 0.06  # of the steps, as in the full run of a hundred in 1,800
CLIPS_PER_STEP = 26


@dataclass
class Options:
    """Options of the command.

    Attributes:
        model: an embedded model.
        tries: number of rates; each is twice the one before, and the middle one is the default.
        samples: clips that each run is trained on.
        folder: holds autoencoder, shards and what is written, see `toraeval.training.recipes.train`.
        clips: number of 17-frame clips to render.
        workers: processes.
        seed: seed of weights and draws, the same for every run.
        table: CSV to write, `docs/models/<model>_tuning.csv` if not given.
    """

    model: str = "tora"
    tries: int = 3
    samples: int = 4000
    folder: str = "training_state"
    clips: int = 9000
    workers: int = 2
    seed: int = 0
    table: str | None = None


def rates(tries: int) -> list[float]:
    """Return the factors on the default learning rates, e.g. 0.5, 1, 2."""
    return [2.0 ** (k - tries // 2) for k in range(tries)]


def run(kind: Learner, options: Options, rate: float) -> dict[str, Any]:
    """Train with one rate, or take the result that is there; returns its row of the table."""
    folder = Path(options.folder)
    plain = TrainConfig()
    out = folder / "tuning" / f"{kind.name}-{rate:g}-{options.samples}-{options.seed}"
    result = read_json(out / "result.json")
    if result is not None:
        return result
    config = TrainConfig(
        data=str(folder / "shards"),
        out=str(out),
        vae=str(folder / "vae.safetensors"),
        model=kind.name,
        samples=options.samples,
        lr_matrix=rate * plain.lr_matrix,
        lr_other=rate * plain.lr_other,
        warmup_steps=max(1, round(WARMUP_SHARE * options.samples / CLIPS_PER_STEP)),
        seed=options.seed,
        tokens=kind.tokens,
        workers=options.workers,
        validation=str(folder / "validation.npz"),
        validation_share=1.0,
    )
    nano.train(config)
    saved = torch.load(out / "state.pt", weights_only=True, map_location="cpu")
    losses = [float(row["loss"]) for row in read_rows(out / "log.csv")]
    result = {
        "rate": rate,
        "lr_matrix": config.lr_matrix,
        "lr_other": config.lr_other,
        "clips": saved["clips"],
        "steps": saved["step"],
        "seconds": round(saved["seconds"]),
        "last_training_loss": losses[-1] if losses else None,
        **{f"validation_{name}": round(loss, 5) for name, loss in saved["validation"].items()},
    }
    write_json(out / "result.json", result)
    (out / "state.pt").unlink()  # 200 MB a run, and no longer needed
    return result


def tune(options: Options) -> None:
    """Try every rate and write the table.

    Raises:
        UserError: an unknown model or a number below 1.
    """
    for name in ("tries", "samples", "workers"):
        if getattr(options, name) < 1:
            raise UserError(f"tune: {name}={getattr(options, name)}; allowed: 1 and more")
    kind = learner(options.model)
    prepare(Path(options.folder), kind, options.clips, options.workers, None)
    results = [run(kind, options, rate) for rate in rates(options.tries)]
    best = min(results, key=lambda row: (row["validation_all"], row["rate"]))
    table = Path(options.table or f"docs/models/{kind.name}_tuning.csv")
    write_rows(table, [{**row, "chosen": int(row is best)} for row in results])


if __name__ == "__main__":
    sys.exit(run_command(Options, tune, sys.argv[1:]))
