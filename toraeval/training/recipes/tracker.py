"""Train the learned tracker: `python -m toraeval.training.recipes.tracker minutes=15 folder=tracker`.

The run is bounded by wall time. Its whole state is saved every minute by an atomic rename, so that it
may be killed at any moment; the same command goes on, and at the end writes weights and card.
"""

from __future__ import annotations

import csv
import json
import math
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from toraeval.models.shared.weight_files import write_safetensors
from toraeval.store.sealed import atomic
from toraeval.suites.shapes.world import WORLD_SEED
from toraeval.trackers.shapes_tracker import WEIGHTS, to_input
from toraeval.trackers.shared.correlation_net import CorrelationTracker, NetConfig
from toraeval.training.data.tracker_data import FIRST_SCENE, Sample, draw_sample
from toraeval.training.engine.exchange import (
    Exchange,
    finish_step_on_interrupt,
    ignore_interrupts,
    run_workers,
)
from toraeval.training.recipes.tracker_loss import measure_loss
from toraeval.types import UserError

CHECKED = 24  # validation clips at the end


@dataclass(frozen=True)
class Options:
    """Options of a run; `minutes` is training time, added up over restarts."""

    folder: str = "training_state/tracker"
    export: str = str(WEIGHTS)
    minutes: float = 15.0
    workers: int = 2  # processes of one thread each
    clips: int = 2  # per step and worker
    frames: int = 12
    points: int = 6
    lr: float = 1e-3
    seed: int = 0


def stack(samples: list[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """Return frames (B, T, 3, H, W) in [-1, 1], points (B, N, T, 2) and visibility of samples."""
    frames = torch.from_numpy(np.stack([s.frames_THW3 for s in samples]))
    points = torch.from_numpy(np.stack([s.points_NT2 for s in samples])).float()
    visible = torch.from_numpy(np.stack([s.visible_NT for s in samples]))
    return to_input(frames), points, visible


class Trainer:
    """Network, optimiser, moving average and counters of one worker; see the module's text."""

    def __init__(self, options: Options, rank: int = 0, exchange: Exchange | None = None) -> None:
        self.options, self.rank, self.exchange = options, rank, exchange
        self.folder = Path(options.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(options.seed)
        self.net = CorrelationTracker(NetConfig())
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=1e-3
        )
        self.step, self.seconds = 0, 0.0
        self._stopping = False
        if (self.folder / "state.pt").exists():
            saved = torch.load(self.folder / "state.pt", weights_only=True)
            self.net.load_state_dict(saved["net"])
            self.average = saved["average"]
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step, self.seconds = saved["step"], saved["seconds"]

    @property
    def progress(self) -> float:
        """Share of the time that is used up."""
        return self.seconds / (60 * self.options.minutes)

    def rate(self) -> float:
        """Return the learning rate: 100 steps of warm-up, then a cosine down to zero."""
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress)))
        return self.options.lr * min(1.0, (self.step + 1) / 100) * falling

    def samples(self) -> list[Sample]:
        """Draw this worker's clips of the step; no two workers or steps share a clip."""
        o = self.options
        first = (self.step * o.workers + self.rank) * o.clips
        raster = self.net.config.raster
        return [
            draw_sample("train", first + i, frames=o.frames, points=o.points, raster=raster)
            for i in range(o.clips)
        ]

    def update(self) -> tuple[float, float]:
        """Make one step; returns the loss and the mean distance of the visible points, raster pixels."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        frames, points, visible = stack(self.samples())
        with torch.autocast("cpu", torch.bfloat16):
            fine, coarse = self.net.encode(frames)
        output = self.net.locate((fine.float(), coarse.float()), points[:, :, 0])
        loss = measure_loss(output, points, visible, self.net.config.raster)
        loss.backward()
        if self.exchange is not None:
            self.exchange.average(list(self.net.parameters()), self.rank, self.step)
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        state = self.net.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [state[k] for k in self.average], 1 - decay)
        self.step += 1
        distance = (output.estimates[-1].points.detach() - points).norm(dim=-1)[visible]
        return float(loss.detach()), float(distance.mean())

    def stop(self) -> None:
        """Stop after the step that runs; `run` then saves."""
        self._stopping = True

    def run(self) -> None:
        """Train until the time is used up; worker 0 logs and saves."""
        began, saved = time.perf_counter() - self.seconds, time.perf_counter()
        window: list[tuple[float, float]] = []
        while self.progress < 1.0 and not self._stopping:
            window.append(self.update())
            self.seconds = time.perf_counter() - began
            if self.exchange is not None:
                _, self.seconds, self._stopping = self.exchange.agree(
                    self.rank, self.options.clips, self.seconds
                )
            if self.rank == 0 and self.step % 20 == 0:
                self._log(*np.mean(window, axis=0))
                window.clear()
            if self.rank == 0 and time.perf_counter() - saved > 60:
                self.save()
                saved = time.perf_counter()
        if self.rank == 0:
            self.save()

    def save(self) -> None:
        """Write the whole state."""
        state = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        atomic(self.folder / "state.pt", lambda path: torch.save(state, path))

    def _log(self, loss: float, distance: float) -> None:
        row = {
            "step": self.step,
            "clips": self.step * self.options.clips * self.options.workers,
            "seconds": round(self.seconds),
            "loss": f"{loss:.4f}",
            "distance_px": f"{distance:.3f}",
        }
        file = self.folder / "log.csv"
        new = not file.exists()
        with file.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(", ".join(f"{k} {v}" for k, v in row.items()), file=sys.stderr, flush=True)  # noqa: T201

    @torch.no_grad()
    def judge(self) -> dict[str, float]:
        """Return what the averaged network gets right on damaged clips of the validation split."""
        net = CorrelationTracker(self.net.config)
        net.load_state_dict(self.average)
        net.eval()
        errors, told = [], []
        for index in range(CHECKED):
            sample = draw_sample(
                "validation", index, frames=self.options.frames, points=4, raster=net.config.raster
            )
            frames, points, visible = stack([sample])
            last = net(frames, points[:, :, 0]).estimates[-1]
            errors.append((last.points - points).norm(dim=-1)[:, :, 1:][visible[:, :, 1:]])
            told.append(((last.seen > 0) == visible)[:, :, 1:].flatten().float())
        distances = torch.cat(errors)
        return {
            "median_distance_px": round(float(distances.median()), 3),
            "mean_distance_px": round(float(distances.mean()), 3),
            "within_4_px": round(float((distances < 4).float().mean()), 4),
            "visibility_accuracy": round(float(torch.cat(told).mean()), 4),
        }

    def export(self) -> Path:
        """Write the averaged weights and their card, and return the weight file."""
        o, target = self.options, Path(self.options.export)
        card = {
            "name": "shapes_tracker",
            "licence": "Apache-2.0",
            "architecture": asdict(self.net.config),
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "data": "procedural world `shapes`, training split, drawn on the fly with random damage",
            "world_seed": WORLD_SEED,
            "scenes": [FIRST_SCENE, FIRST_SCENE + self.step * o.clips * o.workers],
            "steps": self.step,
            "clips_seen": self.step * o.clips * o.workers,
            "training_seconds": round(self.seconds),
            "hardware": f"{o.workers} process(es) on cpu, {platform.machine()}",
            "torch": torch.__version__,
            "validation": self.judge(),
            "validation_definition": f"{CHECKED} damaged validation clips of {o.frames} frames; raster pixels",
            "options": {k: v for k, v in asdict(o).items() if k not in ("folder", "export")},
        }
        write_safetensors(target, self.average, card, torch.float16)
        target.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
        return target


def _work(rank: int, options: Options, exchange: Exchange | None) -> None:
    torch.set_num_threads(1)
    ignore_interrupts()
    Trainer(options, rank, exchange).run()


def parse(words: list[str]) -> Options:
    """Return the options given as `name=value`.

    Raises:
        UserError: an unknown option or a value that is not allowed.
    """
    try:
        given = OmegaConf.merge(OmegaConf.structured(Options), OmegaConf.from_dotlist(words))
        options = OmegaConf.to_object(given)
    except OmegaConfBaseException as error:
        allowed = ", ".join(f"{name}=..." for name in asdict(Options()))
        raise UserError(f"{str(error).splitlines()[0]}; allowed: {allowed}") from error
    assert isinstance(options, Options)
    if not (0 < options.minutes < math.inf and min(options.workers, options.clips, options.points) >= 1):
        raise UserError(f"minutes={options.minutes} workers={options.workers} clips={options.clips} "
                        f"points={options.points}; allowed: numbers above 0")  # fmt: skip
    if not 2 <= options.frames <= 128:
        raise UserError(f"frames={options.frames}; allowed: 2 to 128")
    return options


def main(words: list[str]) -> int:
    """Train and export; returns the exit code."""
    try:
        options = parse(words)
        trainer = Trainer(options)
        if options.workers == 1:
            with finish_step_on_interrupt(trainer.stop):
                trainer.run()
        elif trainer.progress < 1.0:
            size = sum(p.numel() for p in trainer.net.parameters())
            run_workers(_work, options, options.workers, Exchange(options.workers, size))
        print(f"written: {Trainer(options).export()}", file=sys.stderr)  # noqa: T201
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped and saved; the same command goes on", file=sys.stderr)  # noqa: T201
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
