"""An embedded model from nothing to exported weights: prepare the data, train in two stages, export with a card.

`task=tune` searches its learning rates by short runs of equal length. Each trains from nothing with half, once and
twice the default rates, on the same clips of 17 frames, mostly in windows; the lowest loss over all validation clips
wins. Runs that are finished are not repeated.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from toraeval.config.training_tasks import TuneOptions
from toraeval.config.trainings import NanoOptions
from toraeval.training.data.preparation import DataSet, prepare, shard_plan
from toraeval.training.engine.launch import require_device, say
from toraeval.training.engine.log import draw_curve, write_rows
from toraeval.training.recipes import nano
from toraeval.training.recipes.learners import Learner, learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import MEASURES, ValidationClips

DATA = DataSet(world=2, components=160, fit_scenes=600)  # as many components as the budget of 60 MB allows
TUNED = {17: 1.0}  # lengths of the clips of a tuning run: the cheapest


def main(options: NanoOptions) -> int:
    """Make every step that is still missing; returns the exit code.

    Raises:
        UserError: a device that is not there, a folder that cannot be written.
        MissingAsset: the weights to begin from are not there.
    """
    require_device(options.device)
    kind = learner(options.model)
    start = str(kind.shipped()) if options.start == "shipped" else options.start
    folder = Path(options.folder)
    prepare_for(folder, kind, options.clips, options.workers, start, options.device)
    # trained weights keep their network, and are past dense flow, single objects and mere windows
    past: dict[str, Any] = {}
    if start:
        past = dict.fromkeys(("dense_share", "single_share", "window_share"), 0.0)
        past["network"] = kind.load(Path(start))[0].config
    trained = recipe(
        folder,
        kind,
        options.rate,
        out=str(state_folder(folder, kind.name)),
        minutes=options.minutes,
        samples=options.samples,
        workers=1 if options.device == "cuda" else options.workers,
        device=options.device,
        tokens=kind.tokens if options.device == "cpu" else 64 * kind.tokens,
        start=start,
        seed=options.seed,
        **past,
    )
    budget = f"{options.minutes:g} minutes" if options.samples is None else f"{options.samples} clips"
    say(f"training for {budget} in all; log: {trained.out}/log.csv; Ctrl-C keeps the state")
    target = Path(options.export) if options.export else folder / f"{kind.name}_nano.safetensors"
    code = nano.train(trained, nano.Ending(target))
    if code:
        return code
    log = Path(trained.out) / "log.csv"
    if log.exists():  # the first row comes after 20 steps
        draw_curve(log, target.with_name(f"{target.stem}_loss.png"))
    say(f"weights: {target}; use them with: python -m toraeval run model={kind.name} model.weights={target}")
    return 0


def state_folder(folder: Path, model: str) -> Path:
    """Return where the run of a model lies in a folder that all models share."""
    return folder / ("nano" if model == "tora" else f"{model}_nano")


def recipe(folder: Path, kind: Learner, rate: float = 1.0, **changes: object) -> NanoRecipe:
    """Return the recipe of a model on the data of a folder, with a factor on both of its learning rates.

    Keyword arguments override its values.
    """
    plain = NanoRecipe(
        data=str(folder / "shards"),
        vae=str(folder / "vae.safetensors"),
        model=kind.name,
        tokens=kind.tokens,
        validation=str(folder / "validation.npz"),
    )
    rates = {name: kind.rate * rate * getattr(plain, name) for name in ("lr_matrix", "lr_other")}
    return replace(plain, **rates, **changes)  # type: ignore[arg-type]


def prepare_for(
    folder: Path, kind: Learner, clips: int, workers: int, start: str | None = None, device: str = "cpu"
) -> None:
    """Make what training of a model reads and is not there yet: autoencoder, shards, validation clips.

    Weights fit the autoencoder only that they were trained with; without them a new one is fitted, the same for every
    model. `clips` are those of 17 frames; longer ones come in the shares of
    `toraeval.training.data.preparation.SHARES`.

    Raises:
        UserError: a folder that cannot be made.
        MissingAsset: the weights whose autoencoder is taken are not there.
    """
    vae = None
    if start is not None:
        vae = lambda: kind.load(Path(start))[1]  # noqa: E731
    elif not (folder / "vae.safetensors").exists():
        say(f"fitting the autoencoder on {DATA.fit_scenes} scenes")
    prepare(folder, DATA, shard_plan(clips), workers, vae, ("excerpts", "clips"), device)
    ValidationClips.prepare(folder)


def tune(options: TuneOptions) -> int:
    """Try every learning rate and write the table."""
    folder, kind = Path(options.folder), learner(options.model)
    prepare_for(folder, kind, options.clips, options.workers, None)
    rows = []
    for rate in (2.0 ** (k - options.tries // 2) for k in range(options.tries)):
        tried = recipe(
            folder,
            kind,
            rate / kind.rate,
            out=str(folder / "tuning" / f"{kind.name}-{rate:g}-{options.samples}-{options.seed}"),
            samples=options.samples,
            warmup_steps=20,
            window_share=1.0,
            lengths=TUNED,
            late_lengths=TUNED,
            seed=options.seed,
            workers=options.workers,
            validation_share=1.0,
        )
        found = nano.result(tried, nano.Ending(keep=False))
        rows.append({
            "rate": rate,
            "lr_matrix": tried.lr_matrix,
            "lr_other": tried.lr_other,
            "clips": found["clips"],
            "steps": found["steps"],
            "seconds": round(found["seconds"]),
            "last_training_loss": found["last_loss"],
            **{f"validation_{name}": round(found[name], 5) for name in MEASURES},
        })  # fmt: skip
    best = min(rows, key=lambda row: (row["validation_all"], row["rate"]))
    table = Path(options.table or f"docs/models/{kind.name}_tuning.csv")
    write_rows(table, [{**row, "chosen": int(row is best)} for row in rows])
    return 0
