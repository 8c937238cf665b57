"""`python -m toraeval train`: from nothing to exported weights, in steps that each go on where they stopped.

fit the autoencoder -> render scenes into shards -> two-stage training -> export with a model card.
"""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from toraeval.config import FullSizeOptions, TrainConfig
from toraeval.training.data.excerpts import complete, is_complete
from toraeval.training.data.shards import is_written, load_vae, write_shard
from toraeval.training.recipes.learners import LEARNERS, Learner, learner
from toraeval.training.recipes.validation import CLIPS, ValidationClips
from toraeval.types import UserError

# frames -> (first scene, clips per shard): ranges of scenes never overlap
SCENES = {17: (1_000_000, 64), 33: (3_000_000, 32), 65: (4_000_000, 16), 129: (5_000_000, 8)}
SHARES = {17: 1.0, 33: 0.09, 65: 0.045, 129: 0.02}  # clips of each length per clip of 17 frames
MAX_CLIPS = 2_000_000  # beyond it the scenes of 17-frame clips would meet those of 33 frames
FIT_SCENES = 500
NOT_IN_CARD = ("data", "out", "vae", "start", "network", "validation")


def check(options: TrainConfig) -> None:
    """Refuse what cannot be trained.

    Raises:
        UserError: unknown model or size, no time, no clips, a device that is not there.
    """
    if options.model not in LEARNERS or options.size != "nano":
        raise UserError(
            f"train: model={options.model} size={options.size}; allowed: model={', '.join(LEARNERS)} with size=nano; "
            "model=tora with size=xl2 or tiny"
        )
    plain = TrainConfig()
    for name in (f.name for f in fields(FullSizeOptions)):
        if getattr(options, name) != getattr(plain, name):
            raise UserError(
                f"train: {name}={getattr(options, name)} belongs to size=xl2 and size=tiny; got size=nano"
            )
    for name in ("minutes", "rate"):
        if not 0 < getattr(options, name) < math.inf:
            raise UserError(f"train: {name}={getattr(options, name)}; allowed: more than 0")
    if options.samples is not None and options.samples < 1:
        raise UserError(f"train: samples={options.samples}; allowed: 1 and more")
    if not 64 <= options.clips <= MAX_CLIPS:
        raise UserError(f"train: clips={options.clips}; allowed: 64 to {MAX_CLIPS}")
    if options.workers < 1 or options.seed < 0:
        raise UserError(
            f"train: workers={options.workers} seed={options.seed}; allowed: workers >= 1, seed >= 0"
        )
    if options.device not in ("cpu", "cuda"):
        raise UserError(f"train: device={options.device}; allowed: cpu, cuda")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("train: device=cuda, but this PyTorch sees no GPU; use device=cpu")


def main(arguments: Mapping[str, Any] | TrainConfig) -> int:
    """Run every step that is still missing; returns the exit code.

    Raises:
        UserError: see `check`; a folder that cannot be written.
        MissingAsset: the weights to begin from are not there.
    """
    options = arguments if isinstance(arguments, TrainConfig) else TrainConfig(**arguments)
    check(options)
    from toraeval.training.engine import curve
    from toraeval.training.recipes import nano

    kind = learner(options.model)
    start = str(kind.shipped()) if options.start == "shipped" else options.start
    folder = Path(options.folder)
    prepare(folder, kind, options.clips, options.workers, start)
    config = nano.TrainConfig(
        data=str(folder / "shards"),
        out=str(folder / ("nano" if kind.name == "tora" else f"{kind.name}_nano")),
        vae=str(folder / "vae.safetensors"),
        model=kind.name,
        minutes=options.minutes,
        samples=options.samples,
        workers=1 if options.device == "cuda" else options.workers,
        device=options.device,
        tokens=kind.tokens if options.device == "cpu" else 64 * kind.tokens,
        start=start,
        seed=options.seed,
        validation=str(folder / "validation.npz"),
    )
    config = replace(
        config, lr_matrix=options.rate * config.lr_matrix, lr_other=options.rate * config.lr_other
    )
    if start:  # trained weights are past dense flow, single objects and mere windows
        config = replace(config, dense_share=0.0, single_share=0.0, window_share=0.0)
    budget = f"{options.minutes:g} minutes" if options.samples is None else f"{options.samples} clips"
    _say(f"training for {budget} in all; log: {config.out}/log.csv; Ctrl-C keeps the state")
    nano.train(config)
    target = Path(options.export) if options.export else folder / f"{kind.name}_nano.safetensors"
    export(Path(config.out), Path(config.vae), target)
    log = Path(config.out) / "log.csv"
    if log.exists():  # the first row comes after 20 steps
        curve.draw(log, target.with_name(f"{target.stem}_loss.png"))
    _say(f"weights: {target}; use them with: python -m toraeval run model={kind.name} model.weights={target}")
    return 0


def prepare(folder: Path, kind: Learner, clips: int, workers: int, start: str | None) -> None:
    """Make what training reads: autoencoder, shards, validation clips; all models can share one folder.

    Raises:
        UserError: a folder that cannot be written.
        MissingAsset: the weights whose autoencoder is taken are not there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"train: folder={folder} cannot be made ({error.strerror}); choose another: folder=PATH"
        ) from error
    vae, shards = folder / "vae.safetensors", folder / "shards"
    if start is None and kind.name != "tora":  # rivals are compared with the shipped Tora on its own latents
        fit_vae(vae, learner("tora"), str(learner("tora").shipped()))
    else:
        fit_vae(vae, kind, start)
    render(vae, shards, shard_plan(clips), workers)
    if kind.needs_tracks:
        add_excerpts(vae, shards, workers)
    if not (folder / "validation.npz").exists():
        ValidationClips.render(load_vae(vae), CLIPS).save(folder / "validation.npz")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def fit_vae(vae: Path, kind: Learner, start: str | None = None) -> None:
    """Write the autoencoder if it is not there yet: that of the weights `start`, or a newly fitted one."""
    if vae.exists():
        return
    from safetensors.torch import save_file

    if start is not None:  # weights only fit the autoencoder that they were trained with
        state = dict(kind.load(Path(start))[1].state_dict())
    else:
        from toraeval.models.shared.nano.linear_patches import fit
        from toraeval.models.shared.network.config import nano
        from toraeval.training.data.shards import fit_blocks

        _say(f"fitting the autoencoder on {FIT_SCENES} scenes")
        with torch.no_grad():
            state = dict(fit(fit_blocks(FIT_SCENES), nano().in_channels).state_dict())
    temporary = vae.with_suffix(".tmp")
    save_file({k: v.contiguous() for k, v in state.items()}, str(temporary))
    os.replace(temporary, vae)


def shard_plan(clips: int) -> list[tuple[int, int, int]]:
    """Return (frames, first scene, clips) of every shard for so many 17-frame clips, long ones first."""
    plan = []
    for frames, (first, size) in SCENES.items():
        count = max(1, round(clips * SHARES[frames] / size))
        plan += [(frames, first + k * size, size) for k in range(count)]
    return sorted(plan, key=lambda item: -item[0])


def _write(job: tuple[str, str, int, int, int, bool]) -> None:
    vae, folder, frames, start, count, flows = job
    torch.set_num_threads(1)
    with torch.no_grad():
        write_shard(load_vae(Path(vae)), Path(folder), frames, start, count, flows)


def render(
    vae: Path, shards: Path, plan: Sequence[tuple[int, int, int]], workers: int, flows: bool = False
) -> None:
    """Write the shards of a plan that are not there yet.

    Args:
        vae: the fitted autoencoder.
        shards: folder to write into.
        plan: (frames, first scene, clips) of each shard, see `shard_plan`.
        workers: processes.
        flows: also write the flow compressions that need no autoencoder.
    """
    shards.mkdir(parents=True, exist_ok=True)
    jobs = [
        (str(vae), str(shards), frames, start, count, flows)
        for frames, start, count in plan
        if not is_written(shards, frames, start, flows)
    ]
    spread(_write, jobs, workers, "rendering")


def _complete(job: tuple[str, str]) -> None:
    stem, vae = job
    torch.set_num_threads(1)
    with torch.no_grad():
        complete(Path(stem), load_vae(Path(vae)))


def add_excerpts(vae: Path, shards: Path, workers: int) -> None:
    """Write what excerpts need beside every shard of a folder that lacks it."""
    stems = [path.with_suffix("") for path in sorted(shards.glob("f*.txt"))]
    jobs = [(str(stem), str(vae)) for stem in stems if not is_complete(stem)]
    spread(_complete, jobs, workers, "excerpts")


def spread(work: Callable[[Any], None], jobs: Sequence[Any], workers: int, what: str) -> None:
    """Do jobs in processes, with a progress bar; nothing happens without jobs."""
    from tqdm import tqdm

    if not jobs:
        return
    context = torch.multiprocessing.get_context("spawn")
    with context.Pool(workers) as pool:
        for _ in tqdm(pool.imap_unordered(work, jobs), total=len(jobs), desc=what, unit="shard"):
            pass


def export(
    state: Path,
    vae_path: Path,
    target: Path,
    name: str | None = None,
    average: bool = False,
    half: bool = False,
) -> dict[str, Any]:
    """Export a training state's weights as safetensors with a model card, which is returned.

    By default the last weights, not the average: the learning rate ends at zero, and on the validation
    cases they were the better ones (5.1 against 6.2 px).

    Args:
        state: folder with `state.pt`, `config.json` and `log.csv`.
        vae_path: the autoencoder that it was trained with.
        target: safetensors file to write; the card goes beside it as JSON.
        name: of the weights, for the card; `<model>_nano` if not given.
        average: take the moving average of the weights.
        half: store the autoencoder in float16, which is off by 0.06 grey levels at most.
    """
    saved = torch.load(state / "state.pt", weights_only=True, map_location="cpu")
    config = json.loads((state / "config.json").read_text())
    vae = load_vae(vae_path).half() if half else load_vae(vae_path)
    card = model_card(config, saved, state / "log.csv", name or f"{config['model']}_nano")
    learner(config["model"]).save(target, saved["average" if average else "model"], vae, card)
    return card


def model_card(config: Mapping[str, Any], saved: Mapping[str, Any], log: Path, name: str) -> dict[str, Any]:
    """Return what a reader must know of the weights: data, effort, hardware, losses."""
    rows: list[dict[str, str]] = []
    if log.exists():
        with log.open(newline="") as handle:
            rows = list(csv.DictReader(handle))
    stages = {}
    for motion in ("dense", "sparse", "none"):
        losses = [float(r["loss"]) for r in rows if r["motion"] == motion]
        if losses:
            stages[motion] = {"first": losses[0], "last": sum(losses[-5:]) / len(losses[-5:])}
    motion_keys = learner(config["model"]).motion_keys
    return {
        "name": name,
        "licence": "Apache-2.0",
        "architecture": config["network"],
        "parameters": sum(v.numel() for v in saved["model"].values()),
        "motion_parameters": sum(v.numel() for k, v in saved["model"].items() if k.startswith(motion_keys)),
        "data": "procedural world `shapes`, training split (toraeval.suites.shapes.world), 512x512",
        "scene_ranges": {str(k): v[0] for k, v in SCENES.items()},
        "clips_rendered": rendered(Path(config["data"]), config["clips"]),
        "clips_seen": saved["clips"],
        "steps": saved["step"],
        "training_seconds": round(saved["seconds"]),
        "hardware": f"{config['workers']} process(es) on {config['device']}, {platform.machine()}",
        "torch": torch.__version__,
        "loss": stages,
        "last_loss": sum(float(r["loss"]) for r in rows[-5:]) / len(rows[-5:]) if rows else None,
        "validation_loss": saved["validation"],
        "loss_definition": "clean-latent error / max(t, t_min)^2, channels weighted, latent frame 0 left out",
        "config": {k: v for k, v in config.items() if k not in NOT_IN_CARD},
    }


def rendered(shards: Path, limit: int | None = None) -> dict[str, int]:
    """Return how many clips of each length a folder holds, as far as training uses them."""
    counts: dict[str, int] = {}
    for path in sorted(shards.glob("f*.txt")):
        length = str(int(path.name[1:4]))
        if limit is None or counts.get(length, 0) < limit:
            counts[length] = counts.get(length, 0) + len(path.read_text().splitlines())
    return counts
