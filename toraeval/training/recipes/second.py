"""Networks of the second generation of embedded models, and their data: one folder of clips for all of them.

The clips show version 2 of the world. Autoencoder, shards and validation clips are made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from toraeval.training.data import preparation
from toraeval.training.data.preparation import DataSet
from toraeval.training.recipes import train
from toraeval.training.recipes.learners import learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import ValidationClips

COMPONENTS = 160  # of the autoencoder, which is stored once for all models, see `docs/models/recipe.md`
DATA = DataSet(world=2, components=COMPONENTS, fit_scenes=600)
VALIDATION_CLIPS = 48  # of each kind

# width and depth within 13 MB of weights a model, so that all embedded weights together stay below 60 MB
TRANSFORMER = {
    "patch_size": (1, 1, 1),
    "hidden_size": 192,
    "num_heads": 3,
    "mlp_ratio": 3.5,
    "motion_channels": 64,
    "in_channels": COMPONENTS,
}

# without extractor and fusers a clip takes a fifth less time
OWN: Mapping[str, Mapping[str, Any]] = {
    "tora": {"cond_channels": COMPONENTS},
    "wan_move": {"mlp_ratio": 4.5},
}
# as many parameters and about as much time per clip: most of it at the cells that a token of the transformer has
UNET = {
    "latent_channels": COMPONENTS,
    "widths": (128, 64, 64),
    "blocks": (3, 1, 1),
    "attention": (True, True, True),
    "head_width": 32,
    "embedding": 128,
    "motion_channels": (48, 48, 48),
}
CHOICES: Mapping[str, Any] = {
    "binding": "entity",  # of Tora's extractor
    "loc": 3.0,  # of the time steps, see `toraeval.models.shared.rectified_flow.FlowConfig`
    "rate": 2.0,  # factor on the learning rates
    "group_window": None,
    "single_share": 0.0,
    "dense_share": 0.15,
}
"""What the trials decide, as those of `docs/models/recipe.md` decided it; values of `NanoRecipe` unless said."""


def recipe(
    model: str,
    folder: Path,
    samples: int | None,
    choices: Mapping[str, Any] = CHOICES,
    device: str = "cpu",
    batch: int = 1,
    network: Mapping[str, Any] = {},
    **changes: Any,
) -> NanoRecipe:
    """Return how a model is trained in the long run, see `docs/models/recipe.md`.

    Args:
        model: name of a learner.
        folder: holds the data, see `prepare`; state and logs go into `folder/model`.
        samples: clips that it sees.
        choices: of `CHOICES`, those that differ.
        device: `cpu` or `cuda`.
        batch: factor on the clips of a step, 1 for what suits one thread.
        network: options of the network that differ from the second generation's.
        changes: values of the recipe to override.
    """
    kind, given = learner(model), {**CHOICES, **choices}
    binding, loc, rate = (given.pop(name) for name in ("binding", "loc", "rate"))
    sizes = {**(TRANSFORMER if model in OWN else UNET), **OWN.get(model, {})}
    if model == "tora":
        sizes["binding"] = binding
    values = {
        "out": str(folder / model),
        "network": kind.configure(**{**sizes, **network}),
        "samples": samples,
        "clock": "processor" if device == "cpu" else "wall",
        "device": device,
        "tokens": batch * kind.tokens,
        "workers": 1,
        "flow": replace(NanoRecipe().flow, loc=loc),
    }
    return train.recipe(folder, kind, rate, **{**values, **given, **changes})


def prepare(folder: Path, clips: int, workers: int = 1, device: str = "cpu") -> None:
    """Make what training reads and is not there yet.

    Args:
        folder: gets `vae.safetensors`, `shards/` and `validation.npz`.
        clips: of 17 frames; longer ones come in the shares of `toraeval.training.data.preparation.SHARES`.
        workers: processes.
        device: where clips are encoded.
    """
    plan = preparation.shard_plan(clips, mixed=True)
    preparation.prepare(folder, DATA, plan, workers, parts=("excerpts", "clips"), device=device)
    ValidationClips.prepare(folder, VALIDATION_CLIPS, DATA.world)
