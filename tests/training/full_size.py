"""What the tests of full-size training share: a network that trains in milliseconds and batches drawn from a key.

Run as a script it is one process of a run: `full_size.py FOLDER WORLD`, under torchrun's environment or alone.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from toraeval.models.shared.network.config import STDiTConfig, tiny
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.training.data.batch import Batch
from toraeval.training.engine import distributed
from toraeval.training.engine.distributed import World
from toraeval.training.engine.engine import Engine
from toraeval.training.engine.parts import Schedule, Source, draws
from toraeval.training.recipes.full_recipe import (
    FullObjective,
    FullRecipe,
    GuidedNetwork,
    choose_trainable,
    fill,
    shard,
)

CONFIG = tiny(
    depth=1, fuser="adaptive_norm", hidden_size=32, num_heads=2, motion_channels=8, extractor_blocks=1
)
# eps keeps Adam from blowing up gradients that are zero but for rounding, such as those of key biases
RECIPE = FullRecipe(
    stage_steps=(3, 3), batches_per_step=2, trainable="all", lr=3e-3, eps=1e-4, warmup_steps=2, seed=5
)


class Drawn(Source):
    """Batches from nothing but their key, of two sizes in turn.

    Args:
        config: of the network.
    """

    def __init__(self, config: STDiTConfig = CONFIG) -> None:
        self.config = config

    def batch(self, step: int, number: int) -> Batch:
        frames, rows, columns, count = ((17, 4, 6, 2), (4, 4, 4, 3))[number % 2]
        latent = 5 if frames == 17 else 1
        generator = draws("data", step, number)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        kept = torch.randint(1, self.config.model_max_length + 1, (count, 1), generator=generator)
        return Batch(
            normal(count, 4, latent, rows, columns),
            normal(count, 4, latent, rows, columns),
            normal(count, 1, self.config.model_max_length, self.config.caption_channels),
            frames,
            rows * 8,
            columns * 8,
            torch.full((count,), 8.0),
            (torch.arange(self.config.model_max_length) < kept).long(),
        )


@contextmanager
def engine(
    folder: Path,
    recipe: FullRecipe = RECIPE,
    precision: str = "fp32",
    config: STDiTConfig = CONFIG,
    save_every: int = 2,
    prepare: Callable[[ToraNetwork], None] = lambda model: None,
) -> Iterator[tuple[Engine, World]]:
    """A run in this process, at its last checkpoint if there is one."""
    with distributed.processes("cpu") as world:
        torch.manual_seed(0)
        model = ToraNetwork(config)
        prepare(model)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        with torch.device("meta"):
            network = GuidedNetwork(ToraNetwork(config))
        choose_trainable(network.model, recipe.trainable)
        shard(network, world, precision)
        fill(network.model, state, world)
        schedule = Schedule(folder, save_every, keep=2)
        run = Engine(recipe, Drawn(config), FullObjective(network, recipe), world, schedule)
        run.resume()
        yield run, world


def weights(run: Engine, world: World) -> dict[str, Tensor]:
    """Everything that must be equal between two runs."""
    state = run.state()
    flat = {f"average.{k}": v for k, v in state["average"].items()} | state["model"]
    for name, moments in state["optimizer"].items():
        flat |= {f"optimizer.{name}.{key}": value for key, value in moments.items()}
    return distributed.gather(flat, world)


def main() -> None:
    """Train in `folder`; kill this process without warning while the given step is made."""
    folder, steps, kill = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    recipe = replace(RECIPE, stage_steps=(3, steps - 3))
    with engine(folder, recipe) as (run, world):
        drawn = run.source.batch

        def batch(step: int, number: int) -> Batch:
            if step == kill and number == recipe.batches_per_step - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return drawn(step, number)

        run.source.batch = batch  # type: ignore[method-assign]
        assert run.run() == 0
        whole = weights(run, world)
        if world.first:
            torch.save(whole, folder / "weights.pt")


if __name__ == "__main__":
    main()
