"""What decides the weights of a full-size run: stored beside it, compared when it goes on, told in the model card."""

from __future__ import annotations

import csv
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from toraeval import assets
from toraeval.config import TrainConfig
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.weight_files import StateReader
from toraeval.models.tora.checkpoints import importers
from toraeval.models.tora.conditions.motion import motion_facts
from toraeval.store import keys, sealed
from toraeval.training.data.feed import Feed
from toraeval.training.engine.engine import Engine
from toraeval.training.recipes.recipe import MOTION_PARTS, STAGES, Recipe
from toraeval.training.recipes.stand_ins import RANDOM
from toraeval.types import UserError


def weights_hash(path: str, what: str) -> str:
    """Return the SHA-256 over the weight files of a path; raises MissingAsset where there are none."""
    files = StateReader(path, what, importers.FETCH).files
    return assets.files_sha256(files)


def motion_start(start: str) -> str:
    """Return `new` for weights of a plain transformer, whose motion parts are drawn anew, else `stored`."""
    if start == RANDOM:
        return "new"
    shapes = StateReader(start, "tora", importers.FETCH).shapes
    return "stored" if any(name.startswith(MOTION_PARTS) for name in shapes) else "new"


def run_record(options: TrainConfig, recipe: Recipe, config: STDiTConfig, feed: Feed) -> dict[str, Any]:
    """Return everything that decides the weights, as plain JSON."""
    assert options.start is not None
    start = RANDOM if options.start == RANDOM else weights_hash(options.start, "tora")
    record = {
        "network": asdict(config),
        "recipe": asdict(recipe),
        "start": {"weights": start, "motion": motion_start(options.start)},
        "precision": options.precision,
        "data": feed.source.fingerprint(),
        "batches": feed.plan.fingerprint(),
        "autoencoder": {**feed.encoders.vae_fingerprint, "posterior": options.posterior},
        "captions": feed.encoders.captions.fingerprint(),
        "fixed_cuts": feed.cache is not None,
        "motion": motion_facts(config, "training"),
    }
    plain = keys.plain(record)
    assert isinstance(plain, dict)
    return plain


def agree(path: Path, record: dict[str, Any], resumed: bool) -> None:
    """Store what decides the weights, or compare it with what the run began with.

    Raises:
        UserError: something differs, so that going on would mix two trainings.
    """
    try:
        before = sealed.require_json(path)
    except sealed.Damaged as error:
        raise UserError(f"train: {error}; delete it to resume without comparing the options") from error
    if resumed and before is not None:
        # a last stage may be made longer
        now, then = (
            {**r, "recipe": {**r["recipe"], "stage_steps": r["recipe"]["stage_steps"][:1]}}
            for r in (record, before)
        )
        changed = [name for name in now if now[name] != then.get(name)]
        if changed:
            name = changed[0]
            raise UserError(
                f"train: {name} differs from what the run in {path.parent} began with "
                f"({_difference(then.get(name), now[name])}); give the same options, or begin anew in another "
                "folder: folder=PATH"
            )
    sealed.write_json(path, record)


def _difference(then: Any, now: Any) -> str:
    if isinstance(then, dict) and isinstance(now, dict):
        key = next(k for k in {**then, **now} if then.get(k) != now.get(k))
        return f"{key} was {then.get(key)}, is {now.get(key)}"
    return f"was {then}, is {now}"


def model_card(record: Mapping[str, Any], engine: Engine, log: Path) -> dict[str, Any]:
    """Return what a reader must know of the weights: data, effort, hardware, losses."""
    with log.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    losses = {}
    for stage in STAGES:
        values = [float(row["loss"]) for row in rows if row["stage"] == stage]
        if values:
            losses[stage] = {"first": values[0], "last": sum(values[-5:]) / len(values[-5:])}
    return {
        "name": "tora",
        "weights": f"moving average of the trained parameters, decay {engine.recipe.average}",
        "steps": engine.step,
        "clips_seen": engine.clips,
        "training_seconds": round(engine.seconds),
        "hardware": f"{engine.world.size} process(es) on {engine.world.device.type}, {platform.machine()}",
        "torch": torch.__version__,
        "loss": losses,
        "loss_definition": "squared error of the velocity over noisy frames",
        **record,
    }
