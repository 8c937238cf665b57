"""Networks of the second generation of embedded models, and their data: one folder of clips for all of them.

The clips show version 2 of the world. Autoencoder, shards and validation clips are made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toraeval.training.data import preparation
from toraeval.training.data.preparation import DataSet
from toraeval.training.data.shards import load_vae
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


def network(model: str, **changes: Any) -> Any:
    """Return the configuration of a model's second generation; keyword arguments override fields."""
    given = TRANSFORMER if model in OWN else UNET
    return learner(model).configure(**{**given, **OWN.get(model, {}), **changes})


@dataclass(frozen=True)
class Choices:
    """What the trials decide; the defaults are what those of `docs/models/recipe.md` decided.

    Attributes:
        binding: of Tora's extractor.
        loc: of the time steps, see `toraeval.models.shared.rectified_flow.FlowConfig`.
        rate: factor on the learning rates.
        group_window: see `NanoRecipe`.
        single_share, dense_share: see `NanoRecipe`.
    """

    binding: str = "entity"
    loc: float = 3.0
    rate: float = 2.0
    group_window: int | None = None
    single_share: float = 0.0
    dense_share: float = 0.15


def recipe(
    model: str,
    folder: Path,
    samples: int,
    choices: Choices = Choices(),
    device: str = "cpu",
    batch: int = 1,
    **changes: Any,
) -> NanoRecipe:
    """Return how a model is trained in the long run, see `docs/models/recipe.md`.

    Args:
        model: name of a learner.
        folder: holds the data, see `prepare`; state and logs go into `folder/model`.
        samples: clips that it sees.
        choices: what the trials decided.
        device: `cpu` or `cuda`.
        batch: factor on the clips of a step, 1 for what suits one thread.
        changes: values of the recipe to override.
    """
    own = {"binding": choices.binding} if model == "tora" else {}
    base: dict[str, Any] = {
        "out": str(folder / model),
        "network": network(model, **own),
        "samples": samples,
        "clock": "processor" if device == "cpu" else "wall",
        "device": device,
        "tokens": batch * learner(model).tokens,
        "lr_matrix": choices.rate * NanoRecipe.lr_matrix,
        "lr_other": choices.rate * NanoRecipe.lr_other,
        "dense_share": choices.dense_share,
        "single_share": choices.single_share,
        "group_window": choices.group_window,
        "workers": 1,
        "flow": replace(NanoRecipe().flow, loc=choices.loc),
    }
    return train.recipe(folder, learner(model), **{**base, **changes})


def prepare(folder: Path, clips: int, workers: int = 1, device: str = "cpu") -> None:
    """Make what training reads and is not there yet.

    Args:
        folder: gets `vae.safetensors`, `shards/` and `validation.npz`.
        clips: of 17 frames; longer ones come in the shares of `toraeval.training.data.preparation.SHARES`.
        workers: processes.
        device: where clips are encoded.
    """
    plan = preparation.shard_plan(clips, mixed=True)
    preparation.prepare(folder, DATA, plan, workers, excerpts=True, device=device)
    held_out = folder / "validation.npz"
    if not held_out.exists():
        vae = load_vae(folder / "vae.safetensors")
        ValidationClips.render(vae, VALIDATION_CLIPS, DATA.world).save(held_out)
