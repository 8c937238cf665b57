"""Small copies of the layouts of public benchmarks; object k moves from (8k+6, 6k+8) by (2, 0.5) a frame."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from toraeval.types import Video
from toraeval.video import write_lossless

STEP = np.array([2.0, 0.5])


def tracks(objects: int, frames: int) -> np.ndarray:
    """Return (N, T, 2) pixels."""
    starts = np.array([[8 * k + 6, 6 * k + 8] for k in range(objects)], dtype=float)
    return starts[:, None] + np.arange(frames)[None, :, None] * STEP


def pictures(frames: int, size: tuple[int, int]) -> np.ndarray:
    """Return uint8 (T, H, W, 3): a slope that brightens with time."""
    width, height = size
    slope = np.add.outer(np.arange(height) * 2, np.arange(width)).astype(np.uint8)
    return np.stack([np.repeat((slope + 3 * t)[..., None], 3, axis=2) for t in range(frames)])


def masks(objects: int, frames: int, size: tuple[int, int]) -> np.ndarray:
    """Return uint8 (T, H, W): object k+1 covers 5x5 pixels around its track, rounded down."""
    width, height = size
    out = np.zeros((frames, height, width), np.uint8)
    for index, path in enumerate(tracks(objects, frames)):
        for frame, (x, y) in enumerate(np.floor(path).astype(int)):
            out[frame, y - 2 : y + 3, x - 2 : x + 3] = index + 1
    return out


def video(path: Path, frames: int, size: tuple[int, int], fps: float = 8.0) -> None:
    """Write a lossless clip under any name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".mkv")
    write_lossless(Video.from_thwc(pictures(frames, size), fps), made)
    made.rename(path)


def movebench(root: Path, clips: int, frames: int, size: tuple[int, int], with_video: bool = True) -> Path:
    """Make `MoveBench/en` with single and multi tracks."""
    base = root / "en"
    for kind, objects in (("single", 1), ("multi", 3)):
        folder = base / "track" / kind
        folder.mkdir(parents=True)
        lines = ["# comment", ""]
        for index in range(clips):
            name = f"clip_{index:04d}"
            lines.append(f"sub/{name}.mp4,a caption, with commas, of {name}")
            np.save(
                folder / f"{name}_tracks.npy",
                tracks(objects, frames).transpose(1, 0, 2)[None].astype(np.float32),
            )
            np.save(folder / f"{name}_visibility.npy", np.ones((1, frames, objects), dtype=bool))
        (base / f"{kind}_track.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (base / "first_frame").mkdir()
    picture = io.BytesIO()
    Image.fromarray(pictures(1, size)[0]).save(picture, "jpeg")
    for index in range(clips):
        (base / "first_frame" / f"clip_{index:04d}.jpg").write_bytes(picture.getvalue())
        if with_video:
            video(base / "video" / f"clip_{index:04d}.mp4", frames, size)
    return root


def mc_bench(root: Path, size: tuple[int, int]) -> Path:
    """Make both classes with one case each."""
    for kind in ("object_control", "Fine_grained_control"):
        folder = root / kind / "case"
        folder.mkdir(parents=True)
        Image.fromarray(pictures(1, size)[0]).save(folder / "first_frame.png")
        drags = [[[6, 8], [10, 9], [14, 10]], [[20, 20]]]
        for name in ("meta_data.json", "meta_data_new.json"):
            (folder / name).write_text(json.dumps({"traj_key_points": drags}))
    return root


def davis(root: Path, frames: int, size: tuple[int, int], year: int = 2017) -> Path:
    """Make one clip with two objects and a void pixel."""
    drawn = masks(2, frames, size)
    drawn[:, 0, 0] = 255
    if year == 2016:
        drawn = np.where(drawn == 1, 255, 0).astype(np.uint8)
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "480p" / "bear").mkdir(parents=True)
    for index, (picture, mask) in enumerate(zip(pictures(frames, size), drawn, strict=True)):
        Image.fromarray(picture).save(root / "JPEGImages" / "480p" / "bear" / f"{index:05d}.jpg")
        indexed = Image.fromarray(mask, "P") if year == 2017 else Image.fromarray(mask, "L")
        if year == 2017:
            indexed.putpalette([value for k in range(256) for value in (k, 255 - k, 7 * k % 256)])
        indexed.save(root / "Annotations" / "480p" / "bear" / f"{index:05d}.png")
    lists = root / "ImageSets" / str(year)
    lists.mkdir(parents=True)
    line = "bear" if year == 2017 else "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png"
    (lists / "val.txt").write_text(line + "\n")
    return root


def magicdata(root: Path, frames: int, size: tuple[int, int]) -> Path:
    """Make one clip with masks and boxes of two colours."""
    colours = np.array([[0, 0, 0], [10, 20, 30], [200, 0, 0]], np.uint8)
    drawn = masks(2, frames, size)
    for kind in ("masks", "boxs"):
        folder = root / kind / "clip"
        folder.mkdir(parents=True)
        for index, mask in enumerate(drawn):
            shown = mask if kind == "masks" else _outline(mask)
            Image.fromarray(colours[shown]).save(folder / f"annotated_frame_{index:05d}.png")
    video(root / "videos" / "clip.mp4", frames, size)
    (root / "MagicData.csv").write_text('video,caption\nvideos/clip.mp4,"a thing, moving"\n')
    return root


def _outline(mask: np.ndarray) -> np.ndarray:
    out = np.zeros_like(mask)
    for value in np.unique(mask)[1:]:
        rows, columns = np.nonzero(mask == value)
        out[rows.min(), columns.min() : columns.max() + 1] = out[
            rows.max(), columns.min() : columns.max() + 1
        ] = value
        out[rows.min() : rows.max() + 1, columns.min()] = out[rows.min() : rows.max() + 1, columns.max()] = (
            value
        )
    return out


def tapvid(path: Path, frames: int, size: tuple[int, int], jpeg: bool = False, late: int = 4) -> Path:
    """Make a dict with one item: point 1 appears only in frame `late`, point 2 never."""
    hidden = np.zeros((3, frames), dtype=bool)
    hidden[1, :late] = True
    hidden[2] = True
    clip: object = pictures(frames, size)
    if jpeg:
        clip = [_jpeg(picture) for picture in pictures(frames, size)]
    points = ((tracks(3, frames) + 0.5) / size).astype(np.float32)
    path.write_bytes(pickle.dumps({"horse": {"video": clip, "points": points, "occluded": hidden}}))
    return path


def _jpeg(picture: np.ndarray) -> bytes:
    memory = io.BytesIO()
    Image.fromarray(picture).save(memory, "jpeg", quality=95)
    return memory.getvalue()


def kubric(root: Path, frames: int, size: tuple[int, int], objects: int = 3) -> Path:
    """Make one sequence."""
    folder = root / "0001"
    (folder / "frames").mkdir(parents=True)
    for index, picture in enumerate(pictures(frames, size)):
        Image.fromarray(picture).save(folder / "frames" / f"{index:03d}.png")
    hidden = np.zeros((objects, frames), dtype=bool)
    hidden[0, 2] = True
    item = {"coords": tracks(objects, frames).astype(np.float32), "visibility": hidden}
    np.save(folder / "0001.npy", np.array(item, dtype=object), allow_pickle=True)
    return root


def run_lengths(mask: np.ndarray) -> dict[str, object]:
    """Return COCO's plain run lengths of a bool (H, W) mask."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": runs}


def flexbench(root: Path, frames: int, size: tuple[int, int]) -> Path:
    """Make one aligned and one unaligned case."""
    base = root / "real"
    base.mkdir(parents=True)
    drawn = masks(2, 1, size)[0]
    grid = tracks(2, frames)
    points = np.concatenate(
        [grid + np.array([2, 0]), grid, grid - np.array([0, 2])]
    )  # the middle one of every segment is the second
    triples = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=-1).transpose(1, 0, 2)[None]
    item = {"pred_tracks": triples, "pred_visibility": np.ones(triples.shape[:3], dtype=bool)}
    np.save(base / "a.npy", np.array(item, dtype=object), allow_pickle=True)
    (base / "a.pkl").write_bytes(pickle.dumps([[run_lengths(drawn == 1), run_lengths(drawn == 2)]]))
    video(base / "a.mp4", frames, size)
    entry = {
        "validation_prompt": "a thing moves",
        "is_real_video": True,
        "tracking_map_path": "a.npy",
        "seg_map_path": "a.pkl",
        "validation_video": "a.mp4",
        "name": "first",
    }
    other = {**entry, "name": "second", "tracking_map_path": "a.npy,b.npy"}
    (root / "flexbench.json").write_text(json.dumps([{"prefix": "/real/", "validations": [entry, other]}]))
    return root
