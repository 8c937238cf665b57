"""What the trainings of the small networks share, the tracker's and those of metrics: minutes, a cosine, one export."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.config.trainings import SmallNetOptions
from toraeval.suites.shapes.world import WORLD_SEED
from toraeval.training.engine.distributed import World
from toraeval.training.engine.engine import Engine
from toraeval.training.engine.launch import launch, say
from toraeval.training.engine.parts import Counters, Objective, Recipe, Row, Schedule, Source
from toraeval.training.engine.record import agree, effort, write_half

WARMUP_STEPS = 100
SAVE_MINUTES = 1.0
CHANGEABLE = {f.name for f in fields(SmallNetOptions)} - {"seed", "lr", "batch"} | {
    "pictures",
    "workers",
    "threads",
}


@dataclass(frozen=True, kw_only=True)
class CosineRecipe(Recipe):
    """A number of minutes; the learning rate warms up, then falls to zero along a cosine."""

    minutes: float  # training time, added up over restarts
    seed: int
    clip: float = 1.0
    batches_per_step: int = 1
    log_every: int = 20
    average: bool = True  # whether a moving average of the weights is kept

    def progress(self, done: Counters) -> float:
        return done.seconds / (60 * self.minutes)

    def learning_rate(self, base: float, done: Counters) -> float:
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress(done))))
        return base * min(1.0, (done.step + 1) / WARMUP_STEPS) * falling

    def decay(self, step: int) -> float | None:
        return super().decay(step) if self.average else None

    def row(self, done: Counters, loss: float, norm: float, facts: Sequence[Mapping[str, Any]]) -> Row:
        means = {name: sum(fact[name] for fact in facts) / len(facts) for name in facts[0]}
        return {
            **done.row(),
            "loss": f"{loss:.4f}",
            **{name: f"{value:.3f}" for name, value in means.items()},
        }


class SmallNet(Objective):
    """A small network with everything that its training needs, made from the options of the run."""

    net: nn.Module
    options: SmallNetOptions
    weight_decay: float
    recipe: CosineRecipe
    source: Source
    target: Path

    def optimizers(self) -> list[torch.optim.Optimizer]:
        weights = [p for p in self.model.parameters() if p.requires_grad]
        decay = self.weight_decay
        return [torch.optim.AdamW(weights, lr=self.options.lr, betas=(0.9, 0.98), weight_decay=decay)]

    @abstractmethod
    def weights(self, engine: Engine) -> Mapping[str, Tensor]:
        """Return what is exported."""

    @abstractmethod
    def card(self, engine: Engine) -> dict[str, Any]:
        """Return what the card tells of this network alone, measured on scenes it has never seen."""


def train(kind: type[SmallNet], options: SmallNetOptions, workers: int = 1) -> int:
    """Train and export, or resume where training stopped; returns the exit code.

    Raises:
        UserError: other options than the run in this folder began with.
    """
    return launch(Path(options.folder) / options.model, _work, kind, options, workers=workers)


def _work(world: World, kind: type[SmallNet], options: SmallNetOptions) -> int:
    torch.manual_seed(options.seed)
    objective = kind(options)  # type: ignore[call-arg]
    folder = Path(options.folder) / options.model
    agree(folder, asdict(options), lambda r: {k: v for k, v in r.items() if k not in CHANGEABLE}, world)
    engine = Engine(
        objective.recipe, objective.source, objective, world, Schedule(folder, None, SAVE_MINUTES)
    )
    engine.resume()
    code = engine.run(lambda row: say(", ".join(f"{name} {value}" for name, value in row.items())))
    if world.first and code == 0:
        say(f"weights: {export(engine, objective)}")
    return code


def export(engine: Engine, objective: SmallNet) -> Path:
    """Write weights and card, and return the weight file."""
    card = {
        "licence": "Apache-2.0",
        "parameters": sum(p.numel() for p in objective.net.parameters()),
        "data": "procedural world `shapes`, training split (toraeval.suites.shapes.world)",
        "world_seed": WORLD_SEED,
        **effort(engine),
        **objective.card(engine),
    }
    write_half(objective.target, objective.weights(engine), card)
    return objective.target
