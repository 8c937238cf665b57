"""Scenes of the embedded size rendered and encoded: what shards hold of each.

Training reads latents of a clip, of its sparse-trajectory picture and of its dense-flow picture; some networks read the
flow in compressions that need no autoencoder. Networks that see no more than 17 frames at once read excerpts of longer
clips. A latent frame of the embedded autoencoder depends on its own four frames alone, so all latents of the excerpt
that begins at frame 16k are latents of the clip, except the first, which holds frame 16k four times.
"""

from __future__ import annotations

import numpy as np
import torch

from toraeval.models.shared.nano.linear_patches import BLOCK, STRIDE_T, LinearPatchAutoencoder, to_blocks
from toraeval.models.shared.network.config import nano
from toraeval.models.shared.trajectory import (
    flow_colours,
    flow_patches,
    integer_points,
    trajectory_patches,
)
from toraeval.models.tora.conditions.compression import compress_flow
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.suite import sample_scene
from toraeval.suites.shapes.world import Scene
from toraeval.trajectories.displacement import STRIDE, UNIT, Float32Array
from toraeval.types import ByteArray

SIZE = 512
FRAMES = 17  # of an excerpt
OBJECTS = 3  # the most that a scene has
Arrays = dict[str, np.ndarray]


def motion_video(renderer: SceneRenderer) -> tuple[ByteArray, list[Box]]:
    """Return the sparse-trajectory picture (T, H, W, 3) of a scene and the boxes that are not white."""
    points = integer_points(renderer.tracks_NT2, renderer.width, renderer.height)
    video = np.full((renderer.frames, renderer.height, renderer.width, 3), 255, np.uint8)
    boxes = []
    for t, top, left, patch in trajectory_patches(points, renderer.width, renderer.height):
        bottom, right = top + patch.shape[0], left + patch.shape[1]
        video[t, top:bottom, left:right] = patch
        boxes.append((t, left, top, right, bottom))
    return video, boxes


def dense_video(renderer: SceneRenderer) -> ByteArray:
    """Return the dense-flow picture (T, H, W, 3): every pixel of an object carries its displacement."""
    moves = [
        np.diff(paths, axis=-2).astype(np.float32) for paths in (renderer.tracks_NT2, renderer.offsets_T2)
    ]
    radius = float(max(np.linalg.norm(steps, axis=-1).max() for steps in moves))
    video = np.full((renderer.frames, renderer.height, renderer.width, 3), 255, np.uint8)
    # everything moves rigidly, so a frame has few different displacements, whose colours are computed once
    for t, top, left, flow in renderer.flow_patches():
        known = np.concatenate([moves[1][None, t - 1], moves[0][:, t - 1]])
        painted = video[t, top : top + flow.shape[0], left : left + flow.shape[1]]
        pairs, wanted = (np.ascontiguousarray(v).view(np.complex64)[..., 0] for v in (flow, known))
        for pair, colour in zip(wanted, flow_colours(known[None], radius)[0], strict=True):
            if (colour < 255).any():  # it is white already
                painted[pairs == pair] = colour
    return video


Box = tuple[int, int, int, int, int]  # frame, x0, y0, x1, y1


def _touched_blocks(boxes: list[Box], frames: int) -> np.ndarray:
    """Return the flat indices of the (t, h, w) blocks that some box meets."""
    hit = np.zeros((1 + (frames - 1) // STRIDE_T, SIZE // BLOCK, SIZE // BLOCK), bool)
    for frame, x0, y0, x1, y1 in boxes:
        hit[
            (frame + STRIDE_T - 1) // STRIDE_T, y0 // BLOCK : -(-y1 // BLOCK), x0 // BLOCK : -(-x1 // BLOCK)
        ] = True
    return np.flatnonzero(hit)


def _object_boxes(renderer: SceneRenderer, delay: int = 0) -> list[Box]:
    """Return the objects' windows; with `delay=1` each is listed at the frame after its own."""
    count = range(len(renderer.scene.objects))
    return [(t + delay, *renderer.window(n, t)) for t in range(renderer.frames - delay) for n in count]


def _gather(video: ByteArray, indices: np.ndarray) -> torch.Tensor:
    """Cut the blocks with the given flat indices; uint8 (M, 12288) as `to_blocks` orders them."""
    h, w = video.shape[1] // BLOCK, video.shape[2] // BLOCK
    out = np.empty((len(indices), STRIDE_T, BLOCK, BLOCK, 3), np.uint8)
    for k, index in enumerate(indices):
        t, row, column = index // (h * w), index // w % h, index % w
        frames = video[:1] if t == 0 else video[STRIDE_T * t - 3 : STRIDE_T * t + 1]
        out[k] = frames[:, row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK]
    return torch.from_numpy(out.reshape(len(indices), -1))


def fit_blocks(scenes: int, seed: int = 0, world: int = 1) -> torch.Tensor:
    """Collect uint8 blocks for the fit: object blocks in excess, background, both motion pictures."""
    rng = np.random.default_rng(seed)
    kept = []
    for index in range(scenes):
        renderer = SceneRenderer(sample_scene("train", index, world), 17, SIZE, SIZE)
        video, dense = renderer.render(), dense_video(renderer)
        sparse, boxes = motion_video(renderer)
        for source, pool, count in (
            (video, _touched_blocks(_object_boxes(renderer), 17), 36),
            (video, np.arange(5 * 256), 8),
            (sparse, _touched_blocks(boxes, 17), 8),
            (dense, _touched_blocks(_object_boxes(renderer, 1), 17), 6),
        ):
            pick = rng.choice(pool, min(count, len(pool)), replace=False)
            kept.append(_gather(source, pick))
    return torch.cat(kept)


def encode_scene(vae: LinearPatchAutoencoder, scene: Scene, frames: int) -> Arrays:
    """Render and encode one scene; float16 arrays (t, h, w, C) named `video`, `sparse`, `dense`.

    Only blocks that differ from a plain backdrop are encoded one by one, which saves most of the time.
    """
    renderer = SceneRenderer(scene, frames, SIZE, SIZE)
    t, h, w = vae.latent_size(frames, SIZE, SIZE)
    sparse, boxes = motion_video(renderer)
    everything = np.arange(t * h * w)
    if scene.drift is None:
        now, before = (_touched_blocks(_object_boxes(renderer, delay), frames) for delay in (0, 1))
    else:
        now = before = everything
    white = torch.full((1, vae.mean.numel()), 255, dtype=torch.uint8)
    still = to_blocks(renderer.add_panel(renderer.background(0))[None])
    out = {}
    for name, video, backdrop, changed in (
        ("video", renderer.render(), still, now),
        ("sparse", sparse, white, _touched_blocks(boxes, frames)),
        ("dense", dense_video(renderer), white, before),
    ):
        latents = vae.encode_blocks(backdrop, torch.bfloat16).repeat(t * h * w // len(backdrop), 1)
        if len(changed):
            latents[torch.from_numpy(changed)] = vae.encode_blocks(_gather(video, changed), torch.bfloat16)
        out[name] = latents.view(t, h, w, -1).to(torch.float16).cpu().numpy()
    return out


def compressed_flows(vae: LinearPatchAutoencoder, scene: Scene, frames: int) -> Arrays:
    """Return the flow of a scene in the compressions that need no autoencoder: `<motion>_<compression>`, float16."""
    config = nano()
    renderer = SceneRenderer(scene, frames, SIZE, SIZE)
    points = integer_points(renderer.tracks_NT2, SIZE, SIZE)
    patches = {"sparse": list(flow_patches(points, SIZE, SIZE)), "dense": list(renderer.flow_patches())}
    return {
        f"{motion}_{method}": compress_flow(
            flow, method, frames, SIZE, SIZE, config.latent_stride, config.motion_unshuffle
        ).astype(np.float16)
        for method in ("key_frame", "average")
        for motion, flow in patches.items()
    }


def excerpt_starts(frames: int) -> range:
    """Return the first frames of the excerpts of a clip of 1 + 16k frames."""
    return range(0, frames - 1, FRAMES - 1)


def excerpt_arrays(vae: LinearPatchAutoencoder, scene: Scene, frames: int) -> Arrays:
    """Return what the excerpts of a scene need beside its latents.

    Returns:
        `tracks`: paths in pixels, float32 (3, frames, 2), NaN where the scene has no further object; `flow`: of each
        excerpt, float16, see `sampled_flow`; `starts`: the first latents of all excerpts but the one at frame 0,
        float16 (k - 1, h, w, C), if there are any.
    """
    tracks = np.full((OBJECTS, frames, 2), np.nan, np.float32)
    tracks[: len(scene.objects)] = scene.tracks(frames)  # rendered at the size of the scene's canvas
    starts = excerpt_starts(frames)
    flow = np.stack([sampled_flow(scene, frames, first) for first in starts]).astype(np.float16)
    if len(starts) == 1:
        return {"tracks": tracks, "flow": flow}
    renderer = SceneRenderer(scene, frames, SIZE, SIZE)
    _, h, w = vae.latent_size(1, SIZE, SIZE)
    pictures = torch.cat([to_blocks(renderer.frame(start)[None]) for start in starts[1:]])
    latents = vae.encode_blocks(pictures, torch.bfloat16).view(len(starts) - 1, h, w, -1)
    return {"tracks": tracks, "flow": flow, "starts": latents.to(torch.float16).cpu().numpy()}


def sampled_flow(scene: Scene, frames: int, start: int) -> Float32Array:
    """Return the flow of 17 frames of a scene at the samples of a displacement map.

    They begin at frame `start` of a clip of `frames`. A renderer of one eighth of the size has its pixel centres at the
    samples of the large picture.

    Returns:
        float32 (16, 64, 64, 2), 1 for 16 pixels of the 512x512 picture.
    """
    side = SIZE // STRIDE
    flow = np.zeros((FRAMES - 1, side, side, 2), np.float32)
    renderer = SceneRenderer(scene, frames, side, side)
    for t, top, left, patch in renderer.flow_patches(start, start + FRAMES):
        flow[t - start - 1, top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    return flow * np.float32(STRIDE / UNIT)
