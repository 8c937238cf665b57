"""Damaged, hostile and outsized path files end in one line, without a traceback and without taking memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toraeval.run.own_videos import plan_score
from toraeval.suites.folder.suite import Folder
from toraeval.trajectories import ClipFacts, load
from toraeval.trajectories.formats import PATH_SUFFIXES
from toraeval.types import UserError

CLIP = ClipFacts((192, 128), 16, "a")
WORDS = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 400,
    b"null",
    b'"',
    b"[",
    b"}",
    b"\0",
    b"\xff",
    "\u2028".encode(),
)


@pytest.fixture
def paths(data_dir: Path) -> Path:
    return data_dir / "faults" / "paths"


def refused(file: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(file, **{"clip": CLIP, **options})
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1500
    return text


def mutations(data: bytes, draws: random.Random) -> bytes:
    """Return the bytes cut, with bits flipped, with words put in or with parts doubled."""
    changed = bytearray(data)
    place = draws.randrange(len(data))
    kind = draws.randrange(5)
    if kind == 0:
        return data[:place]
    if kind == 1:
        changed[place] ^= 1 << draws.randrange(8)
    elif kind == 2:
        changed[place : place + draws.randrange(4)] = draws.choice(WORDS)
    elif kind == 3:
        for _ in range(8):
            changed[draws.randrange(min(len(data), 200))] = draws.randrange(256)
    else:
        changed[place:place] = data[place // 2 : place // 2 + 40]
    return bytes(changed)


def test_no_mutation_of_any_format_is_a_traceback(paths: Path, tmp_path: Path) -> None:
    draws = random.Random(0)
    files = [file for file in sorted(paths.rglob("*")) if file.suffix in PATH_SUFFIXES]
    assert len(files) > 30
    read, told = 0, []
    for file in files:
        for _ in range(15):
            copy = tmp_path / file.name
            copy.write_bytes(mutations(file.read_bytes(), draws))
            try:
                found = load(copy, clip=ClipFacts((832, 480), 49, "1"))
            except UserError as error:
                told.append(str(error))
            else:
                read += 1
                assert np.isfinite(found.tracks_NT2).all()
    assert read > 20
    assert all("\n" not in text and len(text) < 1500 for text in told)


class _Runs:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, ("hacked",)


HOSTILE = {
    "reduce": pickle.dumps({"v": {"points": _Runs(), "occluded": 1}}),
    "old": pickle.dumps([_Runs()], 0),
    "numpy load": b'cnumpy\nload\n(S"/etc/hostname"\ntR.',
    "attribute": b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.",
    "getattr": b"cbuiltins\ngetattr\n.",
    "instance": b'(S"hacked"\nios\nmkdir\n.',
    "large array": b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7f\x85tR.",
    "large bytes": b"\x80\x02cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    "large memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "promised bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 35) + b"ab.",
    "deep": b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b".",
    "itself": b"\x80\x02]q\x00h\x00a.",
    "doubling": b"\x80\x02K\x01" + b"2\x86" * 60 + b".",
    "ragged": pickle.dumps({"points": [[1, 2], [3]], "occluded": [[0]]}),
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_of_a_pickle_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    data = HOSTILE[name]
    (tmp_path / "a.pkl").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", data)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(data)
    tracemalloc.start()
    for suffix in ("pkl", "pth", "npy"):
        refused(tmp_path / f"a.{suffix}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
    assert not (tmp_path / "hacked").exists()


def promising(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return header.getvalue() + bytes(1000)


def test_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    huge = promising((10, 200_000_000, 2))
    (tmp_path / "a.npy").write_bytes(huge)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tracks.npy", huge)
    (tmp_path / "b.npy").write_bytes(promising((10, 1000, 2)))
    tracemalloc.start()
    assert "too large; got 32,000,000,000 bytes" in refused(tmp_path / "a.npy")
    assert "too large; got 32,000,000,000 bytes" in refused(tmp_path / "a.npz")
    assert "size and header disagree; got 1,000 bytes for 160,000" in refused(tmp_path / "b.npy", layout="nt")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("objects", [3_000])
def test_more_objects_than_can_be_tracked_are_refused(tmp_path: Path, objects: int) -> None:
    points = np.full((objects, 2, 2), 9.0)
    np.save(tmp_path / "a.npy", points)
    native = {"format": "toraeval-trajectories", "version": 1, "canvas": [64, 64], "points": points.tolist()}
    (tmp_path / "n.json").write_text(json.dumps(native))
    (tmp_path / "d.json").write_text(json.dumps(points.tolist()))
    lines = "".join(f"{k},0,1,2\n" for k in range(objects))
    (tmp_path / "c.csv").write_text(f"object,frame,x,y\n{lines}")
    for name in ("a.npy", "n.json", "d.json", "c.csv"):
        text = refused(tmp_path / name, layout="nt")
        assert f"too many; got {objects} objects" in text
        assert "2048 objects" in text


@pytest.mark.parametrize("name", ["fpsnan.npz", "fpsneg.npz", "fpsstr.npz"])
def test_frame_rates_that_are_none(paths: Path, name: str) -> None:
    assert "wrong fps; got " in refused(paths / name, clip=ClipFacts((832, 480), 49))


@pytest.mark.parametrize("fps", [np.inf, 0, 1j, np.array([]), [8, 9], True, np.array("8")])
def test_other_frame_rates_that_are_none(tmp_path: Path, fps: Any) -> None:
    np.savez(tmp_path / "a.npz", tracks=np.full((1, 16, 2), 9.0), fps=fps)
    assert "wrong fps; got " in refused(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "arrays",
    [
        {"names": np.array(["a", 3], dtype=object)},
        {"fps": np.array(None)},
        {"canvas": np.array([192.5, 128.0])},
        {"canvas": np.array("192x128")},
        {"canvas": np.array([10**6, 128])},
        {"layout": np.array("xy")},
        {"visible": np.full((1, 16), 0.5)},
        {"names": np.array([1, 2])},
    ],
)
def test_other_fields_that_are_wrong(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "a.npz", tracks=np.full((1, 16, 2), 9.0), **arrays)
    refused(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000 + "]" * 5000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        f"[[[1,2],[3,{'9' * 5000}]]]",
        f"[[[1,2],[3,{'9' * 400}]]]",
        "[[[1,2],[3,NaN]]]",
        "[[[1,2],[3,Infinity]]]",
        '[{"x": "1", "y": 2}, {"x": 1, "y": 2}]',
        '{"0": [[1,2],[9,4]], "0": [[1,2],[3,4]]}',
        "[]",
        "",
        " \n",
        '"',
    ],
)
def test_json_that_is_not_a_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    refused(tmp_path / "a.json")


@pytest.mark.parametrize("suffix", PATH_SUFFIXES)
def test_names_that_are_not_files(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"empty{suffix}").touch()
    for name in (f"folder{suffix}", f"empty{suffix}", f"none{suffix}", "x" * 5000 + suffix, f"a\0b{suffix}"):
        refused(tmp_path / name)
    refused(Path(f"/absent/folder/a{suffix}"))


def test_long_names_in_every_option_and_field(tmp_path: Path) -> None:
    long = "x" * 5000
    video = tmp_path / "a.mp4"
    video.touch()
    native = {
        "format": "toraeval-trajectories",
        "version": 1,
        "canvas": [64, 64],
        "points": [[[9, 9], [8, 8]]],
    }
    for options in (
        {"videos": long, "trajectories": "a"},
        {"videos": str(video), "trajectories": long},
        {"videos": str(video), "trajectories": "/absent/folder/a.json"},
    ):
        with pytest.raises(UserError, match="no such file or folder") as caught:
            plan_score({"align": "resample", **options})
        assert len(str(caught.value)) < 500
    with pytest.raises(UserError, match="is not a directory"):
        Folder(long)
    (tmp_path / "n.json").write_text(json.dumps({**native, "first_frame": long}))
    assert "no such image" in refused(tmp_path / "n.json")
    (tmp_path / "n.json").write_text(json.dumps({**native, "first_frame": "/absent/a.png"}))
    assert "no such image; got /absent/a.png" in refused(tmp_path / "n.json")
