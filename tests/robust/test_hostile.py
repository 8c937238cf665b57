"""Files that would run code if they were trusted: every reader refuses them, and nothing of them is executed."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.robust.watch import Watched, watching
from toraeval.models.shared.nano import checkpoint
from toraeval.models.shared.weight_files import StateReader
from toraeval.store.sealed import require_arrays
from toraeval.trajectories import ClipFacts, load
from toraeval.types import UserError

pytestmark = [pytest.mark.robust, pytest.mark.timeout(120)]


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def payloads(mark: Path) -> dict[str, bytes]:
    """Return pickles that make the file `mark` when they are believed, in each way that a pickle can do it."""
    touch, python = f"touch {mark}", f"open({str(mark)!r}, 'w').close()"
    nested = {"points": [[0, 0], [1, 1]], "more": [{"deep": Call(os.system, touch)}]}
    array = np.empty(1, object)
    array[0] = Call(os.system, touch)
    calls = {
        "system": Call(os.system, touch),
        "popen": Call(subprocess.Popen, ["touch", str(mark)]),
        "exec": Call(exec, python),
        "eval": Call(eval, f"open({str(mark)!r}, 'w')"),
        "open": Call(open, str(mark), "w"),
        "mkdir": Call(os.mkdir, str(mark)),
        "nested": nested,
        "object array": array,
        "import": Call(__import__, "antigravity"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "loads": Call(pickle.loads, pickle.dumps(Call(os.system, touch))),
        "numpy save": Call(np.save, str(mark), np.zeros(1)),
        "torch save": Call(torch.save, 1, str(mark)),
    }
    found = {name: pickle.dumps(value) for name, value in calls.items()}
    found["protocol 0"] = b"cos\nsystem\n(S'" + touch.encode() + b"'\ntR."
    found["inst"] = b"(S'" + touch.encode() + b"'\nios\nsystem\n."
    found["obj"] = b"(cos\nsystem\nS'" + touch.encode() + b"'\no."
    found["stack global"] = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + short(touch) + b"\x85R."
    found["dotted"] = b"\x80\x04\x8c\x05numpy\x8c\x0fcore.os.system\x93\x8c" + short(touch) + b"\x85R."
    found["build"] = b"\x80\x02cnumpy\nndarray\n)R}(X\x05\x00\x00\x00valuecos\nsystem\nub."
    found["persistent"] = b"\x80\x02X\x01\x00\x00\x00aQ."
    found["extension"] = b"\x80\x02\x82\x01."
    return found


def short(text: str) -> bytes:
    data = text.encode()
    return bytes([len(data)]) + data


def npy(content: bytes, shape: tuple[int, ...] = (1,)) -> bytes:
    """Return a .npy file of objects whose content is any pickle."""
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def torch_file(content: bytes) -> bytes:
    """Return a torch archive around any pickle."""
    return zipped({"a/data.pkl": content, "a/byteorder": b"little", "a/version": b"3\n"})


def safetensors(header: bytes, length: int | None = None, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def files(mark: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every hostile file."""
    bad = payloads(mark)
    for name, content in bad.items():
        yield f"{name}.pkl", content
    for name in ("system", "open", "stack global", "nested"):
        yield f"{name}.npy", npy(bad[name])
        yield f"{name}.npz", zipped({"points.npy": npy(bad[name])})
    for name in ("system", "exec", "protocol 0", "nested", "torch save", "stack global"):
        yield f"{name}.pth", torch_file(bad[name])
        yield f"old {name}.pt", bad[name]
        yield f"{name}.bin", torch_file(bad[name])
    outside = f"../../../../../../../..{mark}"
    yield "path.npz", zipped({outside: b"x", f"{mark}.npy": b"x"})
    yield "path.pth", zipped({"a/data.pkl": pickle.dumps({}), outside: b"x"})
    named = {"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    pickled = {**named, "__metadata__": {"card": bad["protocol 0"].decode("latin1")}}
    yield "card.safetensors", safetensors(json.dumps(pickled).encode(), data=b"\0" * 4)
    yield "pickle.safetensors", bad["system"]
    yield "huge.safetensors", safetensors(json.dumps(named).encode(), 1 << 60)
    beyond = {"t": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    yield "beyond.safetensors", safetensors(json.dumps(beyond).encode())
    yield "index.bin.index.json", json.dumps({"weight_map": {"t": outside}}).encode()


def paths_of(file: Path) -> object:
    return load(file, clip=ClipFacts((64, 64), 16, "a"))


def weights_of(file: Path) -> object:
    return StateReader(file, "tora", "python -m toraeval fetch tora")


def card_of(file: Path) -> object:
    return checkpoint.read(file, "tora")


READERS: tuple[Callable[[Path], object], ...] = (paths_of, weights_of, card_of, require_arrays)


def test_nothing_of_a_hostile_file_is_executed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    mark = tmp_path / "executed"
    wrong, tried = [], 0
    with watching(tmp_path / "nothing is written") as seen:
        for number, (name, content) in enumerate(files(mark)):
            place = tmp_path / f"{number}"
            with seen.pause():
                place.mkdir()
                (place / name).write_bytes(content)
            tried += 1
            for reader in READERS:
                problem = attempt(reader, place / name, seen)
                if mark.exists():
                    problem = "EXECUTED"
                    mark.unlink()
                if problem:
                    wrong.append(f"{name} by {reader.__name__}: {problem}")
    assert wrong == []
    assert tried >= 30
    record_property("hostile files", tried)


@pytest.mark.filterwarnings("ignore")  # files that the payloads leave open
def test_the_files_would_be_executed_if_they_were_trusted(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    worked = 0
    for name, content in payloads(mark).items():
        if name in ("import", "popen"):  # one opens a browser; the other is not waited for
            continue
        try:
            pickle.loads(content)
        except Exception:
            continue
        if mark.exists():
            worked += 1
            mark.rmdir() if mark.is_dir() else mark.unlink()
        (tmp_path / "executed.npy").unlink(missing_ok=True)
    assert worked >= 10


def attempt(reader: Callable[[Path], object], file: Path, seen: Watched) -> str:
    """Return what is wrong with how a reader took a file, empty for one line or a harmless value."""
    try:
        reader(file)
    except UserError as error:
        if "\n" in str(error):
            return f"more than one line: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ", ".join(seen.taken())
