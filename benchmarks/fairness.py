"""Write docs/fairness.md: what each embedded model was given, side by side, from cards, logs and tables.

    python -m benchmarks.fairness

Nothing is typed in by hand: parameters are counted in the weights, the rest is read from the model cards, the training
logs, and the tables of `train task=tune`, `task=steps` and `task=validate`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toraeval.store.sealed import write_text
from toraeval.training.engine.log import read_rows
from toraeval.training.recipes.learners import LEARNERS, learner
from toraeval.types import MissingAsset, UserError

ROOT = Path(__file__).resolve().parents[1]
MODELS = tuple(LEARNERS)
TOLERANCE = 0.10  # of the parameters between any two models
CLIPS_APART = 0.05  # of the clips that any two models saw
TIME_APART = 0.20  # of the time that any two models were trained; a design may cost more, so this is no rule
TRAIN = "python -m toraeval train model={} size=nano"


@dataclass(frozen=True)
class Evidence:
    """What is known of one model.

    Attributes:
        name: of the model.
        card: model card.
        parameters, motion_parameters: counted in the weights, the autoencoder left out.
        log, tuning, steps, validation: rows of its tables; empty where a table is not there.
    """

    name: str
    card: Mapping[str, Any]
    parameters: int
    motion_parameters: int
    log: Sequence[Mapping[str, str]]
    tuning: Sequence[Mapping[str, str]]
    steps: Sequence[Mapping[str, str]]
    validation: Sequence[Mapping[str, str]]


def weights_path(root: Path, model: str) -> Path:
    """Return where the weights of a model are shipped in a checkout."""
    folder = "toraeval/models/tora" if model == "tora" else f"baselines/{model}"
    return root / folder / "weights" / f"{model}_nano.safetensors"


def count_parameters(weights: Path, model: str) -> tuple[int, int]:
    """Count the numbers of a network in its weights file, all and those that read the paths.

    The autoencoder, which lies in the same file, is left out.
    """
    from safetensors import safe_open

    total, motion = 0, 0
    with safe_open(str(weights), framework="numpy") as handle:
        for name in handle.keys():  # noqa: SIM118, the handle is not a mapping
            part, _, parameter = name.partition(".")
            if part != "vae":
                size = math.prod(handle.get_slice(name).get_shape())
                total += size
                motion += size * parameter.startswith(learner(model).motion_keys)
    return total, motion


def collect(root: Path, model: str) -> Evidence:
    """Read everything about a model below the root of a checkout.

    Raises:
        MissingAsset: its weights or its card are not there.
        UserError: the card is damaged.
    """
    weights = weights_path(root, model)
    card = weights.with_suffix(".json")
    for path in (weights, card):
        if not path.exists():
            raise MissingAsset(f"fairness: no {path}; train the model with: {TRAIN.format(model)}")
    try:
        content = json.loads(card.read_text())
    except ValueError as error:
        raise UserError(
            f"fairness: {card} is not valid JSON ({error}); train it again: {TRAIN.format(model)}"
        ) from error
    tables = root / "docs" / "models"
    tuning, steps, validation, log = (
        read_rows(tables / f"{model}_{kind}.csv") for kind in ("tuning", "steps", "validation", "nano_log")
    )
    return Evidence(model, content, *count_parameters(weights, model), log, tuning, steps, validation)


def table(models: Sequence[Evidence]) -> list[str]:
    """Return the lines of the comparison, one row per property."""
    rows: list[tuple[str, list[str]]] = [
        ("parameters (counted in the weights)", [f"{m.parameters:,}" for m in models]),
        ("of which read the paths", [f"{m.motion_parameters:,}" for m in models]),
        ("clips seen in training", [f"{m.card['clips_seen']:,}" for m in models]),
        ("optimiser steps", [f"{m.card['steps']:,}" for m in models]),
        ("hardware", [str(m.card["hardware"]) for m in models]),
        ("time of training", [_time(m) for m in models]),
        ("clips per second of it", [f"{m.card['clips_seen'] / m.card['training_seconds']:.1f}" for m in models]),
        ("seed of weights and draws", [str(m.card["config"]["seed"]) for m in models]),
        ("clips rendered, by length", [_lengths(m) for m in models]),
        ("learning rates tried", [str(len(m.tuning)) if m.tuning else "none" for m in models]),
        ("learning rates of the run (matrices, others)", [_rates(m) for m in models]),
        ("rate that the search chose, of the default", [_chosen(m.tuning, "rate") for m in models]),
        ("training loss, mean of the last 100 logged steps", [_training_loss(m) for m in models]),
        ("validation loss, all clips", [_loss(m, "all") for m in models]),
        ("validation loss, fast clips", [_loss(m, "fast") for m in models]),
        ("validation loss, slow clips", [_loss(m, "slow") for m in models]),
        ("numbers of sampling steps tried", [", ".join(r["steps"] for r in m.steps) or "none" for m in models]),
        ("sampling steps chosen", [_chosen(m.steps, "steps") for m in models]),
        ("TrajError there, pixels", [_chosen(m.steps, "traj_error") for m in models]),
    ]  # fmt: skip
    lines = [
        "| | " + " | ".join(m.name for m in models) + " |",
        "|---|" + "---|" * len(models),
    ]
    return lines + [f"| {title} | {' | '.join(values)} |" for title, values in rows]


def checks(models: Sequence[Evidence]) -> list[str]:
    """Return a line per rule of the comparison, with whether it holds."""
    sizes = [m.parameters for m in models]
    apart = max(sizes) / min(sizes) - 1
    clips = [m.card["clips_seen"] for m in models]
    tries = {len(m.tuning) for m in models}
    steps = {tuple(r["steps"] for r in m.steps) for m in models}
    rules = [
        (
            max(sizes) <= (1 + TOLERANCE) * min(sizes),
            f"parameters within {TOLERANCE:.0%} of each other: the largest has {apart:.1%} more",
        ),
        (
            max(clips) <= (1 + CLIPS_APART) * min(clips),
            f"clips seen within {CLIPS_APART:.0%} of each other: {', '.join(f'{n:,}' for n in sorted(set(clips)))}",
        ),
        (
            tries not in ({0},) and len(tries) == 1,
            f"the same number of learning rates tried: {', '.join(map(str, sorted(tries)))}",
        ),
        (
            steps not in ({()},) and len(steps) == 1,
            f"the same numbers of sampling steps tried: {'; '.join(', '.join(s) or 'none' for s in sorted(steps))}",
        ),
        (all(m.validation for m in models), "the validation loss of every model is measured"),
    ]
    return [f"- {'holds' if holds else '**does not hold**'}: {text}." for holds, text in rules]


def differences(models: Sequence[Evidence]) -> list[str]:
    """Return in words what is not equal, as far as the records show it or the designs require it."""
    lines = [
        "- **Length of what is seen.** Tora and Wan-Move train on whole clips of 17 to 129 frames. The U-Nets have "
        "windows of 17 frames; from longer clips they see excerpts of 17. One clip counts as one either way, so the "
        "transformers have seen more frames per clip.",
        "- **Hand work.** The recipe was chosen on Tora ([recipe.md](models/recipe.md)); the others take it over. Only "
        "learning rate and sampling steps are searched for each model.",
        "- **How a model is given a path.** All get what is at its start copied along it (entity binding), as, "
        "among the published models, only Wan-Move does. Besides, each gets the path as its paper says: Tora a "
        "coloured picture through the autoencoder, the U-Nets blurred displacements, Wan-Move nothing more. MotionCtrl "
        "reads the displacements at noise levels of 0.8 and more only, as published.",
    ]
    steps = [m.card["steps"] for m in models]
    if max(steps) > 1.05 * min(steps):
        lines.append(f"- **Optimiser steps.** {_each(models, steps)}.")
    seconds = [m.card["training_seconds"] for m in models]
    if max(seconds) > (1 + TIME_APART) * min(seconds):
        lines.append(
            f"- **Time of training (seconds).** {_each(models, seconds)}: the longest took "
            f"{max(seconds) / min(seconds) - 1:.0%} more for as many clips, because a clip costs it more."
        )
    if any(_on_gpu(m) for m in models):
        lines.append(
            "- **Seconds of a GPU.** They are wall-clock seconds of each model's process; processes that shared the "
            "device slowed each other, so they say how equal the budgets were and not how fast a design is."
        )
    for m in models:
        rate = _number(_chosen(m.tuning, "lr_matrix"))
        if rate is not None and abs(rate / m.card["config"]["lr_matrix"] - 1) > 1e-6:
            lines.append(
                f"- **Learning rate of {m.name}.** It was trained with {m.card['config']['lr_matrix']:g}, the search "
                f"in short runs prefers {rate:g}."
            )
    return lines


def render(models: Sequence[Evidence]) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# How equal the comparison is",
            "",
            "Written by `python -m benchmarks.fairness` from the model cards, the training logs and the tables in",
            "`docs/models`. The embedded models share world, autoencoder, captions, loss, optimisers and schedule;",
            "the loss is the weighted error of the clean latent.",
            "",
            *table(models),
            "",
            "## Rules",
            "",
            *checks(models),
            "",
            "## What is unequal",
            "",
            *differences(models),
            "",
            "## How the numbers were made",
            "",
            "```bash",
            "python -m toraeval train task=tune model=NAME      # docs/models/NAME_tuning.csv",
            "python -m toraeval train task=long_run             # all models; docs/models/NAME_nano_log.csv",
            "python -m toraeval train task=steps model=NAME     # docs/models/NAME_steps.csv",
            "python -m toraeval train task=validate model=NAME  # docs/models/NAME_validation.csv",
            "```",
            "",
            "The validation loss is measured on 32 fast and 32 slow clips of 17 frames, whole pictures, with the same",
            "noise for all; the sampling steps chosen are those with the lowest TrajError on 16 other validation cases",
            "of 16 frames.",
            "",
        ]
    )


def _lengths(model: Evidence) -> str:
    counts = model.card.get("clips_rendered", {})
    return ", ".join(f"{n:,} of {frames}" for frames, n in counts.items()) or "not recorded"


def _time(model: Evidence) -> str:
    """Return minutes of processor or wall clock, or seconds of a GPU, as the card's clock counted them."""
    seconds = int(model.card["training_seconds"])
    if _on_gpu(model):
        return f"{seconds:,} s of the GPU"
    clock = "processor" if model.card["config"].get("clock") == "processor" else "wall clock"
    return f"{seconds / 60:.0f} min, {clock}"


def _on_gpu(model: Evidence) -> bool:
    return " on cuda" in str(model.card["hardware"])


def _each(models: Sequence[Evidence], values: Sequence[int]) -> str:
    return ", ".join(f"{m.name} {v:,}" for m, v in zip(models, values, strict=True))


def _rates(model: Evidence) -> str:
    config = model.card["config"]
    return f"{config['lr_matrix']:g}, {config['lr_other']:g}"


def _chosen(rows: Sequence[Mapping[str, str]], column: str) -> str:
    return next((row[column] for row in rows if row["chosen"] == "1"), "not searched")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _training_loss(model: Evidence) -> str:
    last = [float(row["loss"]) for row in model.log[-5:]]
    return f"{sum(last) / len(last):.4f}" if last else "no log"


def _loss(model: Evidence, kind: str) -> str:
    return next((row["loss"] for row in model.validation if row["kind"] == kind), "not measured")


def main(root: Path = ROOT) -> int:
    """Write the page and return the exit code."""
    try:
        text = render([collect(root, model) for model in MODELS])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_text(root / "docs" / "fairness.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
