"""Short runs of equal processor time that choose the recipe of the embedded models, one change at a time.

`python -m toraeval.training.recipes.trials folder=training_state/trials data=training_state/gen2` makes
the runs that are not
made yet and writes `docs/models/recipe.csv`; stopped, it resumes. Two of them side by side take `part=0 parts=2` and
`part=1 parts=2`. All runs see the same clips on a small version of the whole schedule, on one thread each, and are
measured on the same validation clips.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from toraeval.models.shared.rectified_flow import FlowConfig
from toraeval.store.sealed import read_json, write_json
from toraeval.training.engine.command import run_command
from toraeval.training.engine.settings import TrainConfig
from toraeval.training.engine.tables import read_rows, write_rows
from toraeval.training.recipes import nano, second
from toraeval.types import UserError


@dataclass(frozen=True)
class Trial:
    """One run.

    Attributes:
        name: folder and row.
        change: in words, against the first trial.
        model: that is trained.
        network: options that differ from `second.network`.
        settings: options of `TrainConfig` that differ from the first trial's.
        rate: factor on both learning rates.
    """

    name: str
    change: str
    model: str = "tora"
    network: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    rate: float = 1.0


TRIALS = (
    Trial("base", "none: tokens of 32 px, width 192, 4 pairs of blocks"),
    Trial("wan_move", "model=wan_move: copied latents instead of extractor and fusers", "wan_move"),
    Trial("entity", "binding=entity", network={"binding": "entity"}),
    Trial("noise", "time steps nearer to pure noise: loc 3.0 instead of 1.5", settings={"loc": 3.0}),
    Trial("rate", "learning rates twice as high", rate=2.0),
    Trial("tokens64", "tokens of 64 px", network={"patch_size": (1, 2, 2)}),
    Trial("objects", "clips with several objects from the start", settings={"single_share": 0.0}),
    Trial("windows", "windows around all objects of a clip", settings={"group_window": 7}),
    Trial("sparse", "no stage on dense flow", settings={"dense_share": 0.0}),
    Trial(
        "wide",
        "3 pairs of blocks of width 224",
        network={"depth": 3, "hidden_size": 224, "num_heads": 4, "mlp_ratio": 4.0},
    ),
)


# what a trial that pays changes in the recipe, and what it stays at if it does not
DECIDES: Mapping[str, tuple[str, Any, Any]] = {
    "entity": ("binding", "entity", "none"),
    "noise": ("loc", 3.0, 1.5),
    "rate": ("rate", 2.0, 1.0),
    "objects": ("single_share", 0.0, 0.35),
    "windows": ("group_window", 7, None),
    "sparse": ("dense_share", 0.0, 0.15),
}
PAYS = 0.99  # a change is kept whose error at the objects is at most this share of the first trial's


def choose(folder: Path) -> second.Choices:
    """Return the recipe that the finished trials of a folder speak for; what they leave open stays at its default."""
    results = {trial.name: read_json(folder / trial.name / "result.json") for trial in TRIALS}
    errors = {
        name: float(row["object_one"]) + float(row["object_several"])
        for name, row in results.items()
        if row is not None
    }
    decided = {
        field: better if errors[name] <= PAYS * errors["base"] else worse
        for name, (field, better, worse) in DECIDES.items()
        if name in errors and "base" in errors
    }
    return second.Choices(**decided)


@dataclass
class Options:
    """Options of the command.

    Attributes:
        folder: gets one folder per trial.
        data: holds autoencoder, shards and validation clips, see `toraeval.training.recipes.second`.
        minutes: processor minutes of each trial.
        clips: of 17 frames that every trial may see.
        part, parts: make every `parts`-th trial, from number `part` on.
        names: only these trials, separated by commas.
        table: CSV to write.
    """

    folder: str = "training_state/trials"
    data: str = "training_state/gen2"
    minutes: float = 6.0
    clips: int = 4032
    part: int = 0
    parts: int = 1
    names: str = ""
    table: str = "docs/models/recipe.csv"


def settings(trial: Trial, options: Options) -> TrainConfig:
    """Return the configuration of a trial."""
    data, changes = Path(options.data), dict(trial.settings)
    flow = FlowConfig(prediction="clean", loc=changes.pop("loc", 1.5), t_min=0.4)
    plain = TrainConfig()
    base = TrainConfig(
        data=str(data / "shards"),
        out=str(Path(options.folder) / trial.name),
        vae=str(data / "vae.safetensors"),
        model=trial.model,
        network=second.network(trial.model, **trial.network),
        minutes=options.minutes,
        clock="processor",
        lr_matrix=trial.rate * plain.lr_matrix,
        lr_other=trial.rate * plain.lr_other,
        warmup_steps=30,
        tokens=1280,
        clips=options.clips,
        workers=1,
        validation=str(data / "validation.npz"),
        validation_share=1.0,
        flow=flow,
        save_minutes=2.0,
    )
    return replace(base, **changes)


def run(trial: Trial, options: Options) -> dict[str, Any]:
    """Make a trial, or take the result that is there; returns its row of the table."""
    config = settings(trial, options)
    out = Path(config.out)
    result = read_json(out / "result.json")
    if result is not None:
        return result
    nano.train(config)
    saved = torch.load(out / "state.pt", weights_only=True, map_location="cpu")
    losses = [float(row["loss"]) for row in read_rows(out / "log.csv")][-5:]
    result = {
        "trial": trial.name,
        "change": trial.change,
        "parameters": sum(v.numel() for v in saved["model"].values()),
        "processor_minutes": round(saved["seconds"] / 60, 1),
        "clips": saved["clips"],
        "steps": saved["step"],
        "training_loss": round(sum(losses) / max(1, len(losses)), 4),
        **{name: round(value, 4) for name, value in saved["validation"].items()},
    }
    write_json(out / "result.json", result)
    (out / "state.pt").unlink()
    return result


def run_all(options: Options) -> None:
    """Make every trial that is asked for and write the table after each.

    Raises:
        UserError: an unknown trial, or data that are not there.
    """
    wanted = [name for name in options.names.split(",") if name]
    unknown = set(wanted) - {trial.name for trial in TRIALS}
    if unknown or not 0 <= options.part < options.parts or options.minutes <= 0:
        raise UserError(
            f"trials: names={options.names} part={options.part} parts={options.parts} minutes={options.minutes:g}; "
            f"allowed: names of {', '.join(t.name for t in TRIALS)}, 0 <= part < parts, minutes above 0"
        )
    torch.set_num_threads(1)
    second.prepare(Path(options.data), options.clips)
    chosen = [trial for trial in TRIALS if not wanted or trial.name in wanted]
    for trial in chosen[options.part :: options.parts]:
        run(trial, options)
        stored = (read_json(Path(options.folder) / t.name / "result.json") for t in TRIALS)
        write_rows(Path(options.table), [row for row in stored if row is not None])


if __name__ == "__main__":
    sys.exit(run_command(Options, run_all, sys.argv[1:]))
