"""The long training of all embedded models of the second generation, with one recipe and equal clips.

It makes the data that are not there yet, then trains `workers` models at a time, one process and one thread each (on a
GPU all of them share it), until every model has seen `samples` clips; then it exports the weights into the folder. What
is open in the recipe is decided by the finished trials in `trials` when it begins (`choices.json` keeps it). Ctrl-C or
a kill at any moment costs the minutes since the last checkpoint at most; the same command resumes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toraeval.config.training_tasks import LongRunOptions
from toraeval.store.sealed import require_json, write_json
from toraeval.training.engine.interruption import say
from toraeval.training.engine.launch import held, require_device
from toraeval.training.engine.log import read_rows
from toraeval.training.recipes import nano, second
from toraeval.training.recipes.learners import LEARNERS
from toraeval.training.recipes.trials import choose
from toraeval.types import UserError


def status(options: LongRunOptions) -> list[str]:
    """Return one line per model: clips seen, hours, last training loss, last errors on validation clips."""
    lines = []
    for name in options.models.split(","):
        out = Path(options.folder) / name
        log, held_out = read_rows(out / "log.csv"), read_rows(out / "validation.csv")
        if not log:
            lines.append(f"{name}: not started")
            continue
        last, hours = log[-1], int(log[-1]["seconds"]) / 3600
        share = int(last["clips"]) / options.samples
        line = f"{name}: {last['clips']} clips ({share:.0%}), {hours:.2f} hours, loss {last['loss']}"
        if held_out:
            errors = ", ".join(
                f"{k} {float(held_out[-1][k]):.2f}" for k in ("object_one", "object_several", "rest")
            )
            line += f"; validation at {held_out[-1]['clips']} clips: {errors} grey levels"
        lines.append(line)
    return lines


def choices(options: LongRunOptions) -> dict[str, Any]:
    """Return what was chosen when the run began, or choose now and keep it."""
    kept = Path(options.folder) / "choices.json"
    if not kept.exists():
        write_json(kept, choose(Path(options.trials)))
    stored = require_json(kept)  # a damaged one must not change the recipe of a run that has started
    assert stored is not None
    return {name: stored[name] for name in second.CHOICES}


def main(options: LongRunOptions) -> int:
    """Train every model that is not trained to its end.

    Raises:
        UserError: an unknown model, or another process that trains in the same folder.
    """
    names, folder = options.models.split(","), Path(options.folder)
    if set(names) - set(LEARNERS):
        raise UserError(f"train task=long_run: models={options.models}; allowed: {', '.join(LEARNERS)}")
    require_device(options.device)
    if options.status:
        say("\n".join(status(options)))
        return 0
    with held(folder):
        second.prepare(folder, options.clips, options.renderers or options.workers, options.device)
        chosen = choices(options)
        say(f"recipe: {chosen}")
        runs = [
            (
                second.recipe(name, folder, options.samples, chosen, options.device, options.batch),
                nano.Ending(folder / f"{name}_nano.safetensors", half=True),
            )
            for name in names
        ]
        for finished in nano.results(runs, options.workers):
            say(f"finished: {finished.model}")
    return 0
