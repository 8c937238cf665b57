"""Train an embedded model: stage 1 on dense flow, stage 2 on sparse trajectories (arXiv 2407.21705, section 3.4).

The run is bounded by clips, steps or wall time. Its whole state (weights, average, optimisers, step, clips, seconds
spent) is saved every few minutes by an atomic rename, so that it may be killed at any moment; the same command goes
on. The log is one CSV row per 20 steps.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from toraeval.models.shared.network.stdit import STDiT3
from toraeval.training.data.batches import Batch, BatchSource, Prefetcher, StepPlan
from toraeval.training.data.shards import load_vae
from toraeval.training.engine.exchange import (
    Exchange,
    finish_step_on_interrupt,
    ignore_interrupts,
    run_workers,
)
from toraeval.training.engine.objective import Objective
from toraeval.training.engine.optimizers import build_optimizers
from toraeval.training.engine.settings import TrainConfig as TrainConfig
from toraeval.training.engine.tables import append_row, drop_rows_after
from toraeval.training.recipes.learners import learner
from toraeval.training.recipes.validation import (
    ValidationClips,
    held_out_batches,
    sampled_errors,
    validation_loss,
)
from toraeval.types import UserError

CLOCKS = {"wall": "perf_counter", "processor": "process_time"}


class Trainer:
    """Holds model, average, optimisers and counters; see the module's text.

    Args:
        config: options.
        rank: number of this worker.
        exchange: shared memory of the workers, None for a single one.
    """

    def __init__(self, config: TrainConfig, rank: int = 0, exchange: Exchange | None = None) -> None:
        self.learner = learner(config.model)
        network = self.learner.default_network() if config.network is None else config.network
        self.config, self.rank, self.exchange = replace(config, network=network), rank, exchange
        self._stopping = False
        self.out = Path(config.out)
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.model = self.learner.build(network).to(config.device)
        if config.compile and isinstance(self.model, STDiT3):
            self.model.compile_blocks()
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizers = build_optimizers(self.model, config)
        self.base_lr = [config.lr_matrix, config.lr_other]
        self.vae = load_vae(Path(config.vae))
        self.objective = Objective(self.learner, self.vae, config)
        self.motion_reader = self.learner.motion_reader(network)
        self.step, self.seconds, self.clips = 0, 0.0, 0
        self.validation: dict[str, float] | None = None
        self.held_out: ValidationClips | None = None
        self._held_batches: list[Batch] | None = None
        if config.validation is not None and rank == 0:
            self.held_out = ValidationClips.load(Path(config.validation))
        self._resume()

    def _resume(self) -> None:
        path = self.out / "state.pt"
        if not path.exists():
            if self.config.start is not None:
                self._start(Path(self.config.start))
            return
        saved = torch.load(path, weights_only=True, map_location=self.config.device)
        self.model.load_state_dict(saved["model"])
        self.average = saved["average"]
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step, self.seconds, self.clips = saved["step"], saved["seconds"], saved["clips"]
        self.validation = saved.get("validation")
        if self.rank == 0:
            for name in ("log.csv", "validation.csv"):
                drop_rows_after(self.out / name, self.step)

    def _start(self, path: Path) -> None:
        network, vae = self.learner.load(path)
        if not torch.equal(vae.basis, self.vae.basis):
            raise UserError(f"train: {path} was trained with another autoencoder than {self.config.vae}")
        state = network.state_dict()
        if not self.config.start_motion:
            keys = self.learner.motion_keys
            fresh = {k: v for k, v in self.model.state_dict().items() if k.startswith(keys)}
            state = {k: v for k, v in state.items() if not k.startswith(keys)} | fresh
        self.model.load_state_dict(state)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def save(self) -> None:
        """Write the whole state under a temporary name and rename it."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
            "clips": self.clips,
            "validation": self.validation,
        }
        temporary = self.out / "state.pt.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.out / "state.pt")
        (self.out / "config.json").write_text(json.dumps(asdict(self.config), indent=1))

    @property
    def progress(self) -> float:
        """Share of the budget that is used up."""
        return self._share(self.step, self.clips)

    def _share(self, step: int, clips: int) -> float:
        if self.config.samples is not None:
            return clips / self.config.samples
        if self.config.steps is not None:
            return step / self.config.steps
        return self.seconds / (60 * self.config.minutes)

    def plan(self, step: int, clips: int | None = None) -> StepPlan:
        """Return what a step trains on: dense then sparse motion, one object then several, windows then whole clips.

        Batches are read ahead, so what decides is the state when the step is made and not when it is read; only a
        budget of minutes cannot know it.

        Args:
            step: number of the step.
            clips: that all workers have seen before it, those seen so far if not given.
        """
        c, progress = self.config, self._share(step, self.clips if clips is None else clips)
        motion = "dense" if progress < c.dense_share else "sparse"
        if self.motion_reader is None:
            motion = "none"
        objects = 1 if progress < c.single_share else 3
        late = progress >= c.window_share
        lengths = c.late_lengths if late else c.lengths
        # a window holds one path, so whole pictures are mixed in once there are several objects
        if late and step % 2 == 0:
            return StepPlan(motion, lengths, objects, min_objects=1 if step % 4 else min(2, objects))
        if not late and objects > 1 and c.group_window is not None:
            if int(step * c.group_share) > int((step - 1) * c.group_share):
                return StepPlan(motion, lengths, objects, c.group_window, min_objects=2)
        elif not late and objects > 1 and step % 3 == 0:
            return StepPlan(motion, lengths, objects)
        return StepPlan(motion, lengths, 1, c.window)

    def learning_factor(self) -> float:
        """Return the factor on both learning rates: warm-up, constant, then linear decay."""
        tail = (1.0 - self.progress) / self.config.decay_share
        return max(0.0, min(1.0, (self.step + 1) / self.config.warmup_steps, tail))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a batch."""
        return self.objective.losses(self.model, batch, generator, self.config.text_dropout).mean()

    def update(self, batch: Batch) -> tuple[float, float]:
        """Make one step; returns loss and gradient norm."""
        draw = (self.config.seed * 1_000_003 + self.step) * 64 + self.rank
        loss = self.loss(batch, torch.Generator().manual_seed(draw))
        loss.backward()
        if self.exchange is not None:
            self.exchange.average(
                [p for p in self.model.parameters() if p.requires_grad], self.rank, self.step
            )
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        factor = self.learning_factor()
        for optimizer, lr in zip(self.optimizers, self.base_lr, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.rank == 0:
            self._update_average()
        return float(loss.detach()), float(norm)

    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        state = self.model.state_dict()
        keys = [k for k, v in state.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.average[k] for k in keys], [state[k] for k in keys], 1 - decay)

    def run(self) -> None:
        """Train until the time is used up; worker 0 logs and saves.

        Raises:
            UserError: the data lack a wanted length or number of objects.
        """
        source = BatchSource(
            Path(self.config.data),
            self.config.lengths,
            self.config.seed,
            self.rank,
            self.config.tokens,
            self.motion_reader,
            self.config.clips,
            self.learner.open_shard,
        )
        begun, workers = self.clips, 1 if self.exchange is None else self.config.workers
        feed = Prefetcher(source, lambda step, drawn: self.plan(step, begun + workers * drawn), self.step)
        try:
            self._loop(feed)
        finally:
            feed.close()
        if self.rank == 0:
            self.save()

    def stop(self) -> None:
        """Stop after the step that runs; `run` then saves."""
        self._stopping = True

    def _loop(self, feed: Prefetcher) -> None:
        clock = getattr(time, CLOCKS[self.config.clock])
        began, saved = clock() - self.seconds, time.perf_counter()
        losses: list[float] = []
        while self.progress < 1.0 and not self._stopping:
            batch = self._trimmed(feed.next()[1])
            loss, norm = self.update(batch)
            losses.append(loss)
            self.step += 1
            before = self.progress
            self._agree(batch.clips, clock() - began)
            if self.rank == 0 and self.step % 20 == 0:
                self._log(sum(losses) / len(losses), norm)
                losses.clear()
            if self.held_out is not None and self._is_due(before):
                paused = clock()
                self._validate()
                began += clock() - paused  # not training time
            if self.rank == 0 and time.perf_counter() - saved > 60 * self.config.save_minutes:
                self.save()
                saved = time.perf_counter()

    def _is_due(self, before: float) -> bool:
        """Return whether validation is due, `before` being the progress before the step."""
        share = self.config.validation_share
        return self.progress >= 1.0 or int(self.progress / share) > int(before / share)

    def _trimmed(self, batch: Batch) -> Batch:
        """Leave clips out of the last batch, so that the run ends at the number it is bounded by."""
        if self.config.samples is None:
            return batch
        left = self.config.samples - self.clips
        workers = 1 if self.exchange is None else self.config.workers
        return batch.first(max(1, (left + workers - 1 - self.rank) // workers))

    def _agree(self, clips: int, seconds: float) -> None:
        """Count the clips of all workers and take worker 0's time, so that all stop after the same step."""
        if self.exchange is not None:
            clips, seconds, self._stopping = self.exchange.agree(self.rank, clips, seconds)
        self.clips, self.seconds = self.clips + clips, seconds

    def _log(self, loss: float, norm: float) -> None:
        plan = self.plan(self.step)
        row = {
            "step": self.step,
            "clips": self.clips,
            "seconds": round(self.seconds),
            "loss": f"{loss:.5f}",
            "grad_norm": f"{norm:.3f}",
            "lr_factor": f"{self.learning_factor():.3f}",
            "motion": plan.motion,
            "max_objects": plan.max_objects,
            "window": plan.window or 0,
        }
        append_row(self.out / "log.csv", row)

    def _validate(self) -> None:
        assert self.held_out is not None
        measured = (self.model, self.objective, self.vae, self.held_out)
        if self._held_batches is None:
            self._held_batches = held_out_batches(*measured)
        self.validation = validation_loss(*measured, self._held_batches)
        self.validation |= sampled_errors(*measured, self._held_batches)
        losses = {kind: f"{loss:.5f}" for kind, loss in self.validation.items()}
        row = {"step": self.step, "clips": self.clips, "seconds": round(self.seconds), **losses}
        append_row(self.out / "validation.csv", row)


def _work(rank: int, config: TrainConfig, exchange: Exchange | None) -> None:
    torch.set_num_threads(1)
    ignore_interrupts()
    try:
        Trainer(config, rank, exchange).run()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


def train(config: TrainConfig) -> None:
    """Train with the configured number of workers; goes on from the saved state if there is one.

    Raises:
        UserError: the data do not serve the plan, or a worker stopped.
        KeyboardInterrupt: stopped by the user; the state is saved.
    """
    if config.workers == 1:
        trainer = Trainer(config)
        with finish_step_on_interrupt(trainer.stop):
            trainer.run()
        return
    kind = learner(config.model)
    model = kind.build(kind.default_network() if config.network is None else config.network)
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    run_workers(_work, config, config.workers, Exchange(config.workers, size))
