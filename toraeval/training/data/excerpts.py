"""Excerpts of 17 frames out of longer clips, for networks that see no more at once; and the paths as they read them.

A latent frame of the embedded autoencoder depends on its own four frames alone. So all latents of the excerpt that
begins at frame 16k are latents of the clip, except the first, which holds frame 16k four times: only that is rendered
and stored, as `<shard>_starts.npy`. `<shard>_tracks.npy` holds the paths of all objects, `<shard>_flow.npy` the dense
flow of the excerpts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toraeval.models.shared.nano.linear_patches import STRIDE_T, LinearPatchAutoencoder, to_blocks
from toraeval.store.sealed import atomic
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.suite import sample_scene
from toraeval.suites.shapes.world import Scene
from toraeval.training.data.batches import Shard
from toraeval.training.data.shards import SIZE, dense_flow, world_of
from toraeval.trajectories.displacement import STRIDE, UNIT, Float32Array, displacement_maps, fold
from toraeval.types import FloatArray, UserError

FRAMES = 17
LATENTS = 1 + (FRAMES - 1) // STRIDE_T
OBJECTS = 3  # the most that a scene has


def excerpt_starts(frames: int) -> range:
    """Return the first frames of the excerpts of a clip of 1 + 16k frames."""
    return range(0, frames - 1, FRAMES - 1)


def stored_tracks(scene: Scene, frames: int) -> np.ndarray:
    """Return float32 (3, frames, 2) paths in pixels; NaN where the scene has no further object."""
    tracks = np.full((OBJECTS, frames, 2), np.nan, np.float32)
    tracks[: len(scene.objects)] = scene.tracks(
        frames
    )  # clips are rendered at the size of the scene's canvas
    return tracks


def encode_starts(vae: LinearPatchAutoencoder, scene: Scene, frames: int) -> np.ndarray:
    """Return the first latents of all excerpts but the one at frame 0, float16 (k - 1, h, w, C)."""
    renderer = SceneRenderer(scene, frames, SIZE, SIZE)
    starts = excerpt_starts(frames)[1:]
    _, h, w = vae.latent_size(1, SIZE, SIZE)
    pictures = torch.cat([to_blocks(renderer.frame(start)[None]) for start in starts])
    latents = vae.encode_blocks(pictures, torch.bfloat16)
    return latents.view(len(starts), h, w, -1).to(torch.float16).cpu().numpy()


def is_complete(stem: Path) -> bool:
    """Return whether a shard has what excerpts need beside it."""
    names = ("tracks", "flow") if _frames(stem) == FRAMES else ("tracks", "flow", "starts")
    return all(_beside(stem, name).exists() for name in names)


def complete(stem: Path, vae: LinearPatchAutoencoder) -> None:
    """Write what excerpts need beside a shard that is written; the latents of the clips are not touched."""
    frames = _frames(stem)
    scenes = [sample_scene("train", index, world_of(stem.parent)) for index in _scenes(stem)]
    if frames > FRAMES and not _beside(stem, "starts").exists():
        starts = np.stack([encode_starts(vae, scene, frames) for scene in scenes])
        atomic(_beside(stem, "starts"), lambda temporary: np.save(temporary, starts))
    if not _beside(stem, "tracks").exists():
        tracks = np.stack([stored_tracks(scene, frames) for scene in scenes])
        atomic(_beside(stem, "tracks"), lambda temporary: np.save(temporary, tracks))
    if not _beside(stem, "flow").exists():
        flow = np.stack(
            [sampled_flow(scene, frames, first) for scene in scenes for first in excerpt_starts(frames)]
        )
        atomic(_beside(stem, "flow"), lambda temporary: np.save(temporary, flow.astype(np.float16)))


class ExcerptShard(Shard):
    """One mapped shard whose clips are the excerpts of the stored ones, those of one clip next to each other.

    Raises:
        UserError: the shard lacks its tracks or the first latents of its excerpts.
    """

    def __init__(self, stem: Path) -> None:
        super().__init__(stem)
        if not is_complete(stem):
            raise UserError(
                f"training data: {stem} lacks tracks, flow or starts of excerpts; write them with: "
                "python -m toraeval train model=motionctrl size=nano"
            )
        self.frames, self.scenes = _frames(stem), _scenes(stem)
        self.starts = excerpt_starts(self.frames)
        self.words = self.words.repeat(len(self.starts), 0)
        self.objects = self.objects.repeat(len(self.starts), 0)

    @property
    def length(self) -> int:
        """Latent frames of an excerpt."""
        return LATENTS

    def rows(self, name: str, picks: np.ndarray) -> Tensor:
        """Return the picked excerpts of `video`, or of the `sparse` picture, which is white at first."""
        mapped = self._map(name)
        out = []
        for clip, k in (divmod(int(pick), len(self.starts)) for pick in picks):
            begin = self.starts[k] // STRIDE_T
            latents = mapped[clip, begin : begin + LATENTS].copy()
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


def sampled_flow(scene: Scene, frames: int, start: int) -> Float32Array:
    """Return the flow of 17 frames of a scene at the samples of a displacement map.

    A renderer of one eighth of the size has its pixel centres at the samples of the large picture.

    Args:
        scene: what is shown.
        frames: length of the whole clip.
        start: first frame.

    Returns:
        float32 (16, 64, 64, 2), 1 for 16 pixels of the 512x512 picture.
    """
    side = SIZE // STRIDE
    flow = np.zeros((FRAMES - 1, side, side, 2), np.float32)
    renderer = SceneRenderer(scene, frames, side, side)
    for t, top, left, patch in dense_flow(renderer, start, start + FRAMES):
        flow[t - start - 1, top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    return flow * np.float32(STRIDE / UNIT)


def displacement_motion(shard: Shard, picks: np.ndarray, kind: str) -> Tensor:
    """Return displacement maps: exact flow in the dense stage, spread displacements of the paths in the sparse one."""
    assert isinstance(shard, ExcerptShard)
    if kind == "dense":
        maps = [fold(shard.flow(int(pick))) for pick in picks]
    else:
        maps = [displacement_maps(shard.tracks(int(pick)), SIZE, SIZE) for pick in picks]
    return torch.from_numpy(np.stack(maps))


def _frames(stem: Path) -> int:
    return int(stem.name[1:4])


def _scenes(stem: Path) -> range:
    first = int(stem.name[5:])
    return range(first, first + len(stem.with_suffix(".txt").read_text().splitlines()))


def _beside(stem: Path, name: str) -> Path:
    return stem.with_name(f"{stem.name}_{name}.npy")
