"""What training of the embedded models reads: autoencoder, shards and validation clips, made once per folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from toraeval.machine import one_thread
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder, fit
from toraeval.store.sealed import atomic
from toraeval.training.data.scenes import fit_blocks
from toraeval.training.data.shards import load_vae, missing, set_world, shard_stem, write_shard
from toraeval.training.engine.launch import make_folder

# frames -> (first scene, clips per shard): ranges of scenes never overlap
SCENES = {17: (1_000_000, 64), 33: (3_000_000, 32), 65: (4_000_000, 16), 129: (5_000_000, 8)}
SHARES = {17: 1.0, 33: 0.09, 65: 0.045, 129: 0.02}  # clips of each length per clip of 17 frames
Plan = Sequence[tuple[int, int, int]]  # (frames, first scene, clips) of each shard


@dataclass(frozen=True)
class DataSet:
    """What the clips of a folder show, and how they are stored."""

    world: int  # version of the world `shapes`
    components: int  # of the autoencoder
    fit_scenes: int  # that it is fitted to


def prepare(
    folder: Path,
    data: DataSet,
    plan: Plan,
    workers: int = 1,
    vae: Callable[[], LinearPatchAutoencoder] | None = None,
    parts: Sequence[str] = ("clips",),
    device: str = "cpu",
) -> None:
    """Make what is not there yet; all models can share one folder.

    Args:
        folder: gets `vae.safetensors` and `shards/`.
        data: what the clips show.
        plan: shards to write.
        workers: processes.
        vae: returns the autoencoder to take; a new one is fitted if not given.
        parts: of `toraeval.training.data.shards.PARTS` to write; those for excerpts beside every shard of the folder.
        device: where the clips are encoded.

    Raises:
        UserError: a folder that cannot be made, or that shows another version of the world.
    """
    make_folder(folder)
    path, shards = folder / "vae.safetensors", folder / "shards"
    if not path.exists():
        with torch.no_grad():
            found = vae() if vae else fit(fit_blocks(data.fit_scenes, world=data.world), data.components)
        state = {name: value.contiguous() for name, value in found.state_dict().items()}
        atomic(path, lambda temporary: save_file(state, str(temporary)))
    set_world(shards, data.world)
    wanted = {shard_stem(shards, frames, first): (count, parts) for frames, first, count in plan}
    if "excerpts" in parts:
        for text in sorted(shards.glob("f*.txt")):
            count = len(text.read_text().splitlines())
            wanted.setdefault(text.with_suffix(""), (count, ("excerpts",)))
    jobs = [
        (path, stem, count, own, device)
        for stem, (count, own) in wanted.items()
        if any(missing(stem, part) for part in own)
    ]
    spread(_write, jobs, workers, "rendering")


def shard_plan(clips: int) -> Plan:
    """Return the shards for a number of 17-frame clips, mixed so that any start of the list has all lengths."""
    plan = []
    for frames, (first, size) in SCENES.items():
        count = max(1, round(clips * SHARES[frames] / size))
        plan += [((k + 0.5) / count, (frames, first + k * size, size)) for k in range(count)]
    return [shard for _, shard in sorted(plan)]


def spread(work: Callable[[Any], None], jobs: Sequence[Any], workers: int, what: str) -> None:
    """Do jobs in processes; a terminal gets a bar, a log a line every half minute; nothing happens without jobs."""
    from tqdm import tqdm

    if not jobs:
        return
    every = 0.1 if sys.stderr.isatty() else 30.0
    bar = partial(tqdm, desc=what, unit="shard", total=len(jobs), mininterval=every)
    if workers == 1:
        for job in bar(jobs):
            work(job)
        return
    context = torch.multiprocessing.get_context("spawn")
    with context.Pool(workers, _one_opencv_thread) as pool:
        for _ in bar(pool.imap_unordered(work, jobs)):
            pass


def _one_opencv_thread() -> None:
    """OpenCV would start as many threads as there are cores in every process: 16 processes fought over 16 cores."""
    import cv2

    cv2.setNumThreads(1)


def rendered(shards: Path, limit: int | None = None) -> dict[str, int]:
    """Return how many clips of each length a folder holds, as far as training uses them."""
    counts: dict[str, int] = {}
    for path in sorted(shards.glob("f*.txt")):
        length = str(int(path.name[1:4]))
        if limit is None or counts.get(length, 0) < limit:
            counts[length] = counts.get(length, 0) + len(path.read_text().splitlines())
    return counts


def _write(job: tuple[Path, Path, int, Sequence[str], str]) -> None:
    path, stem, count, parts, device = job
    with one_thread(), torch.no_grad():
        write_shard(load_vae(path).to(device), stem, count, parts)
