"""An embedded model from nothing to exported weights: prepare the data, train in two stages, export with a card."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from toraeval.config.trainings import NanoOptions
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.training.data.preparation import DataSet, prepare, shard_plan
from toraeval.training.data.shards import load_vae
from toraeval.training.engine import curve
from toraeval.training.engine.interruption import say
from toraeval.training.engine.launch import require_device
from toraeval.training.recipes import nano
from toraeval.training.recipes.learners import Learner, learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import CLIPS, ValidationClips
from toraeval.types import UserError

DATA = DataSet(world=1, components=64, fit_scenes=500)
MAX_CLIPS = 2_000_000  # beyond it the scenes of 17-frame clips would meet those of 33 frames


def check(options: NanoOptions) -> None:
    """Refuse what cannot be trained.

    Raises:
        UserError: no time, no clips, a device that is not there.
    """
    for name in ("minutes", "rate"):
        if not 0 < getattr(options, name) < math.inf:
            raise UserError(f"train: {name}={getattr(options, name)}; allowed: more than 0")
    if options.samples is not None and options.samples < 1:
        raise UserError(f"train: samples={options.samples}; allowed: 1 and more")
    if not 64 <= options.clips <= MAX_CLIPS:
        raise UserError(f"train: clips={options.clips}; allowed: 64 to {MAX_CLIPS}")
    if options.workers < 1 or options.seed < 0:
        raise UserError(
            f"train: workers={options.workers} seed={options.seed}; allowed: workers >= 1, seed >= 0"
        )
    require_device(options.device)


def main(options: NanoOptions) -> int:
    """Make every step that is still missing; returns the exit code.

    Raises:
        UserError: see `check`; a folder that cannot be written.
        MissingAsset: the weights to begin from are not there.
    """
    check(options)
    kind = learner(options.model)
    start = str(kind.shipped()) if options.start == "shipped" else options.start
    folder = Path(options.folder)
    prepare_for(folder, kind, options.clips, options.workers, start)
    plain = recipe(folder, kind, seed=options.seed, workers=options.workers)
    trained = replace(
        plain,
        out=str(state_folder(folder, kind.name)),
        minutes=options.minutes,
        samples=options.samples,
        workers=1 if options.device == "cuda" else options.workers,
        device=options.device,
        tokens=kind.tokens if options.device == "cpu" else 64 * kind.tokens,
        start=start,
        lr_matrix=options.rate * plain.lr_matrix,
        lr_other=options.rate * plain.lr_other,
    )
    if start:  # trained weights are past dense flow, single objects and mere windows
        trained = replace(trained, dense_share=0.0, single_share=0.0, window_share=0.0)
    budget = f"{options.minutes:g} minutes" if options.samples is None else f"{options.samples} clips"
    say(f"training for {budget} in all; log: {trained.out}/log.csv; Ctrl-C keeps the state")
    target = Path(options.export) if options.export else folder / f"{kind.name}_nano.safetensors"
    code = nano.train(trained, nano.Ending(target))
    if code:
        return code
    log = Path(trained.out) / "log.csv"
    if log.exists():  # the first row comes after 20 steps
        curve.draw(log, target.with_name(f"{target.stem}_loss.png"))
    say(f"weights: {target}; use them with: python -m toraeval run model={kind.name} model.weights={target}")
    return 0


def state_folder(folder: Path, model: str) -> Path:
    """Return where the run of a model lies in a folder that all models share."""
    return folder / ("nano" if model == "tora" else f"{model}_nano")


def recipe(folder: Path, kind: Learner, **changes: object) -> NanoRecipe:
    """Return the recipe of a model on the data of a folder; keyword arguments override its values."""
    plain = NanoRecipe(
        data=str(folder / "shards"),
        vae=str(folder / "vae.safetensors"),
        model=kind.name,
        tokens=kind.tokens,
        validation=str(folder / "validation.npz"),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def prepare_for(folder: Path, kind: Learner, clips: int, workers: int, start: str | None) -> None:
    """Make what training of a model reads: autoencoder, shards, validation clips.

    Weights fit the autoencoder only that they were trained with; rivals are compared with the shipped Tora on its own
    latents, and Tora without weights gets a new one.

    Raises:
        UserError: a folder that cannot be made.
        MissingAsset: the weights whose autoencoder is taken are not there.
    """
    source = kind if start is not None or kind.name == "tora" else learner("tora")
    weights = start if start is not None or kind.name == "tora" else str(source.shipped())

    def taken() -> LinearPatchAutoencoder:
        assert weights is not None
        return source.load(Path(weights))[1]

    if weights is None and not (folder / "vae.safetensors").exists():
        say(f"fitting the autoencoder on {DATA.fit_scenes} scenes")
    plan = shard_plan(clips)
    prepare(folder, DATA, plan, workers, None if weights is None else taken, kind.needs_tracks)
    held_out = folder / "validation.npz"
    if not held_out.exists():
        ValidationClips.render(load_vae(folder / "vae.safetensors"), CLIPS).save(held_out)
