"""Variants of Tora nano for the paper's ablations, trained on equal budgets from one common start.

As in the paper (arXiv 2407.21705, section 4.3), which adds extractor and fusers to a pre-trained video model, every
variant starts from the same backbone that follows no path: the shipped weights without extractor and fusers, trained
on for a while without paths. Then each variant gets new extractor and fusers, and all its weights are trained on the
same draws of the same clips for the same number of steps, once per seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from toraeval.allowed import COUNT, NOT_NEGATIVE, Numbers, check_option, check_options
from toraeval.config.verbs import AblationsConfig
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.store.keys import current_sha256, digest, short
from toraeval.training.data.preparation import SCENES, prepare
from toraeval.training.data.shards import PARTS
from toraeval.training.engine.launch import require_device
from toraeval.training.recipes import nano as training
from toraeval.training.recipes import train
from toraeval.training.recipes.learners import learner
from toraeval.types import UserError

FRAMES = 17
TOKENS = 1280  # per step and worker: many small steps serve a short budget better than few large ones
DENSE_SHARE = 0.5  # both stages of the paper are equally long


@dataclass(frozen=True)
class Variant:
    """One training run."""

    name: str  # folder and label
    # options of `STDiTConfig` that differ from those of the shipped network and `PAPER`
    network: Mapping[str, str] = field(default_factory=dict)
    dense_share: float = DENSE_SHARE  # part of the budget on dense flow


PAPER = {"binding": "none"}  # the paper's design, whatever the shipped weights are; a variant may change it
DEFAULT = Variant("default")
BACKBONE = Variant("backbone", {"fuser": "none"}, 0.0)

GROUPS: dict[str, dict[str, Variant]] = {
    "fusion design": {
        "adaptive norm": DEFAULT,
        "cross-attention": Variant("cross_attention", {"fuser": "cross_attention"}),
        "extra channel": Variant("extra_channel", {"fuser": "extra_channel"}),
    },
    "fusion position": {
        "temporal": DEFAULT,
        "spatial": Variant("spatial", {"fuser_place": "spatial"}),
        "both": Variant("both", {"fuser_place": "both"}),
    },
    "trajectory compression": {
        "VAE": DEFAULT,
        "key frame": Variant("key_frame", {"compression": "key_frame"}),
        "average": Variant("average", {"compression": "average"}),
    },
    "binding of entities": {
        "none": DEFAULT,
        "entity": Variant("entity", {"binding": "entity"}),
    },
    "training stages": {
        "dense, then sparse": DEFAULT,
        "dense only": Variant("dense_only", dense_share=1.0),
        "sparse only": Variant("sparse_only", dense_share=0.0),
    },
}


def variants() -> list[Variant]:
    """Return every variant once, in the order of the groups."""
    return list({v.name: v for group in GROUPS.values() for v in group.values()}.values())


@dataclass(frozen=True)
class Trained:
    """What a variant left behind with one seed: its weights and their card."""

    variant: Variant
    weights: Path
    card: Mapping[str, Any]
    seed: int = 0


def train_all(options: AblationsConfig) -> Iterator[Trained]:
    """Train whatever is not trained yet: the backbone, then every variant with every seed.

    Weights that are there already are taken if they come from the same options.

    Raises:
        UserError: an option out of range, or a folder that cannot be written.
    """
    check(options)
    folder = Path(options.folder)
    kind = learner("tora")
    start = kind.shipped()
    first, size = SCENES[FRAMES]
    plan = [(FRAMES, first + k * size, size) for k in range(max(1, round(options.clips / size)))]
    # entity binding reads the paths, which lie beside the shards like what excerpts need
    prepare(folder, train.DATA, plan, options.workers, lambda: kind.load(start)[1], tuple(PARTS))
    network = kind.load(start)[0].config
    assert isinstance(network, STDiTConfig)
    backbone = train_one(BACKBONE, network, options, start, options.backbone_steps, options.seeds[0])
    yield backbone
    for seed in options.seeds:
        for variant in variants():
            yield train_one(variant, network, options, backbone.weights, options.steps, seed)


def check(options: AblationsConfig) -> None:
    """Refuse options that cannot be trained with.

    Raises:
        UserError: a number out of range.
    """
    check_options("ablations", options, steps=COUNT, backbone_steps=COUNT, clips=Numbers(64), workers=COUNT)
    check_option("ablations", "seeds", options.seeds, NOT_NEGATIVE)
    if len(set(options.seeds)) < len(options.seeds):
        raise UserError(f"ablations: seeds={options.seeds}; allowed: different numbers, e.g. [0,1,2]")
    require_device(options.device)


def train_one(
    variant: Variant, base: STDiTConfig, options: AblationsConfig, start: Path, steps: int, seed: int
) -> Trained:
    """Train one variant, or take its weights if they are there; resumes from a checkpoint."""
    changes: dict[str, Any] = {**PAPER, **variant.network}
    network = replace(base, **changes)
    workers = 1 if options.device == "cuda" else options.workers
    settings = {"network": asdict(network), "dense": variant.dense_share, "steps": steps, "clips": options.clips,
                "workers": workers, "seed": seed, "tokens": TOKENS, "start": current_sha256(start)}  # fmt: skip
    folder = Path(options.folder)
    out = folder / "ablations" / f"{variant.name}-{short(digest(settings))}"
    weights, lengths = out.with_suffix(".safetensors"), {FRAMES: 1.0}
    chosen = train.recipe(
        folder,
        learner("tora"),
        out=str(out),
        network=network,
        steps=steps,
        dense_share=variant.dense_share,
        window_share=0.0,
        single_share=0.0,
        decay_share=0.35,
        warmup_steps=30,
        lengths=lengths,
        late_lengths=lengths,
        tokens=TOKENS,
        clips=options.clips,
        start=str(start),
        start_motion=False,
        workers=workers,
        device=options.device,
        seed=seed,
        validation=None,
    )
    training.result(chosen, training.Ending(weights, f"tora_nano_{variant.name}", keep=False))
    return Trained(variant, weights, json.loads(weights.with_suffix(".json").read_text()), seed)
