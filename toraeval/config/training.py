"""Which options of `train` belong to which training or task, and the schema of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields, make_dataclass
from typing import Any, get_type_hints

from toraeval.config.training_tasks import (
    EvaluateOptions,
    LongRunOptions,
    StepsOptions,
    TrialsOptions,
    TuneOptions,
    ValidateOptions,
)
from toraeval.config.trainings import (
    EMBEDDED,
    FULL_SIZES,
    ClipNetOptions,
    FullSizeOptions,
    NanoOptions,
    PairNetOptions,
    TrackerOptions,
    TrainingOptions,
)
from toraeval.registry import unknown
from toraeval.types import UserError

KINDS: dict[str, type[TrainingOptions]] = {
    **{f"model={name}": NanoOptions for name in EMBEDDED},
    **{f"model=tora size={size}": FullSizeOptions for size in FULL_SIZES},
    "model=shapes_tracker": TrackerOptions,
    "model=shapes_clip": PairNetOptions,
    "model=shapes_video": ClipNetOptions,
}
"""What can be trained, and its options."""
TASKS: dict[str, type[TrainingOptions]] = {
    "task=tune": TuneOptions,
    "task=steps": StepsOptions,
    "task=validate": ValidateOptions,
    "task=evaluate": EvaluateOptions,
    "task=trials": TrialsOptions,
    "task=long_run": LongRunOptions,
}
"""What belongs to the training of embedded models, and its options."""


def _union() -> type:
    """Return a class of all options, whose defaults are None where the kind of training decides them."""
    found: dict[str, Any] = {}
    for kind in (*KINDS.values(), *TASKS.values()):
        for name, hint in get_type_hints(kind).items():
            if name not in TrainingOptions.__dataclass_fields__:
                found.setdefault(name, (name, hint | None, field(default=None)))
    made = make_dataclass("TrainConfig", found.values(), bases=(TrainingOptions,))
    made.__module__, made.__doc__ = __name__, "Every option of `python -m toraeval train`."
    return made


TrainConfig = _union()


def training_options(given: Mapping[str, Any]) -> TrainingOptions:
    """Return the options of the training or task that is wanted, with its own defaults.

    Args:
        given: fields of `TrainConfig`; None stands for the default.

    Raises:
        UserError: an unknown model, size or task, or an option that belongs to another one.
    """
    task, size = given.get("task") or "train", given.get("size") or "nano"
    model = given.get("model") or "tora"
    wanted, table = f"model={model}" if size == "nano" else f"model={model} size={size}", KINDS
    if task != "train":
        wanted, table = f"task={task}", TASKS
        if wanted in table and (model not in EMBEDDED or size != "nano"):
            raise UserError(
                f"train: {wanted} with model={model} size={size}; allowed: model={', '.join(EMBEDDED)}"
            )
    if wanted not in table:
        raise UserError(unknown("training", wanted, table))
    own = {f.name for f in fields(table[wanted])}
    values = {name: value for name, value in given.items() if value is not None}
    for name in values.keys() - own:
        others = [title for title, kind in (KINDS | TASKS).items() if name in kind.__dataclass_fields__]
        raise UserError(f"train: {name}={values[name]} belongs to {', '.join(others)}; got {wanted}")
    return table[wanted](**values)


def sections() -> dict[str, type[TrainingOptions]]:
    """Return the class of options of each training and task, under all that share it."""
    names: dict[type[TrainingOptions], list[str]] = {}
    for title, kind in (KINDS | TASKS).items():
        names.setdefault(kind, []).append(title)
    return {", ".join(titles): kind for kind, titles in names.items()}
