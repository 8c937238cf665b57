"""Train Tora nano: stage 1 on dense flow, stage 2 on sparse trajectories (arXiv 2407.21705, section 3.4).

The run is bounded by wall time. Its whole state (weights, average, optimisers, step,
seconds spent) is saved every few minutes by an atomic rename, so that it may be killed at
any moment; the same command goes on. The log is one CSV row per 20 steps.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from toraeval.models.tora.config import STDiTConfig, nano
from toraeval.models.tora.flow import ClipSize, FlowConfig, RectifiedFlow
from toraeval.models.tora.linear_vae import LinearPatchAutoencoder
from toraeval.models.tora.model import Tora
from toraeval.training.batches import TOKEN, Batch, BatchSource, Prefetcher, StepPlan
from toraeval.training.exchange import Exchange, finish_step_on_interrupt, ignore_interrupts, run_workers
from toraeval.types import UserError

FPS = 8.0
SIZE = 512.0
MOTION_KEYS = ("traj_extractor.", "fuser.", "fuser_spatial.")


@dataclass(frozen=True)
class TrainConfig:
    """Options of a run.

    `minutes` is training time, saved and added up over restarts; `steps`, if given, bounds the run instead of it.
    All shares below are shares of the budget.
    """

    data: str = "training_state/shards"
    out: str = "training_state/nano"
    vae: str = "training_state/vae.safetensors"
    network: STDiTConfig = field(default_factory=lambda: nano())
    minutes: float = 110.0
    steps: int | None = None
    dense_share: float = 0.15  # stage 1: dense flow; the rest sees sparse trajectories
    window_share: float = 0.6  # after it every second step sees whole pictures
    window: int = 5  # token rows and columns of a window around a path: 2.6 times cheaper
    single_share: float = 0.35  # clips with one object only
    decay_share: float = 0.25  # the last part, over which the learning rate falls to zero
    lr_matrix: float = 2e-3  # Muon, block matrices
    lr_other: float = 1e-3  # AdamW, everything else
    warmup_steps: int = 100
    clip: float = 1.0
    ema: float = 0.998
    text_dropout: float = 0.1
    channel_power: float = 0.5  # channel weights: component variance to this power
    save_minutes: float = 4.0
    seed: int = 0
    tokens: int = 2560  # per batch and worker
    clips: int | None = None  # use only so many clips of each length, all that are there if not given
    start: str | None = None  # weights file to begin from
    start_motion: bool = True  # take extractor and fusers from it too; else they begin anew
    workers: int = 2  # processes of one thread each; beats one process of two threads on a shared machine
    device: str = "cpu"
    lengths: dict[int, float] = field(default_factory=lambda: {17: 0.66, 33: 0.2, 65: 0.09, 129: 0.05})
    late_lengths: dict[int, float] = field(default_factory=lambda: {17: 0.5, 33: 0.2, 65: 0.17, 129: 0.13})
    flow: FlowConfig = field(default_factory=lambda: FlowConfig(prediction="clean", loc=1.5, t_min=0.4))


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return (matrices of blocks, fusers' linear parts excluded; all others)."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        inside = "_blocks." in name and p.ndim == 2 and "table" not in name
        (matrices if inside else others).append(p)
    return matrices, others


class Trainer:
    """Holds model, average, optimisers and counters; see the module's text.

    Args:
        config: options.
        rank: number of this worker.
        exchange: shared memory of the workers, None for a single one.
    """

    def __init__(self, config: TrainConfig, rank: int = 0, exchange: Exchange | None = None) -> None:
        from safetensors.torch import load_file

        self.config, self.rank, self.exchange = config, rank, exchange
        self._stopping = False
        self.out = Path(config.out)
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.model = Tora(config.network).to(config.device)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        matrices, others = split_parameters(self.model)
        self.optimizers = [
            torch.optim.Muon(
                matrices, lr=config.lr_matrix, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(others, lr=config.lr_other, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self.base_lr = [config.lr_matrix, config.lr_other]
        self.flow = RectifiedFlow(config.flow)
        state = load_file(config.vae)
        self.vae = LinearPatchAutoencoder(state["basis"].shape[0])
        self.vae.load_state_dict(state)
        weights = self.vae.scale.square() ** config.channel_power
        self.channel_weights = (weights / weights.mean()).to(config.device)
        self.step, self.seconds, self.clips = 0, 0.0, 0
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

    def _start(self, path: Path) -> None:
        from toraeval.models.tora import checkpoint

        network, vae = checkpoint.load(path)
        if not torch.equal(vae.basis, self.vae.basis):
            raise UserError(f"train: {path} was trained with another autoencoder than {self.config.vae}")
        state = network.state_dict()
        if not self.config.start_motion:
            fresh = {k: v for k, v in self.model.state_dict().items() if k.startswith(MOTION_KEYS)}
            state = {k: v for k, v in state.items() if not k.startswith(MOTION_KEYS)} | fresh
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
        }
        temporary = self.out / "state.pt.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.out / "state.pt")
        (self.out / "config.json").write_text(json.dumps(asdict(self.config), indent=1))

    @property
    def progress(self) -> float:
        """Share of the budget that is used up."""
        if self.config.steps is not None:
            return self.step / self.config.steps
        return self.seconds / (60 * self.config.minutes)

    def plan(self, step: int) -> StepPlan:
        """Return what a step trains on: dense then sparse motion, one object then several, windows then whole clips."""
        c = self.config
        motion = "dense" if self.progress < c.dense_share else "sparse"
        if self.model.traj_extractor is None:
            motion = "none"
        objects = 1 if self.progress < c.single_share else 3
        late = self.progress >= c.window_share
        lengths = c.late_lengths if late else c.lengths
        # a window holds one path, so whole pictures are mixed in once there are several objects
        if late and step % 2 == 0:
            return StepPlan(motion, lengths, objects, min_objects=1 if step % 4 else min(2, objects))
        if not late and objects > 1 and step % 3 == 0:
            return StepPlan(motion, lengths, objects)
        return StepPlan(motion, lengths, 1, c.window)

    def learning_factor(self) -> float:
        """Return the factor on both learning rates: warm-up, constant, then linear decay."""
        tail = (1.0 - self.progress) / self.config.decay_share
        return max(0.0, min(1.0, (self.step + 1) / self.config.warmup_steps, tail))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a batch; latent frame 0 is given clean and left out."""
        device = self.config.device
        x0 = batch.video.to(device).permute(0, 4, 1, 2, 3).float()
        size = ClipSize(SIZE, SIZE, float(batch.frames))
        b, _, t = x0.shape[:3]
        times = self.flow.sample_times(b, size, generator).to(device)
        noise = torch.randn(x0.shape, generator=generator).to(device)
        mask = torch.ones(b, t, dtype=torch.bool, device=device)
        mask[:, 0] = False
        model = self.model
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            assert model.text_encoder is not None  # nano always has one
            y = model.text_encoder(batch.words.to(device))
            dropped = torch.rand(b, generator=generator).to(device) < self.config.text_dropout
            y = model.y_embedder.drop(y, dropped)
            features = None
            if batch.motion is not None:
                features = model.encode_motion(batch.motion.to(device).permute(0, 4, 1, 2, 3).float())
            fps = torch.full((1,), FPS, device=device)
            cond = x0[:, :, :1]
            places = None
            if batch.origins is not None:
                window = (x0.shape[3] // TOKEN, x0.shape[4] // TOKEN)
                places = model.window_positions(batch.origins, window, batch.whole)

            def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
                return model.predict_clean(
                    x, timestep, x_mask, cond, y=y, fps=fps, motion=features, positions=places
                )

            losses = self.flow.loss(denoise, x0, times, noise, mask, self.channel_weights)
        return losses.mean()

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
            self.config.network.compression,
            self.config.clips,
        )
        feed = Prefetcher(source, self.plan, self.step)
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
        began, saved = time.perf_counter() - self.seconds, time.perf_counter()
        losses: list[float] = []
        while self.progress < 1.0 and not self._stopping:
            _, batch = feed.next()
            loss, norm = self.update(batch)
            losses.append(loss)
            self.step += 1
            self.clips += batch.clips * (1 if self.exchange is None else self.config.workers)
            self.seconds = self._clock(time.perf_counter() - began)
            if self.rank == 0 and self.step % 20 == 0:
                self._log(sum(losses) / len(losses), norm)
                losses.clear()
            if self.rank == 0 and time.perf_counter() - saved > 60 * self.config.save_minutes:
                self.save()
                saved = time.perf_counter()

    def _clock(self, seconds: float) -> float:
        """Return worker 0's time, so that all workers stop after the same step."""
        if self.exchange is None:
            return seconds
        seconds, self._stopping = self.exchange.agree(self.rank, seconds)
        return seconds

    def _log(self, loss: float, norm: float) -> None:
        path = self.out / "log.csv"
        new = not path.exists()
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
        with path.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


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
    size = sum(p.numel() for p in Tora(config.network).parameters() if p.requires_grad)
    run_workers(_work, config, config.workers, Exchange(config.workers, size))
