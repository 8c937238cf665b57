"""Clips and labels for the embedded metric networks: rendered once into a pool, spoilt as they are drawn.

Legend of the shape suffixes: B clips, T frames, H height, W width, C channels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from toraeval.metrics.shared.frames import SHAPES_FRAMES
from toraeval.metrics.shared.networks.dual_encoder import PAD, UNKNOWN
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world import BACKGROUNDS, COLOURS, DRIFTS, SHAPES, Scene, sample_scene
from toraeval.suites.shared.drawing import CANVAS
from toraeval.suites.shared.paths import FAMILIES

FIRST_SCENE = 40_000_000  # beyond the scenes that the generators train on
# A clip is a window of a longer path, so that the networks meet the speeds of every benchmark length.
LENGTHS = (16, 16, 32, 64, 128)
DEFECTS = ("blur", "noise", "dissolve", "smear", "freeze", "shuffle")
COLOUR_NAMES, BACKGROUND_NAMES, DRIFT_NAMES = tuple(COLOURS), tuple(BACKGROUNDS), ("none", *DRIFTS)
LABELS = {"looks": len(SHAPES) * len(COLOURS), "discs": len(COLOURS), "count": 3, "background": len(BACKGROUNDS),
          "drift": len(DRIFT_NAMES), "family": len(FAMILIES), "motion": 4}  # fmt: skip
# Words of one kind may take each other's place in a caption that is made wrong on purpose.
KINDS = (tuple(SHAPES), COLOUR_NAMES, BACKGROUND_NAMES)


def vocabulary() -> list[str]:
    """Return every word that a caption of the world can hold, `<pad>` and `<unk>` first."""
    words = ["and", "with", "disc", "moves", "move", "over", "background", "drifting"]
    return [PAD, UNKNOWN, *words, *SHAPES, *COLOURS, *BACKGROUNDS, *DRIFTS]


def scene_labels(scene: Scene, length: int, first: int) -> dict[str, Any]:
    """Return the truth about a window of 16 frames that begins at frame `first` of a clip of `length` frames.

    `looks` (shape x colour) and `discs` are 1 where present; `motion` is start (x, y) and way (x, y) of the first
    object in units of half the canvas, the others are numbers of a class.
    """
    looks, discs = np.zeros(LABELS["looks"], np.float32), np.zeros(LABELS["discs"], np.float32)
    for thing in scene.objects:
        looks[SHAPES.index(thing.shape) * len(COLOURS) + COLOUR_NAMES.index(thing.colour)] = 1
        discs[COLOUR_NAMES.index(thing.disc)] = 1
    track = scene.tracks(length)[0, first : first + SHAPES_FRAMES] / (CANVAS / 2)
    return {
        "looks": looks,
        "discs": discs,
        "count": len(scene.objects) - 1,
        "background": BACKGROUND_NAMES.index(scene.background),
        "drift": DRIFT_NAMES.index(scene.drift or "none"),
        "family": FAMILIES.index(scene.objects[0].family),
        "motion": np.concatenate([track[0] - 1, track[-1] - track[0]]).astype(np.float32),
    }


def render_clip(index: int, side: int) -> tuple[np.ndarray, dict[str, Any], str]:
    """Return a window uint8 (T, H, W, C), its background included as one more frame, its labels and its caption."""
    scene = sample_scene("train", FIRST_SCENE + index)
    rng = np.random.default_rng([FIRST_SCENE, index])
    length = int(rng.choice(LENGTHS))
    first = int(rng.integers(length - SHAPES_FRAMES + 1))
    # drawn at twice the side and averaged, because scored frames are larger ones made small
    renderer = SceneRenderer(scene, length, 2 * side, 2 * side)
    frames = [renderer.frame(first + t) for t in range(SHAPES_FRAMES)]
    large = np.stack([*frames, renderer.background(first + SHAPES_FRAMES // 2)])
    small = large.reshape(-1, side, 2, side, 2, 3).mean((2, 4), dtype=np.float32)
    return np.rint(small).astype(np.uint8), scene_labels(scene, length, first), scene.caption


def render_frame(index: int, side: int) -> tuple[np.ndarray, str]:
    """Return two pictures uint8 (2, H, W, C), a frame of a scene and its background alone, and the caption."""
    scene = sample_scene("train", FIRST_SCENE + index)
    moment = int(np.random.default_rng([FIRST_SCENE, index]).integers(SHAPES_FRAMES))
    renderer = SceneRenderer(scene, SHAPES_FRAMES, side, side)
    return np.stack([renderer.frame(moment), renderer.background(moment)]), scene.caption


class Pool:
    """Rendered clips in one file, filled from the front, so that a render that was stopped is resumed.

    Args:
        folder: holds `<net>.npy` and `<net>.jsonl`.
        net: `video` or `clip`.
        size: number of scenes.
        side: side of the stored pictures in pixels.
        first: number of the first scene, counted from `FIRST_SCENE`.
    """

    def __init__(self, folder: Path, net: str, size: int, side: int, first: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.net, self.size, self.side, self.first = folder, net, size, side, first
        self._facts = folder / f"{net}-{size}-{side}.jsonl"
        file = folder / f"{net}-{size}-{side}.npy"
        shape = (size, SHAPES_FRAMES + 1 if net == "video" else 2, side, side, 3)
        if not file.exists():
            self._facts.unlink(missing_ok=True)
            np.lib.format.open_memmap(file, "w+", np.uint8, shape).flush()
        self.frames = np.lib.format.open_memmap(file, "r+")
        self.facts: list[dict[str, Any]] = []

    def fill(self) -> None:
        """Render what is missing."""
        from tqdm import tqdm

        lines = self._facts.read_text().splitlines() if self._facts.exists() else []
        whole = [line for line in lines if line.endswith("}")][: self.size]
        with self._facts.open("w") as handle:
            handle.writelines(f"{line}\n" for line in whole)
            for index in tqdm(range(len(whole), self.size), desc="rendering", unit="scene", disable=None):
                whole.append(json.dumps(self._render(index)))
                handle.write(whole[-1] + "\n")
        self.frames.flush()
        self.facts = [json.loads(line) for line in whole]

    def _render(self, index: int) -> dict[str, Any]:
        if self.net == "clip":
            self.frames[index], caption = render_frame(self.first + index, self.side)
            return {"caption": caption}
        self.frames[index], labels, caption = render_clip(self.first + index, self.side)
        return {"caption": caption, **{name: np.asarray(value).tolist() for name, value in labels.items()}}


@dataclass(frozen=True)
class ClipBatch:
    """Clips in [-1, 1] float (B, T, C, H, W), the truth by label, and the strength of each defect in [0, 1] (B, 6)."""

    clip_BTCHW: Tensor
    labels: dict[str, Tensor]
    defects_BK: Tensor

    def __len__(self) -> int:
        return len(self.clip_BTCHW)


def draw(pool: Pool, size: int, seed: Sequence[int]) -> ClipBatch | PairBatch:
    """Return a batch of what a pool holds; all draws come from `seed`."""
    return draw_pairs(pool, size, seed) if pool.net == "clip" else draw_clips(pool, size, seed)


def draw_clips(pool: Pool, size: int, seed: Sequence[int]) -> ClipBatch:
    """Return a batch of clips, of which two in three carry one or two defects; all draws come from `seed`."""
    rng = np.random.default_rng(list(seed))
    chosen = rng.integers(pool.size, size=size)
    strengths = np.zeros((size, len(DEFECTS)), np.float32)
    clips = []
    for row, index in enumerate(chosen):
        stored = torch.from_numpy(np.ascontiguousarray(pool.frames[index])).permute(0, 3, 1, 2)
        clip, empty = stored[:SHAPES_FRAMES].float() / 127.5 - 1, stored[SHAPES_FRAMES].float() / 127.5 - 1
        for kind in rng.choice(len(DEFECTS), size=int(rng.integers(0, 3)), replace=False):
            strengths[row, kind] = rng.uniform(0.1, 1.0)
            clip = spoil(clip, empty, DEFECTS[kind], float(strengths[row, kind]), rng)
        clips.append(clip)
    facts = [pool.facts[index] for index in chosen]
    labels = {name: torch.as_tensor([fact[name] for fact in facts]) for name in LABELS}
    return ClipBatch(torch.stack(clips), labels, torch.from_numpy(strengths))


def spoil(
    clip_TCHW: Tensor, empty_CHW: Tensor, kind: str, strength: float, rng: np.random.Generator
) -> Tensor:
    """Return a clip in [-1, 1] with one of `DEFECTS`, as strong as 0 to 1; `empty_CHW` is its background alone."""
    frames = len(clip_TCHW)
    if kind == "blur":
        return blur(clip_TCHW, clip_TCHW.shape[-1] / 21 * strength)
    if kind == "noise":
        noise = torch.from_numpy(rng.standard_normal(clip_TCHW.shape, dtype=np.float32))
        return (clip_TCHW + 0.4 * strength * noise).clamp(-1, 1)
    if kind == "dissolve":  # the objects fade into the background, the later the more
        fade = torch.linspace(0, 1, frames).view(-1, 1, 1, 1).mul(2 * strength).clamp(max=strength)
        return clip_TCHW + fade * (empty_CHW - clip_TCHW)
    if kind == "smear":  # every frame keeps a share of the one before
        kept, out = 0.9 * strength, [clip_TCHW[0]]
        for frame in clip_TCHW[1:]:
            out.append(kept * out[-1] + (1 - kept) * frame)
        return torch.stack(out)
    if kind == "freeze":
        last = round((1 - strength) * (frames - 2))
        return clip_TCHW[[min(t, last) for t in range(frames)]]
    order = np.arange(frames)
    moved = rng.permutation(frames)[: max(2, round(strength * frames))]
    order[np.sort(moved)] = moved
    return clip_TCHW[order.tolist()]


def blur(pictures_NCHW: Tensor, sigma: float) -> Tensor:
    """Return pictures blurred by a Gaussian of `sigma` pixels."""
    width = 2 * max(1, round(3 * sigma)) + 1
    pictures = pictures_NCHW.permute(0, 2, 3, 1).numpy()
    blurred = [cv2.GaussianBlur(np.ascontiguousarray(p), (width, width), max(sigma, 1e-3)) for p in pictures]
    return torch.from_numpy(np.stack(blurred)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class PairBatch:
    """Pictures and captions that belong together, and some of both that belong to nothing."""

    # pairs, pictures in [-1, 1]
    image_BCHW: Tensor
    captions: list[str]
    wrong_image_BCHW: Tensor  # pictures whose objects are gone, have other colours or are drowned in noise
    wrong_captions: list[str]  # for each pair its caption with one word exchanged

    def __len__(self) -> int:
        return len(self.image_BCHW)


def draw_pairs(pool: Pool, size: int, seed: Sequence[int]) -> PairBatch:
    """Return pairs, with a quarter as many spoilt pictures; all draws come from `seed`."""
    rng = np.random.default_rng(list(seed))
    chosen = rng.choice(pool.size, size=size, replace=False)
    stored = torch.from_numpy(pool.frames[np.sort(chosen)]).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    image, empty = stored[:, 0], stored[:, 1]
    captions = [pool.facts[index]["caption"] for index in np.sort(chosen)]
    spoilt = torch.stack([_wrong_picture(image[k], empty[k], rng) for k in range(size // 4)])
    # mirroring and a little blur and noise leave a picture what its caption says
    image = torch.stack([_harmless(picture, rng) for picture in image])
    return PairBatch(image, captions, spoilt, [wrong_caption(caption, rng) for caption in captions])


def _wrong_picture(image: Tensor, empty: Tensor, rng: np.random.Generator) -> Tensor:
    kind = rng.integers(3)
    if kind == 0:
        return empty + float(rng.uniform(0.0, 0.25)) * (image - empty)
    if kind == 1:
        return image[[1, 2, 0]] if rng.random() < 0.5 else image[[2, 0, 1]]
    there = (image - empty).abs().amax(0, keepdim=True) > 0.05
    noise = torch.from_numpy(rng.uniform(-1, 1, image.shape).astype(np.float32))
    return torch.where(there, noise, image)


def _harmless(image: Tensor, rng: np.random.Generator) -> Tensor:
    if rng.random() < 0.5:
        image = image.flip(-1)
    if rng.random() < 0.3:
        image = blur(image[None], float(rng.uniform(0.2, 1.2)))[0]
    if rng.random() < 0.3:
        noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
        image = (image + float(rng.uniform(0.0, 0.08)) * noise).clamp(-1, 1)
    return image


def wrong_caption(caption: str, rng: np.random.Generator) -> str:
    """Return a caption in which one shape, colour or background is exchanged for another."""
    words = caption.split()
    places = [k for k, word in enumerate(words) if any(word in kind for kind in KINDS)]
    place = int(rng.choice(places))
    kind = next(kind for kind in KINDS if words[place] in kind)
    words[place] = str(rng.choice([word for word in kind if word != words[place]]))
    return " ".join(words)
