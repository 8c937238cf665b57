"""The trials that chose the recipe of the embedded models: short runs of equal length, one change at a time.

Runs that are made are not repeated, those that were stopped resume; two commands side by side take `part=0 parts=2` and
`part=1 parts=2`. All see the same clips on a small version of the whole schedule, on one thread each, and are measured
on the same validation clips. `docs/models/recipe.md` has their table; the defaults of
`toraeval.training.recipes.nano_recipe` are what it decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toraeval.config.training_tasks import TrialsOptions
from toraeval.store.sealed import read_json
from toraeval.training.engine.launch import require_device
from toraeval.training.engine.log import write_rows
from toraeval.training.recipes import nano, train
from toraeval.training.recipes.learners import learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import MEASURES
from toraeval.types import UserError


@dataclass(frozen=True)
class Trial:
    """One run."""

    name: str  # folder and row
    change: str  # in words, against the first trial
    changes: Mapping[str, Any] = field(default_factory=dict)  # of `FIRST`, what differs
    model: str = "tora"  # that is trained
    network: Mapping[str, Any] = field(default_factory=dict)  # options of the network that differ


# `loc` of the time steps, `rate`: factor on the learning rates; else values of `NanoRecipe`
FIRST: Mapping[str, Any] = {
    "loc": 1.5, "rate": 0.5, "group_window": None, "single_share": 0.35, "dense_share": 0.15
}  # fmt: skip
TRIALS = (
    Trial("base", "none: tokens of 32 px, width 192, 4 pairs of blocks"),
    Trial("wan_move", "model=wan_move: copied latents instead of extractor and fusers", model="wan_move"),
    Trial("entity", "binding=entity", network={"binding": "entity"}),
    Trial("noise", "time steps nearer to pure noise: loc 3.0 instead of 1.5", {"loc": 3.0}),
    Trial("rate", "learning rates twice as high", {"rate": 1.0}),
    Trial("tokens64", "tokens of 64 px", network={"patch_size": (1, 2, 2)}),
    Trial("objects", "clips with several objects from the start", {"single_share": 0.0}),
    Trial("windows", "windows around all objects of a clip", {"group_window": 7}),
    Trial("sparse", "no stage on dense flow", {"dense_share": 0.0}),
    Trial(
        "wide",
        "3 pairs of blocks of width 224",
        network={"depth": 3, "hidden_size": 224, "num_heads": 4, "mlp_ratio": 4.0},
    ),
)


def settings(trial: Trial, options: TrialsOptions) -> NanoRecipe:
    """Return the recipe of a trial."""
    given = {**FIRST, **trial.changes}
    loc, rate = given.pop("loc"), given.pop("rate")
    kind = learner(trial.model)
    return train.recipe(
        Path(options.data),
        kind,
        rate,
        out=str(Path(options.folder) / "trials" / trial.name),
        network=kind.configure(**{"binding": "none", **trial.network}),
        flow=replace(NanoRecipe().flow, loc=loc),
        minutes=options.minutes,
        samples=options.samples,
        clock="processor" if options.device == "cpu" else "wall",
        device=options.device,
        workers=1,
        warmup_steps=30,
        tokens=1280 * options.batch,
        clips=options.clips,
        validation_share=1.0,
        save_minutes=2.0,
        **given,
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


def run(options: TrialsOptions) -> int:
    """Make every trial that is wanted and write the table after each.

    Raises:
        UserError: an unknown trial, or a part that is not there.
    """
    wanted = [name for name in options.names.split(",") if name]
    if set(wanted) - {trial.name for trial in TRIALS} or not 0 <= options.part < options.parts:
        raise UserError(
            f"train task=trials: names={options.names} part={options.part} parts={options.parts}; "
            f"allowed: names of {', '.join(t.name for t in TRIALS)}, 0 <= part < parts"
        )
    require_device(options.device)
    train.prepare_for(
        Path(options.data), learner("tora"), options.clips, options.workers, device=options.device
    )
    chosen = [trial for trial in TRIALS if not wanted or trial.name in wanted]
    runs = [
        (settings(trial, options), nano.Ending(keep=False)) for trial in chosen[options.part :: options.parts]
    ]
    for _ in nano.results(runs, options.workers):
        found = [(t, read_json(Path(options.folder) / "trials" / t.name / "result.json")) for t in TRIALS]
        write_rows(Path(options.table), [row(trial, result) for trial, result in found if result is not None])
    return 0
