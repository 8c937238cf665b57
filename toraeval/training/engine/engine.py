"""The one training loop: steps, average, log, validation, checkpoints, and exact resumption after any kind of stop.

A recipe says how long and how fast to train, a source gives batches, an objective holds the network and its loss. A
step is a function of the state before it and of its own number, so a run that was killed resumes from its last
checkpoint and reaches the same weights, on the CPU bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.training.engine import distributed
from toraeval.training.engine.distributed import World
from toraeval.training.engine.launch import INTERRUPTED, interruption, say
from toraeval.training.engine.log import Log
from toraeval.training.engine.parts import CLOCKS, Counters, Objective, Recipe, Row, Schedule, Source
from toraeval.types import UserError, counted

# what an optimiser keeps of each weight
MOMENTS = {"AdamW": ("exp_avg", "exp_avg_sq"), "Muon": ("momentum_buffer",)}


class Engine:
    """One run: see the module's text.

    Raises:
        UserError: the batches of a step cannot be spread evenly over the processes.
    """

    def __init__(
        self, recipe: Recipe, source: Source, objective: Objective, world: World, schedule: Schedule
    ) -> None:
        check_spread(recipe, world)
        self.recipe, self.source, self.objective, self.world = recipe, source, objective, world
        self.schedule, self.model, self.done = schedule, objective.model.train(), Counters()
        self.clock = CLOCKS[schedule.clock]
        self.trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.optimizers = objective.optimizers()
        self._base = [[float(group["lr"]) for group in o.param_groups] for o in self.optimizers]
        followed = objective.averaged() if recipe.decay(0) is not None else {}
        self.average = {name: weight.detach().clone() for name, weight in followed.items()}
        self.validation = {name: torch.tensor(math.nan, dtype=torch.float64) for name in objective.measures}

    @property
    def checkpoint_folder(self) -> Path:
        """Where the checkpoints lie."""
        return self.schedule.folder / "checkpoints"

    @property
    def finished(self) -> bool:
        """Whether the training is at its end."""
        return self.recipe.progress(self.done) >= 1.0

    def state(self) -> dict[str, Any]:
        """Return everything a later step depends on, as nested dicts of tensors that share memory with the run."""
        names = {p: name for name, p in self.trained.items()}
        moments: dict[str, dict[str, Tensor]] = {}
        for optimizer in self.optimizers:
            for p in (p for group in optimizer.param_groups for p in group["params"]):
                kept = optimizer.state[p]
                if not kept:  # what the optimiser itself begins with
                    kind = type(optimizer).__name__
                    kept |= {"step": torch.zeros(())} if kind == "AdamW" else {}
                    kept |= {name: torch.zeros_like(p) for name in MOMENTS[kind]}
                moments[names[p]] = kept
        return {
            "model": dict(self.model.state_dict()),
            "average": self.average,
            "optimizer": moments,
            "counters": {
                "clips": torch.tensor(self.done.clips),
                "seconds": torch.tensor(self.done.seconds, dtype=torch.float64),
                **self.validation,
            },
        }

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        distributed.save(self.checkpoint_folder, self.done.step, self.state(), self.world, self.schedule.keep)

    def resume(self) -> None:
        """Return to the last checkpoint, if there is one; the number of processes that wrote it does not matter.

        Raises:
            UserError: it cannot be read, or is of another network or an older version.
        """
        found = self.world.from_first(last_checkpoint(self.schedule.folder) if self.world.first else None)
        if found is None:
            return
        state = self.state()
        distributed.load(found[1], state)
        counters = state["counters"]
        self.done.step, self.done.clips = found[0], int(counters.pop("clips"))
        self.done.seconds = float(counters.pop("seconds"))
        self.validation = counters

    def run(self, report: Callable[[Row], None] = lambda row: None) -> int:
        """Train to the end; Ctrl-C or SIGTERM ends after the current step, with a checkpoint.

        Args:
            report: gets each row of the log in the first process.

        Returns:
            0 at the end of the training, 130 when it was interrupted.

        Raises:
            UserError: the loss or gradient is not finite (the last checkpoint is kept), or a batch cannot be read.
        """
        if self.finished:
            return 0
        log = None
        if self.world.first:
            log = Log(self.schedule.folder, self.done.step, self.schedule.tensorboard, report)
        self.source.begin(self.done)
        try:
            with interruption() as received:
                return self._loop(log, received)
        finally:
            self.source.close()
            if log is not None:
                log.close()

    def _loop(self, log: Log | None, received: list[int]) -> int:
        done, recipe, saved = self.done, self.recipe, time.monotonic()
        since: list[tuple[float, Mapping[str, Any]]] = []
        while True:
            began, before = self.clock(), recipe.progress(done)
            loss, norm, facts, clips = self.update(done.step)
            due = self._save_is_due(done.step + 1, time.monotonic() - saved)
            told = self.world.agree(
                clips, done.seconds + self.clock() - began, bool(received) or self.world.orphaned, due
            )
            done.step, done.clips, done.seconds = done.step + 1, done.clips + told.clips, told.seconds
            since += [(loss, fact) for fact in facts]
            if log is not None and done.step % recipe.log_every == 0:
                mean = sum(value for value, _ in since) / len(since)
                log.write(recipe.row(done, mean, norm, [fact for _, fact in since]))
                since.clear()
            if log is not None and self._validation_is_due(before):
                self._validate(log)
            if told.stop or told.save or self.finished:
                self.save()
                saved = time.monotonic()
            if self.finished:
                return 0
            if told.stop:
                if log is not None:
                    say(f"stopped after step {done.step}; the same command resumes")
                return INTERRUPTED

    def update(self, step: int) -> tuple[float, float, list[Mapping[str, Any]], int]:
        """Make one step; return loss, gradient norm, facts of this process's batches and its clips."""
        recipe, world = self.recipe, self.world
        for optimizer, bases in zip(self.optimizers, self._base, strict=True):
            if recipe.stage_begins(step):
                optimizer.state.clear()
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = recipe.learning_rate(base, self.done)
        share = recipe.batches_per_step // world.size
        total, clips, facts = 0.0, 0, []
        joint = self.objective.joint_statistics
        with distributed.joint_statistics(
            self.model if joint else nn.Module(), recipe.batches_per_step
        ) as note:
            for number in range(world.rank, recipe.batches_per_step, world.size):
                batch = self.source.batch(step, number)
                value, fact = self.objective.loss(batch, step, number)
                (value / share).backward()
                note()
                total += float(value.detach())
                clips += len(batch)
                facts.append(fact)
        loss = world.sum(total / share)[0] / world.size
        distributed.average_gradients(self.trained.values(), world)
        norm = distributed.clip_gradients(self.objective.clipped(), recipe.clip)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise UserError(
                f"train: step {step} has loss {loss} and gradient norm {norm}; allowed: finite numbers; the last "
                "checkpoint is kept; look at the clips of this step, or try precision=fp32 or a smaller learning rate"
            )
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay = recipe.decay(step)
        if decay is not None:
            weights = self.objective.averaged()
            with torch.no_grad():
                mine = [distributed.local(value) for value in self.average.values()]
                theirs = [distributed.local(weights[name].detach()) for name in self.average]
                torch._foreach_lerp_(mine, theirs, 1 - decay)
        return loss, norm, facts, clips

    def _save_is_due(self, step: int, seconds: float) -> bool:
        every, minutes = self.schedule.save_every, self.schedule.save_minutes
        return (every is not None and step % every == 0) or (minutes is not None and seconds > 60 * minutes)

    def _validation_is_due(self, before: float) -> bool:
        share, now = self.recipe.validation_share, self.recipe.progress(self.done)
        return share is not None and (now >= 1.0 or int(now / share) > int(before / share))

    def _validate(self, log: Log) -> None:
        found = self.objective.validate()
        for name, value in found.items():
            self.validation[name].fill_(value)
        if found:
            log.validation(self.done.row() | {name: f"{value:.5f}" for name, value in found.items()})


def last_checkpoint(folder: Path) -> tuple[int, Path] | None:
    """Return step and path of the last whole checkpoint of a run's folder, None where it has not started.

    Raises:
        UserError: the folder holds a state that an older version of the code wrote.
    """
    found = distributed.checkpoints(folder / "checkpoints")
    if not found and (folder / "state.pt").exists():
        raise UserError(
            f"train: {folder / 'state.pt'} was written by an older version of this code, which alone can resume it; "
            "start over in another folder: folder=PATH, or remove the file"
        )
    return found[-1] if found else None


def check_spread(recipe: Recipe, world: World) -> None:
    """Refuse a number of processes that does not divide the batches of a step.

    Raises:
        UserError: names the next allowed value.
    """
    if recipe.batches_per_step % world.size:
        fitting = -(-recipe.batches_per_step // world.size) * world.size
        raise UserError(
            f"train: batches_per_step={recipe.batches_per_step} with {counted(world.size, 'process')}; allowed: a "
            "multiple of "
            f"the number of processes, e.g. batches_per_step={fitting}"
        )
