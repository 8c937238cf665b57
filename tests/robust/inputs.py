"""Every kind of input with sound examples to be damaged, and the reader that a user's file of that kind meets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from toraeval.cli import overrides
from toraeval.inputs.clip_listing import list_clips
from toraeval.models.shared.nano import checkpoint
from toraeval.models.shared.weight_files import StateReader
from toraeval.pages.rate.session import BlindPair, BlindSession
from toraeval.pages.rate.votes import COLUMNS_OF_VOTES, QUESTIONS, read_votes, session_name
from toraeval.suites.folder.suite import Folder
from toraeval.training.data.video_folder import VideoFolder
from toraeval.trajectories import ClipFacts, load, read_prompts
from toraeval.video import measure_video, read_video
from toraeval.video.pictures import picture_size, read_picture

CLIP = ClipFacts((192, 128), 16, "a")
SESSION = BlindSession("abc", ("a", "b"), ("r1", "r2"), {}, (BlindPair("p001", "s", "s", "x"),))
Reader = Callable[[Path], object]


def path_file(file: Path) -> object:
    return load(file, clip=CLIP)


def folder_suite(file: Path) -> object:
    return Folder(str(file.parent)).cases(16, 128, 192)


def prompts(file: Path) -> object:
    return read_prompts(file)


def manifest(file: Path) -> object:
    return list_clips(file)


def training_table(file: Path) -> object:
    return VideoFolder(file.parent, None).skipped


def video(file: Path) -> object:
    measure_video(file)
    return read_video(file, allow_damaged=True)


def picture(file: Path) -> object:
    return picture_size(file), read_picture(file)


def weights(file: Path) -> object:
    reader = StateReader(file, "tora", "python -m toraeval fetch tora")
    return [reader.tensor(name) for name in reader.shapes]


def embedded_weights(file: Path) -> object:
    return checkpoint.read(file, "tora")


def config(file: Path) -> object:
    chosen = f"{file.parent.name}={file.stem}"
    return overrides.check("run", [chosen], False, str(file.parents[1])).configs


def votes(file: Path) -> object:
    session_name(file)
    return read_votes(file, SESSION)


def examples(folder: Path, data: Path) -> dict[Reader, list[Path]]:
    """Write sound files of every kind; returns them by reader, each alone in a folder of what it needs."""
    put = _Put(folder)
    paths = [path for path in sorted((data / "faults" / "paths").rglob("*")) if path.suffix in PATHS]
    paths += sorted((data / "trajectories").rglob("*.json")) + sorted(
        (data / "trajectories" / "tora").glob("*.txt")
    )
    clips = [path for path in sorted((data / "faults" / "video").glob("*.*")) if path.suffix in CLIPS]
    clip = (data / "faults" / "video" / "n1.mp4").read_bytes()
    state = {"a.weight": torch.zeros(3, 4), "b.bias": torch.ones(7)}
    track = json.dumps([[x, 20] for x in range(10, 90, 5)])
    return {
        path_file: [put(path.name, path.read_bytes()) for path in paths],
        folder_suite: [
            put("cases.json", b'[{"id": "a", "prompt": "p", "tracks": [' + track.encode() + b"]}]"),
            put("a.txt", b"\n".join(b"%d,%d" % (x, 20) for x in range(10, 90, 5))),
        ],
        prompts: [put("prompts.txt", b"a fox@@fox.png\na cat\n")],
        manifest: [
            put("manifest.json", b'{"a": "a.mp4"}', {"a.mp4": clip}),
            put("manifest.jsonl", b'{"case": "a", "file": "a.mp4", "seed": 1}\n', {"a.mp4": clip}),
            put("manifest.csv", b"case,file,seed\na,a.mp4,1\n", {"a.mp4": clip}),
        ],
        training_table: [
            put("metadata.csv", b'path,caption\na.mp4,"a fox, running"\n', {"a.mp4": clip}),
            put("metadata.jsonl", b'{"path": "a.mp4", "caption": "a fox"}\n', {"a.mp4": clip}),
        ],
        video: [put(path.name, path.read_bytes()) for path in clips],
        picture: [put.picture(f"a{suffix}") for suffix in (".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif")],
        weights: [
            put.made("w.safetensors", lambda file: save_file(state, str(file))),
            put.made("w.pth", lambda file: torch.save(state, file)),
            put.made("w.bin", lambda file: torch.save({"state_dict": state}, file)),
            put.made("old.pt", lambda file: torch.save(state, file, _use_new_zipfile_serialization=False)),
            put("w.safetensors.index.json", b'{"weight_map": {"a": "w.safetensors"}}'),
        ],
        embedded_weights: [
            put.made(
                "n.safetensors", lambda file: save_file(state, str(file), metadata={"card": '{"frames": 16}'})
            )
        ],
        config: [
            put("model/mine.yaml", b"defaults:\n  - static\nname: static\n"),
            put("preset/mine.yaml", b"# @package _global_\nlimit: 2\nframes: 16\nmodel_options: {}\n"),
            put("suite/mine.yaml", b"defaults:\n  - /schema/suite/folder@_here_\npath: nowhere\n"),
        ],
        votes: [
            put(
                "votes.csv",
                f"{','.join(COLUMNS_OF_VOTES)}\nabc,ann,p001,{next(iter(QUESTIONS))},x,x,3.5\n".encode(),
            )
        ],
    }


PATHS = (".json", ".npy", ".npz", ".pkl", ".pth", ".txt", ".csv", ".yaml")
CLIPS = (".mp4", ".mkv", ".webm", ".gif", ".webp")


class _Put:
    """Writes each file into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def _place(self, name: str) -> Path:
        self._count += 1
        file = self._folder / f"{self._count:03d}" / name
        file.parent.mkdir(parents=True)
        return file

    def __call__(self, name: str, content: bytes, beside: dict[str, bytes] | None = None) -> Path:
        file = self._place(name)
        file.write_bytes(content)
        for other, data in (beside or {}).items():
            (file.parent / other).write_bytes(data)
        return file

    def made(self, name: str, write: Callable[[Path], object]) -> Path:
        file = self._place(name)
        write(file)
        return file

    def picture(self, name: str) -> Path:
        y, x = np.mgrid[:24, :32]
        shown = Image.fromarray(np.stack([x * 7, y * 9, x + y], -1).astype(np.uint8))
        return self.made(name, lambda file: shown.save(file))


def odd_values() -> list[Any]:
    """Return what JSON can hold and nobody expects."""
    big = 10**400
    return [
        None,
        True,
        big,
        -1,
        1e308,
        "",
        "\0",
        "../../etc/passwd",
        "/",
        "a" * 5000,
        [],
        {},
        [[]],
        [[None] * 3],
        {"": {}},
    ]
