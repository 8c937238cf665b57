"""`python -m toraeval train` for the full model and its test size: from options to exported weights.

Under `torchrun --nproc-per-node=N -m toraeval train ...` the same command trains with N processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval.allowed import check_options
from toraeval.config.trainings import TRAINING_BUCKETS, FullSizeOptions
from toraeval.models.shared.network import config as sizes
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.weight_files import StateReader
from toraeval.models.tora.checkpoints import importers
from toraeval.models.tora.checkpoints.parts import RANDOM
from toraeval.models.tora.conditions.motion import motion_facts
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.models.tora.options import POSTERIORS
from toraeval.models.tora.options import SIZES as SIZES_OF_TORA
from toraeval.store import keys
from toraeval.training.data.buckets import BucketPlan, read_buckets
from toraeval.training.data.feed import Feed
from toraeval.training.engine import distributed
from toraeval.training.engine.distributed import World
from toraeval.training.engine.engine import Engine
from toraeval.training.engine.launch import launch, require_device, say
from toraeval.training.engine.log import read_rows
from toraeval.training.engine.parts import Schedule
from toraeval.training.engine.record import agree, effort, stage_losses
from toraeval.training.recipes.full_data import captions_ahead, encoders_of, source_of, weights_hash
from toraeval.training.recipes.full_recipe import (
    PRECISIONS,
    FullObjective,
    FullRecipe,
    GuidedNetwork,
    choose_trainable,
    fill,
    shard,
)
from toraeval.types import MissingAsset, UserError

REPORT_STEPS = 10


def main(options: FullSizeOptions) -> int:
    """Train, or resume where training stopped, and export; returns the exit code.

    Raises:
        UserError: options out of range, or other ones than the run in this folder began with.
        MissingAsset: weights, autoencoder or text encoder are not there.
    """
    check(options)
    config = SIZES_OF_TORA[options.size].network(
        fuser=options.fuser, fuser_place=options.fuser_place, compression=options.compression
    )
    return launch(Path(options.folder), _work, options, recipe_of(options), config, device=options.device)


def _work(world: World, options: FullSizeOptions, recipe: FullRecipe, config: STDiTConfig) -> int:
    folder, source = Path(options.folder), source_of(options)
    feed = Feed(
        source,
        BucketPlan(
            source.sizes,
            read_buckets(options.buckets or TRAINING_BUCKETS),
            options.seed,
            options.batches_per_step,
            options.enlarge,
        ),
        config,
        encoders_of(options, config, world),
        recipe,
        world,
        Path(options.cache) if options.cache else None,
    )
    with contextlib.closing(feed):
        record = run_record(options, recipe, config, feed) if world.first else {}
        begun = agree(folder, record, _unchanging, world)
        network = _network(options, config, recipe, world, fresh=not begun)
        schedule = Schedule(folder, options.save_every, None, options.keep, options.tensorboard)
        engine = Engine(recipe, feed, FullObjective(network, recipe), world, schedule)
        engine.resume()
        if world.first:
            count = sum(p.numel() for p in engine.trained.values())
            say(
                f"training {count:,} parameters in {world.size} process(es) on {options.device}, "
                f"steps {engine.done.step} to {recipe.steps}; log: {folder}/log.csv; Ctrl-C keeps the state"
            )
        captions_ahead(source, feed.encoders, world)
        code = engine.run(_report)
    if code == 0:
        _export(engine, config, record, Path(options.export) if options.export else folder / "weights")
    return code


def check(options: FullSizeOptions) -> None:
    """Refuse options that cannot work, before anything is loaded.

    Raises:
        UserError: names the option, its value and what is allowed.
    """
    check_options("train", options, precision=PRECISIONS, posterior=POSTERIORS, fuser=sizes.FUSERS[1:])
    check_options("train", options, fuser_place=sizes.FUSER_PLACES, compression=sizes.COMPRESSIONS)
    require_device(options.device)
    for name in ("start", "vae", "text_encoder"):
        if getattr(options, name) is None:
            raise MissingAsset(
                f"train: {name}= is missing; give the published weights ({importers.FETCH} gets them), or "
                f"{name}={RANDOM} to try the training without"
            )


def recipe_of(options: FullSizeOptions) -> FullRecipe:
    """Return the recipe that the options describe; raises UserError as `Recipe` does."""
    if len(options.stage_steps) != 2 or len(options.betas) != 2:
        raise UserError(
            f"train: stage_steps={options.stage_steps} betas={options.betas}; allowed: two numbers each"
        )
    given = {f.name: getattr(options, f.name, None) for f in fields(FullRecipe)}
    lists = {"stage_steps": tuple(options.stage_steps), "betas": tuple(options.betas)}
    return FullRecipe(**{name: value for name, value in given.items() if value is not None} | lists)


def _network(
    options: FullSizeOptions, config: STDiTConfig, recipe: FullRecipe, world: World, fresh: bool
) -> GuidedNetwork:
    """Build the sharded network; its values are those to start from if `fresh`, otherwise left to a checkpoint."""
    with torch.device("meta"):
        network = GuidedNetwork(ToraNetwork(config))
    network.model.checkpointing = options.checkpointing
    choose_trainable(network.model, recipe.trainable)
    shard(network, world, options.precision)
    state: Mapping[str, Tensor] | None = None
    if fresh:
        state = _start(options, config) if world.first else {}
    fill(network.model, state, world)
    return network


def _start(options: FullSizeOptions, config: STDiTConfig) -> Mapping[str, Tensor]:
    assert options.start is not None
    torch.manual_seed(options.seed)
    if options.start == RANDOM:
        return ToraNetwork(config).state_dict()
    return importers.load_stdit(options.start, config, motion=motion_start(options.start)).state_dict()


def motion_start(start: str) -> str:
    """Return `new` for weights of a plain transformer, whose motion parts are drawn again, else `stored`."""
    if start == RANDOM:
        return "new"
    shapes = StateReader(start, "tora", importers.FETCH).shapes
    return "stored" if any(name.startswith(importers.MOTION_PARTS) for name in shapes) else "new"


def run_record(
    options: FullSizeOptions, recipe: FullRecipe, config: STDiTConfig, feed: Feed
) -> dict[str, Any]:
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


def _unchanging(record: dict[str, Any]) -> dict[str, Any]:
    """Leave out the length of the last stage, which may be made longer."""
    recipe = record["recipe"]
    return {**record, "recipe": {**recipe, "stage_steps": recipe["stage_steps"][:1]}}


def _export(engine: Engine, config: STDiTConfig, record: dict[str, Any], target: Path) -> None:
    """Write the averaged weights as a folder that the generator and a later run read."""
    model = dict(engine.model.state_dict())
    state = distributed.gather({**model, **engine.average}, engine.world)
    if engine.world.first:
        card = {
            "name": "tora",
            "weights": f"moving average of the trained parameters, decay {engine.recipe.decay(0)}",
            **effort(engine),
            "loss": stage_losses(read_rows(engine.schedule.folder / "log.csv"), "stage"),
            "loss_definition": "squared error of the velocity over noisy frames",
            **record,
        }
        importers.save_stdit(target, state, config, card, torch.float32)
        say(f"weights: {target}; use them with: python -m toraeval run model=tora model.weights={target}")
    engine.world.wait()


def _report(row: dict[str, Any]) -> None:
    if row["step"] == 1 or row["step"] % REPORT_STEPS == 0:
        say(
            f"step {row['step']} ({row['stage']}): loss {row['loss']:.4f}, {row['clips']} clips, {row['seconds']} s"
        )
