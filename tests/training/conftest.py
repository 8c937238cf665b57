"""A few real scenes as shards of a small autoencoder, and a network that trains in milliseconds."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from toraeval.cli.train import execute
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder, fit
from toraeval.models.shared.network import config as tora_config
from toraeval.models.shared.network.config import STDiTConfig, nano
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.training.data.scenes import fit_blocks
from toraeval.training.data.shards import shard_stem, write_shard
from toraeval.training.engine import parts
from toraeval.training.engine.distributed import World, processes
from toraeval.training.engine.engine import Engine

CHANNELS = 8


@pytest.fixture(scope="session")
def vae() -> LinearPatchAutoencoder:
    """Fitted on two scenes."""
    return fit(fit_blocks(2), CHANNELS)


@pytest.fixture(scope="session")
def vae_path(vae: LinearPatchAutoencoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vae") / "vae.safetensors"
    save_file(dict(vae.state_dict()), str(path))
    return path


@pytest.fixture(scope="session")
def shards(vae: LinearPatchAutoencoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of 17 frames and one of 33."""
    folder = tmp_path_factory.mktemp("shards")
    with torch.no_grad():
        for frames, start, count in ((17, 0, 4), (17, 4, 3), (33, 100, 2)):
            write_shard(vae, shard_stem(folder, frames, start), count)
    return folder


@pytest.fixture
def tiny_size(monkeypatch: pytest.MonkeyPatch) -> STDiTConfig:
    """Make the nano size tiny wherever training looks it up."""
    config = nano(
        depth=1,
        hidden_size=32,
        num_heads=2,
        in_channels=CHANNELS,
        cond_channels=CHANNELS,
        caption_channels=8,
        motion_channels=8,
        patch_size=(1, 2, 2),
        binding="none",
    )
    for module in (checkpoint, tora_config):
        monkeypatch.setattr(module, "nano", partial(replace, config))
    return config


def train_command(options: dict[str, Any]) -> int:
    """Do what `python -m toraeval train` does with these options; return the exit code."""
    return execute(options, "").exit_code


def interrupted(run: Callable[[], int], after: int, number: int = signal.SIGINT) -> int:
    """Call what trains until a signal comes in step number `after`, from 1; return the exit code."""
    update = Engine.update

    def watched(self: Engine, step: int) -> Any:
        result = update(self, step)
        if step + 1 == after:
            os.kill(os.getpid(), number)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "update", watched)
        return run()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training time counted in steps, so that a run is the same on every machine: a second passes at each."""
    for name in parts.CLOCKS:  # read twice in each step
        monkeypatch.setitem(parts.CLOCKS, name, partial(next, itertools.count()))


@pytest.fixture
def world() -> Iterator[World]:
    """One process on the CPU."""
    with processes("cpu") as alone:
        yield alone


@pytest.fixture(scope="session")
def excerpts(shards: Path, vae: LinearPatchAutoencoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards with the paths and starts of their excerpts."""
    folder = tmp_path_factory.mktemp("excerpts")
    for source in shards.iterdir():
        (folder / source.name).symlink_to(source)
    with torch.no_grad():
        for text in folder.glob("*.txt"):
            count = len(text.read_text().splitlines())
            write_shard(vae, text.with_suffix(""), count, ("excerpts",))
    return folder
