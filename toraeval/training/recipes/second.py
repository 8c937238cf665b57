"""Networks of the second generation of embedded models, and their data: one folder of clips for all of them.

The clips show version 2 of the world. Autoencoder, shards and validation clips are made once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from toraeval.models.shared.rectified_flow import FlowConfig
from toraeval.training.data.excerpts import complete, is_complete
from toraeval.training.data.shards import fit_blocks, is_written, load_vae, set_world, write_shard
from toraeval.training.engine.settings import TrainConfig
from toraeval.training.recipes.learners import learner
from toraeval.training.recipes.train import SCENES, SHARES, spread
from toraeval.training.recipes.validation import ValidationClips

WORLD = 2
COMPONENTS = (
    96  # of the autoencoder: 25.9 dB on blocks that show an object, against 25.0 with 64 and 26.6 with 128
)
FIT_SCENES = 600
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
    """What the trials decide; the defaults are those without any trial, see `docs/models/recipe.md`.

    Attributes:
        binding: of Tora's extractor.
        loc: of the time steps, see `toraeval.models.shared.rectified_flow.FlowConfig`.
        rate: factor on the learning rates.
        group_window: see `TrainConfig`.
        single_share, dense_share: see `TrainConfig`.
    """

    binding: str = "entity"
    loc: float = 3.0
    rate: float = 1.0
    group_window: int | None = 7
    single_share: float = 0.15
    dense_share: float = 0.1


def recipe(
    model: str, folder: Path, samples: int, choices: Choices = Choices(), **changes: Any
) -> TrainConfig:
    """Return how a model is trained in the long run, see `docs/models/recipe.md`.

    Args:
        model: name of a learner.
        folder: holds the data, see `prepare`; state and logs go into `folder/model`.
        samples: clips that it sees.
        choices: what the trials decided.
        changes: fields of `TrainConfig` to override.
    """
    plain = TrainConfig()
    own = {"binding": choices.binding} if model == "tora" else {}
    base = TrainConfig(
        data=str(folder / "shards"),
        out=str(folder / model),
        vae=str(folder / "vae.safetensors"),
        model=model,
        network=network(model, **own),
        samples=samples,
        clock="processor",
        lr_matrix=choices.rate * plain.lr_matrix,
        lr_other=choices.rate * plain.lr_other,
        dense_share=choices.dense_share,
        single_share=choices.single_share,
        group_window=choices.group_window,
        tokens=learner(model).tokens,
        workers=1,
        validation=str(folder / "validation.npz"),
        flow=FlowConfig(prediction="clean", loc=choices.loc, t_min=0.4),
    )
    return replace(base, **changes)


def prepare(folder: Path, clips: int, workers: int = 1) -> None:
    """Make what training reads and is not there yet.

    Args:
        folder: gets `vae.safetensors`, `shards/` and `validation.npz`.
        clips: of 17 frames; longer ones come in the shares of `toraeval.training.recipes.train.SHARES`.
        workers: processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vae, shards = folder / "vae.safetensors", folder / "shards"
    if not vae.exists():
        _fit(vae)
    set_world(shards, WORLD)
    jobs = [
        (str(vae), str(shards), frames, start, count)
        for frames, start, count in mixed_plan(clips)
        if not (is_written(shards, frames, start) and is_complete(shards / f"f{frames:03d}_{start:07d}"))
    ]
    spread(_write, jobs, workers, "rendering")
    if not (folder / "validation.npz").exists():
        ValidationClips.render(load_vae(vae), VALIDATION_CLIPS, WORLD).save(folder / "validation.npz")


def mixed_plan(clips: int) -> list[tuple[int, int, int]]:
    """Return (frames, first scene, clips) of every shard, so ordered that any beginning has the right mixture."""
    plan = []
    for frames, (first, size) in SCENES.items():
        count = max(1, round(clips * SHARES[frames] / size))
        plan += [((k + 0.5) / count, (frames, first + k * size, size)) for k in range(count)]
    return [shard for _, shard in sorted(plan)]


def _fit(target: Path) -> None:
    from safetensors.torch import save_file

    from toraeval.models.shared.nano.linear_patches import fit

    with torch.no_grad():
        state = fit(fit_blocks(FIT_SCENES, world=WORLD), COMPONENTS).state_dict()
    temporary = target.with_suffix(".tmp")
    save_file({k: v.contiguous() for k, v in state.items()}, str(temporary))
    os.replace(temporary, target)


def _write(job: tuple[str, str, int, int, int]) -> None:
    vae, folder, frames, start, count = job
    torch.set_num_threads(1)
    with torch.no_grad():
        fitted = load_vae(Path(vae))
        complete(write_shard(fitted, Path(folder), frames, start, count), fitted)
