"""Short runs of equal length that choose the recipe of the embedded models, one change at a time.

Runs that are made are not repeated, those that were stopped resume; two commands side by side take `part=0 parts=2` and
`part=1 parts=2`. All runs see the same clips on a small version of the whole schedule, on one thread each, and are
measured on the same validation clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from toraeval.config.training_tasks import TrialsOptions
from toraeval.store.sealed import read_json
from toraeval.training.engine.launch import require_device
from toraeval.training.engine.log import write_rows
from toraeval.training.recipes import nano, second
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import MEASURES
from toraeval.types import UserError


@dataclass(frozen=True)
class Trial:
    """One run.

    Attributes:
        name: folder and row.
        change: in words, against the first trial.
        model: that is trained.
        network: options that differ from `second.network`.
        settings: values of `NanoRecipe` that differ from the first trial's.
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


def settings(trial: Trial, options: TrialsOptions) -> NanoRecipe:
    """Return the recipe of a trial."""
    changes = dict(trial.settings)
    choices = second.Choices("none", changes.pop("loc", 1.5), trial.rate, None, 0.35, 0.15)
    return replace(
        second.recipe(trial.model, Path(options.data), 0, choices, options.device),
        **{
            "out": str(Path(options.folder) / "trials" / trial.name),
            "network": second.network(trial.model, **trial.network),
            "samples": options.samples,
            "minutes": options.minutes,
            "warmup_steps": 30,
            "tokens": 1280 * options.batch,
            "clips": options.clips,
            "validation_share": 1.0,
            "save_minutes": 2.0,
            **changes,
        },
    )


def row(trial: Trial, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a finished trial in the table."""
    return {
        "trial": trial.name,
        "change": trial.change,
        "parameters": found["parameters"],
        "minutes": round(found["seconds"] / 60, 1),
        **{name: found[name] for name in ("clips", "steps", "training_loss")},
        **{name: round(found[name], 4) for name in MEASURES},
    }


def main(options: TrialsOptions) -> int:
    """Make every trial that is wanted and write the table after each.

    Raises:
        UserError: an unknown trial, or data that are not there.
    """
    wanted = [name for name in options.names.split(",") if name]
    unknown = set(wanted) - {trial.name for trial in TRIALS}
    if unknown or not 0 <= options.part < options.parts or options.minutes <= 0 or options.workers < 1:
        raise UserError(
            f"train task=trials: names={options.names} part={options.part} parts={options.parts} "
            f"minutes={options.minutes:g}; allowed: names of {', '.join(t.name for t in TRIALS)}, 0 <= part < parts, "
            "minutes above 0"
        )
    require_device(options.device)
    second.prepare(Path(options.data), options.clips, options.workers, options.device)
    chosen = [trial for trial in TRIALS if not wanted or trial.name in wanted]
    mine = chosen[options.part :: options.parts]
    if options.workers == 1:
        for trial in mine:
            _make(trial, options)
        return 0
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        for made in as_completed([pool.submit(_make, trial, options) for trial in mine]):
            made.result()
            _write_table(options)
    return 0


def _make(trial: Trial, options: TrialsOptions) -> None:
    torch.set_num_threads(1)
    nano.result(settings(trial, options), nano.Ending(keep=False))
    if options.workers == 1:
        _write_table(options)


def _write_table(options: TrialsOptions) -> None:
    found = [(t, read_json(Path(options.folder) / "trials" / t.name / "result.json")) for t in TRIALS]
    write_rows(Path(options.table), [row(trial, result) for trial, result in found if result is not None])
