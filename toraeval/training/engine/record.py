"""What decides the weights of a run: stored beside it, compared when it is resumed, stated in the model card."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval.models.shared.weight_files import write_safetensors
from toraeval.store import sealed
from toraeval.training.engine.distributed import World
from toraeval.training.engine.engine import Engine, last_checkpoint
from toraeval.types import UserError

RECORD = "run.json"


def agree(
    folder: Path, record: Mapping[str, Any], comparable: Callable[[dict[str, Any]], Any], world: World
) -> bool:
    """Store what decides the weights as `run.json`, or compare it with what the run began with.

    The record is plain JSON, that of the first process counts; `comparable` returns the parts of one that must not
    change when a run is resumed.

    Returns:
        Whether there is a checkpoint to resume from.

    Raises:
        UserError: something differs, so that resuming would mix two trainings.
    """
    begun = bool(world.from_first(last_checkpoint(folder) if world.first else None))
    if world.first:
        path = folder / RECORD
        try:
            before = sealed.require_json(path)
        except sealed.Damaged as error:
            raise UserError(f"train: {error}; delete it to resume without comparing the options") from error
        if begun and before is not None:
            _compare(folder, comparable(dict(record)), comparable(before))
        sealed.write_json(path, record)
    world.wait()
    return begun


def _compare(folder: Path, now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
    for name, value in now.items():
        if value != (before := then.get(name)):
            told = f"was {before}, is {value}"
            if isinstance(before, dict) and isinstance(value, dict):
                key = next(k for k in {**before, **value} if before.get(k) != value.get(k))
                told = f"{key} was {before.get(key)}, is {value.get(key)}"
            raise UserError(
                f"train: {name} differs from what the run in {folder} began with ({told}); give the same options, or "
                "start over in another folder: folder=PATH"
            )


def effort(engine: Engine) -> dict[str, Any]:
    """Return what every model card tells of a training: its length, hardware and version of torch."""
    return {
        "steps": engine.done.step,
        "clips_seen": engine.done.clips,
        "training_seconds": round(engine.done.seconds),
        "hardware": f"{engine.world.size} process(es) on {engine.world.device.type}, {platform.machine()}",
        "torch": torch.__version__,
    }


def stage_losses(rows: Sequence[Mapping[str, str]], column: str) -> dict[str, dict[str, float]]:
    """Return the first loss of each stage in a log and the mean of its last five; `column` names the stage."""
    losses: dict[str, list[float]] = {}
    for row in rows:
        losses.setdefault(row[column], []).append(float(row["loss"]))
    return {
        stage: {"first": found[0], "last": sum(found[-5:]) / len(found[-5:])}
        for stage, found in losses.items()
    }


def write_half(target: Path, weights: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write weights as 16-bit floats, with their card in the file and beside it."""
    write_safetensors(target, dict(weights), dict(card), torch.float16)
    target.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
