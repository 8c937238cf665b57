"""Short runs of equal length that choose the recipe of the embedded models, one change at a time.

Runs that are made are not repeated, those that were stopped resume; two commands side by side take `part=0 parts=2` and
`part=1 parts=2`. All runs see the same clips on a small version of the whole schedule, on one thread each, and are
measured on the same validation clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        choices: of `second.CHOICES`, what differs from `FIRST`; a trial that pays decides them.
        model: that is trained.
        network: further options of the network that differ.
    """

    name: str
    change: str
    choices: Mapping[str, Any] = field(default_factory=dict)
    model: str = "tora"
    network: Mapping[str, Any] = field(default_factory=dict)


FIRST: Mapping[str, Any] = {
    "binding": "none", "loc": 1.5, "rate": 1.0, "group_window": None, "single_share": 0.35, "dense_share": 0.15
}  # fmt: skip
TRIALS = (
    Trial("base", "none: tokens of 32 px, width 192, 4 pairs of blocks"),
    Trial("wan_move", "model=wan_move: copied latents instead of extractor and fusers", model="wan_move"),
    Trial("entity", "binding=entity", {"binding": "entity"}),
    Trial("noise", "time steps nearer to pure noise: loc 3.0 instead of 1.5", {"loc": 3.0}),
    Trial("rate", "learning rates twice as high", {"rate": 2.0}),
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
PAYS = 0.99  # a change is kept whose error at the objects is at most this share of the first trial's


def choose(folder: Path) -> dict[str, Any]:
    """Return the `second.CHOICES` that the finished trials of a folder speak for; they leave open what has no trial."""
    results = {trial.name: read_json(folder / trial.name / "result.json") for trial in TRIALS}
    errors = {
        name: float(row["object_one"]) + float(row["object_several"])
        for name, row in results.items()
        if row is not None
    }
    decided = dict(second.CHOICES)
    for trial in TRIALS:
        if trial.name in errors and "base" in errors:
            pays = errors[trial.name] <= PAYS * errors["base"]
            decided |= trial.choices if pays else {name: FIRST[name] for name in trial.choices}
    return decided


def settings(trial: Trial, options: TrialsOptions) -> NanoRecipe:
    """Return the recipe of a trial."""
    return second.recipe(
        trial.model,
        Path(options.data),
        options.samples,
        {**FIRST, **trial.choices},
        options.device,
        network=trial.network,
        out=str(Path(options.folder) / "trials" / trial.name),
        minutes=options.minutes,
        warmup_steps=30,
        tokens=1280 * options.batch,
        clips=options.clips,
        validation_share=1.0,
        save_minutes=2.0,
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
    if set(wanted) - {trial.name for trial in TRIALS} or not 0 <= options.part < options.parts:
        raise UserError(
            f"train task=trials: names={options.names} part={options.part} parts={options.parts}; "
            f"allowed: names of {', '.join(t.name for t in TRIALS)}, 0 <= part < parts"
        )
    require_device(options.device)
    second.prepare(Path(options.data), options.clips, options.workers, options.device)
    chosen = [trial for trial in TRIALS if not wanted or trial.name in wanted]
    runs = [
        (settings(trial, options), nano.Ending(keep=False)) for trial in chosen[options.part :: options.parts]
    ]
    for _ in nano.results(runs, options.workers):
        found = [(t, read_json(Path(options.folder) / "trials" / t.name / "result.json")) for t in TRIALS]
        write_rows(Path(options.table), [row(trial, result) for trial, result in found if result is not None])
    return 0
