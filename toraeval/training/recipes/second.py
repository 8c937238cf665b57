"""The second generation of embedded models: networks, data, the trials that chose the recipe, and the long training.

All models share one folder of clips, which show version 2 of the world; autoencoder, shards and validation clips are
made once.

Trials are short runs of equal length, one change at a time. Runs that are made are not repeated, those that were
stopped resume; two commands side by side take `part=0 parts=2` and `part=1 parts=2`. All see the same clips on a small
version of the whole schedule, on one thread each, and are measured on the same validation clips.

The long run trains `workers` models at a time, one process and one thread each (on a GPU all of them share it), until
every model has seen `samples` clips; then it exports the weights into the folder. What is open in the recipe is decided
by the finished trials in `trials` when it begins (`choices.json` keeps it). Ctrl-C or a kill at any moment costs the
minutes since the last checkpoint at most; the same command resumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toraeval.config.training_tasks import LongRunOptions, TrialsOptions
from toraeval.store.sealed import read_json, require_json, write_json
from toraeval.training.data import preparation
from toraeval.training.data.preparation import DataSet
from toraeval.training.engine.launch import held, require_device, say
from toraeval.training.engine.log import read_rows, write_rows
from toraeval.training.recipes import nano, train
from toraeval.training.recipes.learners import LEARNERS, learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import MEASURES, ValidationClips
from toraeval.types import UserError

COMPONENTS = 160  # of the autoencoder, which is stored once for all models, see `docs/models/recipe.md`
DATA = DataSet(world=2, components=COMPONENTS, fit_scenes=600)
VALIDATION_CLIPS = 48  # of each kind

# width and depth within 13 MB of weights a model, so that all embedded weights together stay below 60 MB
TRANSFORMER = {
    "patch_size": (1, 1, 1),
    "hidden_size": 192,
    "num_heads": 3,
    "mlp_ratio": 3.5,
    "motion_channels": 64,
    "in_channels": COMPONENTS,
}

# without extractor and fusers a clip takes a fifth less time
OWN: Mapping[str, Mapping[str, Any]] = {
    "tora": {"cond_channels": COMPONENTS},
    "wan_move": {"mlp_ratio": 4.5},
}
# as many parameters and about as much time per clip: most of it at the cells that a token of the transformer has
UNET = {
    "latent_channels": COMPONENTS,
    "widths": (128, 64, 64),
    "blocks": (3, 1, 1),
    "attention": (True, True, True),
    "head_width": 32,
    "embedding": 128,
    "motion_channels": (48, 48, 48),
}
CHOICES: Mapping[str, Any] = {
    "binding": "entity",  # of Tora's extractor
    "loc": 3.0,  # of the time steps, see `toraeval.models.shared.rectified_flow.FlowConfig`
    "rate": 2.0,  # factor on the learning rates
    "group_window": None,
    "single_share": 0.0,
    "dense_share": 0.15,
}
"""What the trials decide, as those of `docs/models/recipe.md` decided it; values of `NanoRecipe` unless said."""


def recipe(
    model: str,
    folder: Path,
    samples: int | None,
    choices: Mapping[str, Any] = CHOICES,
    device: str = "cpu",
    batch: int = 1,
    network: Mapping[str, Any] = {},
    **changes: Any,
) -> NanoRecipe:
    """Return how a model is trained in the long run, see `docs/models/recipe.md`.

    Args:
        model: name of a learner.
        folder: holds the data, see `prepare`; state and logs go into `folder/model`.
        samples: clips that it sees.
        choices: of `CHOICES`, those that differ.
        device: `cpu` or `cuda`.
        batch: factor on the clips of a step, 1 for what suits one thread.
        network: options of the network that differ from the second generation's.
        changes: values of the recipe to override.
    """
    kind, given = learner(model), {**CHOICES, **choices}
    binding, loc, rate = (given.pop(name) for name in ("binding", "loc", "rate"))
    sizes = {**(TRANSFORMER if model in OWN else UNET), **OWN.get(model, {})}
    if model == "tora":
        sizes["binding"] = binding
    values = {
        "out": str(folder / model),
        "network": kind.configure(**{**sizes, **network}),
        "samples": samples,
        "clock": "processor" if device == "cpu" else "wall",
        "device": device,
        "tokens": batch * kind.tokens,
        "workers": 1,
        "flow": replace(NanoRecipe().flow, loc=loc),
    }
    return train.recipe(folder, kind, rate, **{**values, **given, **changes})


def prepare(folder: Path, clips: int, workers: int = 1, device: str = "cpu") -> None:
    """Make what training reads and is not there yet.

    `clips` are those of 17 frames; longer ones come in the shares of `toraeval.training.data.preparation.SHARES`.
    """
    plan = preparation.shard_plan(clips, mixed=True)
    preparation.prepare(folder, DATA, plan, workers, parts=("excerpts", "clips"), device=device)
    ValidationClips.prepare(folder, VALIDATION_CLIPS, DATA.world)


@dataclass(frozen=True)
class Trial:
    """One run."""

    name: str  # folder and row
    change: str  # in words, against the first trial
    # of `CHOICES`, what differs from `FIRST`; a trial that pays decides them
    choices: Mapping[str, Any] = field(default_factory=dict)
    model: str = "tora"  # that is trained
    network: Mapping[str, Any] = field(default_factory=dict)  # further options of the network that differ


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
    """Return the `CHOICES` that the finished trials of a folder speak for; they leave open what has no trial."""
    results = {trial.name: read_json(folder / trial.name / "result.json") for trial in TRIALS}
    errors = {
        name: float(row["object_one"]) + float(row["object_several"])
        for name, row in results.items()
        if row is not None
    }
    decided = dict(CHOICES)
    for trial in TRIALS:
        if trial.name in errors and "base" in errors:
            pays = errors[trial.name] <= PAYS * errors["base"]
            decided |= trial.choices if pays else {name: FIRST[name] for name in trial.choices}
    return decided


def settings(trial: Trial, options: TrialsOptions) -> NanoRecipe:
    """Return the recipe of a trial."""
    return recipe(
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


def run_trials(options: TrialsOptions) -> int:
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
    prepare(Path(options.data), options.clips, options.workers, options.device)
    chosen = [trial for trial in TRIALS if not wanted or trial.name in wanted]
    runs = [
        (settings(trial, options), nano.Ending(keep=False)) for trial in chosen[options.part :: options.parts]
    ]
    for _ in nano.results(runs, options.workers):
        found = [(t, read_json(Path(options.folder) / "trials" / t.name / "result.json")) for t in TRIALS]
        write_rows(Path(options.table), [row(trial, result) for trial, result in found if result is not None])
    return 0


def status(options: LongRunOptions) -> list[str]:
    """Return one line per model: clips seen, hours, last training loss, last errors on validation clips."""
    lines = []
    for name in options.models.split(","):
        out = Path(options.folder) / name
        log, held_out = read_rows(out / "log.csv"), read_rows(out / "validation.csv")
        if not log:
            lines.append(f"{name}: not started")
            continue
        last, hours = log[-1], int(log[-1]["seconds"]) / 3600
        share = int(last["clips"]) / options.samples
        line = f"{name}: {last['clips']} clips ({share:.0%}), {hours:.2f} hours, loss {last['loss']}"
        if held_out:
            errors = ", ".join(
                f"{k} {float(held_out[-1][k]):.2f}" for k in ("object_one", "object_several", "rest")
            )
            line += f"; validation at {held_out[-1]['clips']} clips: {errors} grey levels"
        lines.append(line)
    return lines


def choices(options: LongRunOptions) -> dict[str, Any]:
    """Return what was chosen when the run began, or choose now and keep it."""
    kept = Path(options.folder) / "choices.json"
    if not kept.exists():
        write_json(kept, choose(Path(options.trials)))
    stored = require_json(kept)  # a damaged one must not change the recipe of a run that has started
    assert stored is not None
    return {name: stored[name] for name in CHOICES}


def run_long(options: LongRunOptions) -> int:
    """Train every model that is not trained to its end.

    Raises:
        UserError: an unknown model, or another process that trains in the same folder.
    """
    names, folder = options.models.split(","), Path(options.folder)
    if set(names) - set(LEARNERS):
        raise UserError(f"train task=long_run: models={options.models}; allowed: {', '.join(LEARNERS)}")
    require_device(options.device)
    if options.status:
        say("\n".join(status(options)))
        return 0
    with held(folder):
        prepare(folder, options.clips, options.renderers or options.workers, options.device)
        chosen = choices(options)
        say(f"recipe: {chosen}")
        runs = [
            (
                recipe(name, folder, options.samples, chosen, options.device, options.batch),
                nano.Ending(folder / f"{name}_nano.safetensors", half=True),
            )
            for name in names
        ]
        for finished in nano.results(runs, options.workers):
            say(f"finished: {finished.model}")
    return 0
