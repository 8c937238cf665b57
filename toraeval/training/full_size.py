"""`python -m toraeval train` for the full model and its test size: from options to exported weights.

Under `torchrun --nproc-per-node=N -m toraeval train ...` the same command trains with N processes.
"""

from __future__ import annotations

import contextlib
import csv
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval import assets, keys, lock, store
from toraeval.config import FullSizeOptions, TrainConfig
from toraeval.models.tora import config as sizes
from toraeval.models.tora import importers
from toraeval.models.tora.config import STDiTConfig
from toraeval.models.tora.model import Tora
from toraeval.models.tora.motion import motion_facts
from toraeval.models.weight_files import StateReader
from toraeval.training import distributed
from toraeval.training.clips import ClipSource, ShapesClips
from toraeval.training.distributed import World
from toraeval.training.engine import INTERRUPTED, Engine, Schedule
from toraeval.training.feed import Captions, Encoders, Feed, SizePlan
from toraeval.training.network import GuidedNetwork
from toraeval.training.recipe import MOTION_PARTS, Recipe, choose_trainable
from toraeval.training.stand_ins import RANDOM, RandomCaptions, random_vae
from toraeval.types import MissingAsset, UserError

SIZES = ("xl2", "tiny")
POSTERIORS = ("mode", "sample")
RECORD = "run.json"
SHARED = ("model", "size", "folder", "device", "start", "export", "seed", "clips")
REPORT_STEPS = 10


def main(arguments: Mapping[str, Any] | TrainConfig) -> int:
    """Train, or go on where training stopped, and export; returns the exit code.

    Raises:
        UserError: options out of range, or other ones than the run in this folder began with.
        MissingAsset: weights, autoencoder or text encoder are not there.
    """
    options = arguments if isinstance(arguments, TrainConfig) else TrainConfig(**arguments)
    check(options)
    recipe, config = recipe_of(options), network_of(options)
    folder = Path(options.folder)
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(distributed.processes(options.device))
        if world.first:
            _hold(stack, folder)
        source = _source(options)
        encoders = _encoders(options, config, world)
        feed = Feed(
            source,
            SizePlan(options.sizes, len(source), options.seed),
            config,
            encoders,
            recipe,
            world,
            Path(options.cache) if options.cache else None,
        )
        stack.callback(feed.close)
        record = _record(options, recipe, config, feed) if world.first else {}
        done = world.from_first(distributed.checkpoints(folder / "checkpoints") if world.first else None)
        if world.first:
            _agree(folder / RECORD, record, bool(done))
        world.wait()
        network = _network(options, config, recipe, world, fresh=not done)
        schedule = Schedule(options.save_every, options.keep, options.tensorboard)
        engine = Engine(network, recipe, feed, world, folder, schedule)
        if done:
            engine.resume(*done[-1])
        if world.first:
            count = sum(p.numel() for p in engine.trained.values())
            _say(
                f"training {count:,} parameters in {world.size} process(es) on {options.device}, "
                f"steps {engine.step} to {recipe.steps}; log: {folder}/log.csv; Ctrl-C keeps the state"
            )
        _captions_ahead(source, encoders.captions, world)
        code = engine.run(_report)
        if code == INTERRUPTED:
            if world.first:
                _say(f"stopped after step {engine.step}; the same command goes on")
            return code
        target = Path(options.export) if options.export else folder / "weights"
        _export(engine, config, record, target)
        return code


def check(options: TrainConfig) -> None:
    """Refuse options that cannot work, before anything is loaded.

    Raises:
        UserError: names the option, its value and what is allowed.
    """
    if options.model != "tora" or options.size not in SIZES:
        raise UserError(
            f"train: model={options.model} size={options.size}; allowed: model=tora size={'|'.join(SIZES)}"
        )
    plain = TrainConfig()
    own = {f.name for f in fields(FullSizeOptions)} | set(SHARED)
    for f in fields(TrainConfig):
        if f.name not in own and getattr(options, f.name) != getattr(plain, f.name):
            raise UserError(
                f"train: {f.name}={getattr(options, f.name)} belongs to size=nano; size={options.size} is bounded by "
                "stage_steps and spread by torchrun"
            )
    for name, allowed in (
        ("device", ("cpu", "cuda")),
        ("precision", distributed.PRECISIONS),
        ("posterior", POSTERIORS),
        ("fuser", sizes.FUSERS[1:]),
        ("fuser_place", sizes.FUSER_PLACES),
        ("compression", sizes.COMPRESSIONS),
    ):
        if getattr(options, name) not in allowed:
            raise UserError(f"train: {name}={getattr(options, name)}; allowed: {', '.join(allowed)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("train: device=cuda, but this PyTorch sees no GPU; use device=cpu")
    for name in ("save_every", "keep"):
        if getattr(options, name) < 1:
            raise UserError(f"train: {name}={getattr(options, name)}; allowed: at least 1")
    for name in ("start", "vae", "text_encoder"):
        if getattr(options, name) is None:
            raise MissingAsset(
                f"train: {name}= is missing; give the published weights ({importers.FETCH} gets them), or "
                f"{name}={RANDOM} to try the training without"
            )


def recipe_of(options: TrainConfig) -> Recipe:
    """Return the recipe that the options describe; raises UserError as `Recipe` does."""
    chosen = {f.name: getattr(options, f.name) for f in fields(Recipe) if hasattr(options, f.name)}
    masks = chosen.pop("frame_masks")
    if len(options.stage_steps) != 2 or len(options.betas) != 2:
        raise UserError(
            f"train: stage_steps={options.stage_steps} betas={options.betas}; allowed: two numbers each"
        )
    chosen |= {"stage_steps": tuple(options.stage_steps), "betas": tuple(options.betas)}
    return Recipe(**chosen) if masks is None else Recipe(**chosen, frame_masks=masks)


def network_of(options: TrainConfig) -> STDiTConfig:
    """Return the configuration of the network that the options describe."""
    return sizes.SIZES[options.size](
        fuser=options.fuser, fuser_place=options.fuser_place, compression=options.compression
    )


def _hold(stack: contextlib.ExitStack, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(lock.hold(folder))
    except UserError as error:
        raise UserError(
            f"train: another run is working in folder={folder}; wait for it, or choose another: folder=PATH"
        ) from error
    except OSError as error:
        raise UserError(
            f"train: folder={folder} cannot be made ({error.strerror}); choose another: folder=PATH"
        ) from error


def _source(options: TrainConfig) -> ClipSource:
    if options.data == "shapes":
        return ShapesClips(options.clips)
    from toraeval.training.video_folder import VideoFolder

    return VideoFolder(Path(options.data), options.flow_estimator)


def _encoders(options: TrainConfig, config: STDiTConfig, world: World) -> Encoders:
    assert options.vae is not None  # `check` refuses that
    assert options.text_encoder is not None
    if options.vae == RANDOM:
        vae, facts = random_vae(options.seed), {"vae": RANDOM, "seed": options.seed}
    else:
        vae = importers.load_vae(options.vae)
        facts = {"vae": world.from_first(_hash(options.vae, "tora autoencoder") if world.first else None)}
    captions: Captions
    if options.text_encoder == RANDOM:
        captions = RandomCaptions(config.caption_channels, config.model_max_length, world.device)
    else:
        from toraeval.models.tora.t5 import T5Captions

        cache = Path(options.folder) / "captions"
        captions = T5Captions(
            options.text_encoder, config.model_max_length, world.device, options.precision, cache
        )
    return Encoders(vae.to(world.device), facts, captions, options.posterior == "sample", options.precision)


def _hash(path: str, what: str) -> str:
    """SHA-256 over the weight files of a path."""
    files = StateReader(path, what, importers.FETCH).files
    return keys.digest([(f.name, assets.remembered_sha256(f)) for f in files])


def _captions_ahead(source: ClipSource, captions: Captions, world: World) -> None:
    """Compute the features of all captions in the first process, then give the encoder's memory back."""
    if world.first:
        for caption in sorted(set(source.captions)):
            captions.encode([caption])
        captions.release()
    world.wait()


def _network(
    options: TrainConfig, config: STDiTConfig, recipe: Recipe, world: World, fresh: bool
) -> GuidedNetwork:
    """Build the sharded network; its values are those to start from if `fresh`, otherwise left to a checkpoint."""
    with torch.device("meta"):
        network = GuidedNetwork(Tora(config))
    network.model.checkpointing = options.checkpointing
    choose_trainable(network.model, recipe.trainable)
    distributed.shard(network, world, options.precision)
    state: Mapping[str, Tensor] | None = None
    if fresh:
        state = _start(options, config) if world.first else {}
    distributed.fill(network.model, state, world)
    return network


def _start(options: TrainConfig, config: STDiTConfig) -> Mapping[str, Tensor]:
    assert options.start is not None
    torch.manual_seed(options.seed)
    if options.start == RANDOM:
        return Tora(config).state_dict()
    return importers.load_stdit(options.start, config, motion=_motion_start(options.start)).state_dict()


def _motion_start(start: str) -> str:
    """Return `new` for weights of a plain transformer, whose motion parts are drawn anew, else `stored`."""
    if start == RANDOM:
        return "new"
    shapes = StateReader(start, "tora", importers.FETCH).shapes
    return "stored" if any(name.startswith(MOTION_PARTS) for name in shapes) else "new"


def _record(options: TrainConfig, recipe: Recipe, config: STDiTConfig, feed: Feed) -> dict[str, Any]:
    """Return everything that decides the weights, as plain JSON."""
    assert options.start is not None
    start = RANDOM if options.start == RANDOM else _hash(options.start, "tora")
    record = {
        "network": asdict(config),
        "recipe": asdict(recipe),
        "start": {"weights": start, "motion": _motion_start(options.start)},
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


def _agree(path: Path, record: dict[str, Any], resumed: bool) -> None:
    """Store what decides the weights, or compare it with what the run began with.

    Raises:
        UserError: something differs, so that going on would mix two trainings.
    """
    before = store.read_json(path)
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
    store.write_json(path, record)


def _difference(then: Any, now: Any) -> str:
    if isinstance(then, dict) and isinstance(now, dict):
        key = next(k for k in {**then, **now} if then.get(k) != now.get(k))
        return f"{key} was {then.get(key)}, is {now.get(key)}"
    return f"was {then}, is {now}"


def _export(engine: Engine, config: STDiTConfig, record: dict[str, Any], target: Path) -> None:
    """Write the averaged weights as a folder that the generator and a later run read."""
    model = dict(engine.network.model.state_dict())
    state = distributed.gather({**model, **engine.average.values}, engine.world)
    if engine.world.first:
        card = model_card(record, engine, engine.folder / "log.csv")
        importers.save_stdit(target, state, config, card, torch.float32)
        _say(f"weights: {target}; use them with: python -m toraeval run model=tora model.weights={target}")
    engine.world.wait()


def model_card(record: Mapping[str, Any], engine: Engine, log: Path) -> dict[str, Any]:
    """Return what a reader must know of the weights: data, effort, hardware, losses."""
    with log.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    losses = {}
    for stage in ("dense", "sparse"):
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


def _report(row: dict[str, Any]) -> None:
    if row["step"] == 1 or row["step"] % REPORT_STEPS == 0:
        _say(
            f"step {row['step']} ({row['stage']}): loss {row['loss']:.4f}, {row['clips']} clips, {row['seconds']} s"
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
