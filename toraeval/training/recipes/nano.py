"""Train an embedded video model on stored clips and export it; also what is left of a run, for those of several."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.models.shared.nano import checkpoint
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.rectified_flow import FlowConfig
from toraeval.store.keys import plain
from toraeval.store.sealed import read_json, require_json, write_json
from toraeval.training.data.batch import Batch
from toraeval.training.data.batches import ShardedClips
from toraeval.training.data.device_clips import batch_source
from toraeval.training.data.preparation import SCENES, rendered
from toraeval.training.data.shards import load_vae
from toraeval.training.engine.distributed import World
from toraeval.training.engine.engine import Engine
from toraeval.training.engine.launch import INTERRUPTED, interruption, launch
from toraeval.training.engine.log import read_rows
from toraeval.training.engine.parts import Objective, Schedule
from toraeval.training.engine.record import RECORD, agree, effort, stage_losses
from toraeval.training.recipes.learners import learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import MEASURES, CleanLoss, HeldOut, ValidationClips
from toraeval.types import UserError

INPUT = "x_embedder.proj.weight"
PATHS = ("data", "out", "vae", "start", "validation")
# what may differ when a run is resumed
CHANGEABLE = (*PATHS, "minutes", "steps", "samples", "clock", "compile", "save_minutes", "workers", "device",
              "tokens", "start_motion", "validation_share")  # fmt: skip


class NanoObjective(Objective):
    """An embedded network under the loss of clean latents, if `measured` also on held-out clips.

    If `fresh` it begins from the weights that the recipe names; a checkpoint will replace what is not fresh.
    """

    measures = MEASURES

    def __init__(self, recipe: NanoRecipe, fresh: bool = True, measured: bool = False) -> None:
        self.recipe, self.learner = recipe, learner(recipe.model)
        torch.manual_seed(recipe.seed)
        self.model = self.learner.build(recipe.network).to(recipe.device)
        if recipe.compile and isinstance(self.model, STDiT3):
            self.model.compile_blocks()
        self.vae = load_vae(Path(recipe.vae))
        self.errors = CleanLoss(self.learner, self.vae, recipe.flow, recipe.channel_power, recipe.device)
        if fresh and recipe.start is not None:
            self._start(Path(recipe.start))
        self.held_out: HeldOut | None = None
        if measured and recipe.validation is not None:
            clips = ValidationClips.load(Path(recipe.validation))
            self.held_out = HeldOut(self.model, self.errors, clips)

    def _start(self, path: Path) -> None:
        network, vae = self.learner.load(path)
        if not torch.equal(vae.basis, self.vae.basis):
            raise UserError(f"train: {path} was trained with another autoencoder than {self.recipe.vae}")
        state = network.state_dict()
        if not self.recipe.start_motion:
            keys = self.learner.motion_keys
            own = self.model.state_dict()
            fresh = {k: v for k, v in own.items() if k.startswith(keys)}
            # copied latents are the last input channels: at first the network does not look at them
            first = own[INPUT].clone().zero_()
            common = min(first.shape[1], state[INPUT].shape[1])
            first[:, :common] = state[INPUT][:, :common]
            state = {k: v for k, v in state.items() if not k.startswith(keys)} | fresh | {INPUT: first}
        self.model.load_state_dict(state)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Return Muon over the matrices of blocks and AdamW over the rest, in this order."""
        matrices, others = split_parameters(self.model)
        r = self.recipe
        return [
            torch.optim.Muon(matrices, lr=r.lr_matrix, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=r.lr_other, betas=(0.9, 0.98), weight_decay=0.01),
        ]

    def loss(self, batch: Batch, step: int, number: int) -> tuple[Tensor, Mapping[str, Any]]:
        draws = torch.Generator(self.recipe.device)
        draws.manual_seed((self.recipe.seed * 1_000_003 + step) * 64 + number)
        return self.errors.losses(self.model, batch, draws, self.recipe.text_dropout).mean(), {}

    def validate(self) -> Mapping[str, float]:
        if self.held_out is None:
            return {}
        return self.held_out.loss() | self.held_out.sampled_errors()


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return (matrices of blocks, fusers' linear parts excluded; all others)."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        if p.requires_grad:
            inside = "_blocks." in name and p.ndim == 2 and "table" not in name
            (matrices if inside else others).append(p)
    return matrices, others


@dataclass(frozen=True)
class Ending:
    """What is done with a run at its end."""

    target: Path | None = None  # weights file to write; None writes none
    name: str | None = None  # of the weights, for the card; `<model>_nano` if not given
    # export the moving average. The last weights are the default: the learning rate ends at zero, and on the
    # validation cases they were the better ones (5.1 against 6.2 px).
    averaged: bool = False
    half: bool = False  # store the autoencoder in float16, which is off by 0.06 grey levels at most
    keep: bool = True  # keep the last checkpoint, 200 MB, so that the run can be made longer


def train(recipe: NanoRecipe, ending: Ending = Ending()) -> int:
    """Train, or resume where training stopped; returns the exit code.

    `result.json` in the run's folder then tells its effort and losses.

    Raises:
        UserError: the data do not serve the plan, or the run was started with other options.
    """
    workers, device = recipe.workers, recipe.device
    return launch(Path(recipe.out), _work, recipe, ending, workers=workers, device=device)


def result(recipe: NanoRecipe, ending: Ending) -> dict[str, Any]:
    """Train if that has not been done to the end, and return what `result.json` tells; of several runs, one.

    Raises:
        KeyboardInterrupt: the run was interrupted; what it has is kept.
    """
    path = Path(recipe.out) / "result.json"
    done = read_json(path) if ending.target is None or ending.target.exists() else None
    if done is None and train(recipe, ending) == INTERRUPTED:
        raise KeyboardInterrupt
    return done or require_json(path) or {}


def results(runs: Sequence[tuple[NanoRecipe, Ending]], workers: int) -> Iterator[NanoRecipe]:
    """Make several runs of one process and thread each, `workers` at a time; yield each recipe that is done.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM, after every process has saved what its run has.
        UserError: a process is gone, e.g. for lack of memory; what its run has is kept.
    """
    if workers == 1:
        yield from (_alone(*run) for run in runs)
        return
    with interruption() as received, ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = {pool.submit(_pooled, *run) for run in runs}
        try:
            while waiting:
                done, waiting = wait(waiting, 0.5, FIRST_COMPLETED)
                for made in done:
                    yield made.result()
                if received:
                    raise KeyboardInterrupt
        except BrokenProcessPool as error:
            if not received:
                raise UserError("train: a process of a run is gone; its last checkpoint is kept") from error
            raise KeyboardInterrupt from error
        finally:
            if received and waiting:  # the signal may have reached this process alone
                for process in active_children():
                    process.terminate()


def _pooled(recipe: NanoRecipe, ending: Ending) -> NanoRecipe:
    try:
        return _alone(recipe, ending)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # a process that stayed would begin the next run


def _alone(recipe: NanoRecipe, ending: Ending) -> NanoRecipe:
    torch.set_num_threads(1)
    result(recipe, ending)
    return recipe


def build(recipe: NanoRecipe, world: World) -> Engine:
    """Return a run in the state where it stopped, or at its beginning.

    Raises:
        UserError: see `train`.
    """
    folder, record = Path(recipe.out), plain(asdict(recipe))
    begun = agree(folder, record, lambda r: {k: v for k, v in r.items() if k not in CHANGEABLE}, world)
    if recipe.device == "cuda":  # as exact as bfloat16 asks for; the sizes of batches repeat
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    objective = NanoObjective(recipe, not begun, world.first)
    kind = objective.learner
    drawing = batch_source(
        recipe.device,
        Path(recipe.data),
        recipe.lengths,
        recipe.seed,
        world.rank,
        recipe.tokens,
        kind.motion_reader(recipe.network, objective.vae) if kind.follows(recipe.network) else None,
        recipe.clips,
        kind.open_shard,
    )
    source = ShardedClips(drawing, recipe.plan, recipe.samples, (world.rank, world.size))
    schedule = Schedule(folder, save_minutes=recipe.save_minutes, clock=recipe.clock)
    engine = Engine(recipe, source, objective, world, schedule)
    engine.resume()
    return engine


def stored(folder: Path) -> NanoRecipe:
    """Return the recipe of a run that was started.

    Raises:
        UserError: there is none in the folder.
    """
    record = read_json(folder / RECORD)
    if record is None:
        raise UserError(f"train: no run in {folder}; begin one: python -m toraeval train")
    given = {f.name: record[f.name] for f in fields(NanoRecipe)}
    given["network"] = learner(record["model"]).configure(**record["network"])
    given["flow"] = FlowConfig(**record["flow"])
    for name in ("lengths", "late_lengths"):
        given[name] = {int(frames): share for frames, share in record[name].items()}
    return NanoRecipe(**given)


def _work(world: World, recipe: NanoRecipe, ending: Ending) -> int:
    engine = build(recipe, world)
    code = engine.run()
    if code or not world.first:
        return code
    if ending.target is not None:
        export(engine, recipe, ending)
    losses = [float(row["loss"]) for row in read_rows(Path(recipe.out) / "log.csv")]
    facts = {
        "parameters": sum(v.numel() for v in engine.model.state_dict().values()),
        "clips": engine.done.clips,
        "steps": engine.done.step,
        "seconds": engine.done.seconds,
        "last_loss": losses[-1] if losses else None,
        "training_loss": round(sum(losses[-5:]) / max(1, len(losses[-5:])), 4),
        **(_validation(engine) or {}),
    }
    write_json(Path(recipe.out) / "result.json", facts)
    if not ending.keep:
        shutil.rmtree(engine.checkpoint_folder)
    return code


def export(engine: Engine, recipe: NanoRecipe, ending: Ending) -> dict[str, Any]:
    """Write weights as safetensors, with a model card in the file and beside it; return the card."""
    assert ending.target is not None
    kind, state = learner(recipe.model), dict(engine.model.state_dict())
    if ending.averaged:
        state |= engine.average
    rows = read_rows(Path(recipe.out) / "log.csv")
    last = [float(row["loss"]) for row in rows[-5:]]
    config = asdict(recipe)
    told = effort(engine)
    card = {
        "name": ending.name or f"{recipe.model}_nano",
        "licence": "Apache-2.0",
        "architecture": config["network"],
        "parameters": sum(v.numel() for v in state.values()),
        "motion_parameters": sum(v.numel() for k, v in state.items() if k.startswith(kind.motion_keys)),
        "data": "procedural world `shapes`, training split (toraeval.suites.shapes.world), 512x512",
        "scene_ranges": {str(frames): first for frames, (first, _) in SCENES.items()},
        "clips_rendered": rendered(Path(recipe.data), recipe.clips),
        "clips_seen": told.pop("clips_seen"),
        **told,
        "loss": stage_losses(rows, "motion"),
        "last_loss": sum(last) / len(last) if last else None,
        "validation_loss": _validation(engine),
        "loss_definition": "clean-latent error / max(t, t_min)^2, channels weighted, latent frame 0 left out",
        "config": {k: v for k, v in config.items() if k not in (*PATHS, "network")},
    }
    vae = load_vae(Path(recipe.vae))
    checkpoint.save(ending.target, state, vae.half() if ending.half else vae, card, kind.prefix)
    return card


def _validation(engine: Engine) -> dict[str, float] | None:
    found = {name: float(value) for name, value in engine.validation.items()}
    return None if any(value != value for value in found.values()) else found
