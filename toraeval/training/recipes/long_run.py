"""The training of the shipped embedded models: one recipe, one autoencoder, the same clips and equally many of them.

It trains `workers` models at a time, one process and one thread each (on a GPU all of them share it), until every
model has seen `samples` clips; then it exports the weights into the folder. Ctrl-C or a kill at any moment costs the
minutes since the last checkpoint at most; the same command resumes.
"""

from __future__ import annotations

from pathlib import Path

from toraeval.config.training_tasks import LongRunOptions
from toraeval.training.engine.launch import held, require_device, say
from toraeval.training.engine.log import read_rows
from toraeval.training.recipes import nano, train
from toraeval.training.recipes.learners import LEARNERS, learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.types import UserError


def recipe(model: str, options: LongRunOptions) -> NanoRecipe:
    """Return how a model is trained; state and logs go into its own folder, the data are common to all."""
    kind, folder = learner(model), Path(options.folder)
    return train.recipe(
        folder,
        kind,
        out=str(folder / model),
        samples=options.samples,
        clock="processor" if options.device == "cpu" else "wall",
        device=options.device,
        tokens=options.batch * kind.tokens,
        workers=1,
    )


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


def run(options: LongRunOptions) -> int:
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
        renderers = options.renderers or options.workers
        train.prepare_for(folder, learner("tora"), options.clips, renderers, device=options.device)
        runs = [
            (recipe(name, options), nano.Ending(folder / f"{name}_nano.safetensors", half=True))
            for name in names
        ]
        for finished in nano.results(runs, options.workers):
            say(f"finished: {finished.model}")
    return 0
