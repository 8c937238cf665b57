"""Shards: clips of one length as plain `.npy` files, so that training maps them instead of reading them.

`<shard>_<name>.npy` holds an array for all clips (`toraeval.training.data.scenes`), `<shard>.txt` their captions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.nano.caption_encoder import tokenise
from toraeval.models.shared.nano.copies import copied_latents
from toraeval.models.shared.nano.linear_patches import STRIDE_T, LinearPatchAutoencoder
from toraeval.store.sealed import atomic
from toraeval.suites.shapes.suite import sample_scene
from toraeval.suites.shapes.world import Scene
from toraeval.training.data.scenes import (
    FRAMES,
    SIZE,
    Arrays,
    compressed_flows,
    encode_scene,
    excerpt_arrays,
    excerpt_starts,
)
from toraeval.trajectories.displacement import Float32Array, displacement_maps, fold
from toraeval.types import FloatArray, UserError

WORLD = "world"  # file that says which version of the world the shards of a folder show; 1 without it
PARTS: dict[str, tuple[tuple[str, ...], Callable[[LinearPatchAutoencoder, Scene, int], Arrays]]] = {
    "flows": (("sparse_key_frame", "dense_key_frame", "sparse_average", "dense_average"), compressed_flows),
    "excerpts": (("tracks", "flow", "starts"), excerpt_arrays),
    "clips": (("video", "sparse", "dense"), encode_scene),
}
"""What may lie beside each other: names of the arrays and what makes them of a scene; every shard has its clips."""


def world_of(folder: Path) -> int:
    """Return the version of the world that the shards of a folder show."""
    marker = folder / WORLD
    return int(marker.read_text()) if marker.exists() else 1


def set_world(folder: Path, version: int) -> None:
    """Say which version of the world the shards of a folder show, before the first is written.

    Raises:
        UserError: the folder has shards of another version.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("f*.txt")) and world_of(folder) != version:
        raise UserError(
            f"training data: {folder} holds clips of version {world_of(folder)} of the world; "
            f"got world={version}; choose another folder: folder=PATH"
        )
    if world_of(folder) != version:
        (folder / WORLD).write_text(f"{version}\n")


def shard_stem(folder: Path, frames: int, first: int) -> Path:
    """Return the common beginning of the files of a shard; `first` is the number of its first scene."""
    return folder / f"f{frames:03d}_{first:07d}"


def frames_of(stem: Path) -> int:
    """Return the length of the clips of a shard."""
    return int(stem.name[1:4])


def beside(stem: Path, name: str) -> Path:
    """Return the file of one array of a shard."""
    return stem.with_name(f"{stem.name}_{name}.npy")


def missing(stem: Path, part: str) -> bool:
    """Return whether a shard lacks something of one of `PARTS`; a short clip has no starts of excerpts."""
    if part == "clips":
        return not stem.with_suffix(".txt").exists()
    names = (name for name in PARTS[part][0] if name != "starts" or frames_of(stem) > FRAMES)
    return not all(beside(stem, name).exists() for name in names)


def write_shard(
    vae: LinearPatchAutoencoder, stem: Path, count: int, parts: Sequence[str] = ("clips",)
) -> None:
    """Write the wanted parts of a shard that are missing, of `count` scenes of the training split.

    The caption file is written last, so that its presence says that the shard is whole.
    """
    first, frames, world = int(stem.name[5:]), frames_of(stem), world_of(stem.parent)
    scenes = [sample_scene("train", index, world) for index in range(first, first + count)]
    for part, (_, make) in PARTS.items():
        if part not in parts or not missing(stem, part):
            continue
        made = [make(vae, scene, frames) for scene in scenes]
        for name in made[0]:
            join = np.concatenate if name == "flow" else np.stack  # excerpts, not clips, have a flow each
            whole = join([arrays[name] for arrays in made])
            atomic(beside(stem, name), partial(np.save, arr=whole))
    if "clips" in parts and missing(stem, "clips"):
        stem.with_suffix(".txt").write_text("\n".join(scene.caption for scene in scenes) + "\n")


class Shard:
    """One mapped shard with its captions."""

    def __init__(self, stem: Path) -> None:
        self.stem = stem
        captions = stem.with_suffix(".txt").read_text().splitlines()
        self.words = np.array([tokenise(c) for c in captions])
        self.objects = np.array([c.count(" disc") for c in captions])
        self._maps: dict[str, np.ndarray] = {}

    @property
    def length(self) -> int:
        """Latent frames of a clip."""
        return int(self._map("video").shape[1])

    @property
    def side(self) -> int:
        """Latent rows of a clip."""
        return int(self._map("video").shape[2])

    def rows(self, name: str, picks: np.ndarray) -> Tensor:
        """Return the picked clips of `video`, `sparse` or `dense`."""
        mapped = self._map(name)
        return torch.from_numpy(np.stack([mapped[i] for i in picks]))

    def tracks(self, pick: int) -> FloatArray:
        """Return the paths (N, T, 2) of the objects of a clip, pixels.

        Raises:
            UserError: they are not stored beside the shard.
        """
        if not beside(self.stem, "tracks").exists():
            raise UserError(
                f"training data: {self.stem} has no tracks; write them with: python -m toraeval train model=wan_move"
            )
        paths = self._map("tracks")[pick]
        return paths[np.isfinite(paths).all((1, 2))].astype(np.float64)

    def _map(self, name: str) -> np.ndarray:
        if name not in self._maps:
            self._maps[name] = np.load(beside(self.stem, name), mmap_mode="r")
        return self._maps[name]


class ExcerptShard(Shard):
    """One mapped shard whose clips are the excerpts of the stored ones, those of one clip next to each other.

    Raises:
        UserError: the shard lacks its tracks or the first latents of its excerpts.
    """

    def __init__(self, stem: Path) -> None:
        super().__init__(stem)
        if missing(stem, "excerpts"):
            raise UserError(
                f"training data: {stem} lacks tracks, flow or starts of excerpts; write them with: "
                "python -m toraeval train model=motionctrl size=nano"
            )
        self.starts = excerpt_starts(frames_of(stem))
        self.words = self.words.repeat(len(self.starts), 0)
        self.objects = self.objects.repeat(len(self.starts), 0)

    @property
    def length(self) -> int:
        """Latent frames of an excerpt."""
        return 1 + (FRAMES - 1) // STRIDE_T

    def rows(self, name: str, picks: np.ndarray) -> Tensor:
        """Return the picked excerpts of `video`, or of the `sparse` picture, which is white at first."""
        mapped = self._map(name)
        out = []
        for clip, k in (divmod(int(pick), len(self.starts)) for pick in picks):
            begin = self.starts[k] // STRIDE_T
            latents = mapped[clip, begin : begin + self.length].copy()
            if name != "video":
                latents[0] = mapped[clip, 0]
            elif k:
                latents[0] = self._map("starts")[clip, k - 1]
            out.append(latents)
        return torch.from_numpy(np.stack(out))

    def tracks(self, pick: int) -> FloatArray:
        """Return the paths (N, 17, 2) of the objects of an excerpt, pixels."""
        clip, k = divmod(pick, len(self.starts))
        paths = self._map("tracks")[clip, :, self.starts[k] : self.starts[k] + FRAMES]
        return paths[np.isfinite(paths).all((1, 2))].astype(np.float64)

    def flow(self, pick: int) -> Float32Array:
        """Return the exact dense flow of an excerpt, see `sampled_flow`."""
        return self._map("flow")[pick].astype(np.float32)


MotionReader = Callable[[Shard, np.ndarray, str], Tensor]
"""Returns what a network is given of the paths of picked clips (M, t, h, w, C); the word is `dense` or `sparse`."""


def stored_motion(shard: Shard, picks: np.ndarray, kind: str, compression: str = "vae") -> Tensor:
    """Read motion as the shards hold it, see `MotionReader` and `toraeval.models.tora.conditions.compression`."""
    return shard.rows(kind if compression == "vae" else f"{kind}_{compression}", picks)


def copied_motion(shard: Shard, picks: np.ndarray, kind: str, vae: LinearPatchAutoencoder) -> Tensor:
    """Copy what is around the starts of the paths along them; there is no dense kind of it."""
    firsts = zip(shard.rows("video", picks)[:, 0], picks, strict=True)
    return torch.stack([copied_latents(vae, first, shard.tracks(int(pick))).half() for first, pick in firsts])


def bound_motion(
    shard: Shard, picks: np.ndarray, kind: str, vae: LinearPatchAutoencoder, read: MotionReader
) -> Tensor:
    """Read motion by `read`, and beside it the copies along the paths."""
    return torch.cat((read(shard, picks, kind), copied_motion(shard, picks, kind, vae)), -1)


def displacement_motion(shard: Shard, picks: np.ndarray, kind: str) -> Tensor:
    """Return displacement maps: exact flow in the dense stage, spread displacements of the paths in the sparse one."""
    assert isinstance(shard, ExcerptShard)
    if kind == "dense":
        maps = [fold(shard.flow(int(pick))) for pick in picks]
    else:
        maps = [displacement_maps(shard.tracks(int(pick)), SIZE, SIZE) for pick in picks]
    return torch.from_numpy(np.stack(maps))


def load_vae(path: Path) -> LinearPatchAutoencoder:
    """Load a fitted autoencoder from safetensors."""
    from safetensors.torch import load_file

    state = load_file(str(path))
    vae = LinearPatchAutoencoder(state["basis"].shape[0])
    vae.load_state_dict(state)
    return vae
