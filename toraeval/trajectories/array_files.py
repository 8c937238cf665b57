"""NumPy files, read without running a pickle and without allocating memory beyond what the file holds."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import numpy as np

from toraeval.inputs.text_files import exists, shown
from toraeval.trajectories.checks import fail
from toraeval.types import UserError, one_line

MAX_BYTES = 1 << 26
"""Largest array that is read: 64 MiB, the float64 coordinates of as many points as are allowed."""
_BROKEN = (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError,
           TypeError, ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error)  # fmt: skip
_ALLOWED = ".npy, or .npz of plain arrays, without Python objects"
Kind = Literal["npy", "npz", "torch"]


class ArrayFile:
    """A `.npy` or `.npz` file whose arrays are read one by one, each after a look at its header.

    Args:
        path: the file; for messages only where `data` is given.
        data: contents that lie in memory.

    Attributes:
        kind: `npy`; `npz`; or `torch`, a zip archive with a pickle inside.
        names: of the arrays; `[""]` for `.npy`.
    """

    def __init__(self, path: Path, data: bytes | None = None) -> None:
        self.path = path
        if data is None and not exists(path):
            raise UserError(f"{shown(path, 1000)}: no such trajectory file")
        try:
            self._file: IO[bytes] = path.open("rb") if data is None else io.BytesIO(data)
        except OSError as error:
            self._fail(error)
        try:
            self._open()
        except _BROKEN as error:
            self._file.close()
            self._fail(error)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _open(self) -> None:
        magic = self._file.read(6)
        self._file.seek(0)
        self._zip: zipfile.ZipFile | None = None
        if magic == b"\x93NUMPY":
            self.kind: Kind = "npy"
            self.names = [""]
        elif magic.startswith(b"PK"):
            self._zip = zipfile.ZipFile(self._file)
            members = self._zip.namelist()
            self.kind = "torch" if any(name.endswith("data.pkl") for name in members) else "npz"
            self.names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
        else:
            raise ValueError("neither NumPy's nor a zip archive's first bytes")

    def shape(self, name: str = "") -> tuple[int, ...]:
        """Return the shape of an array as its header states it."""
        try:
            with self._stream(name) as stream:
                return self._header(stream)[0]
        except _BROKEN as error:
            self._fail(error)

    def read(self, name: str = "", most: int = MAX_BYTES) -> np.ndarray:
        """Return an array of at most `most` bytes.

        Raises:
            UserError: damage, Python objects, or a size that the file does not hold or that is above `most`.
        """
        try:
            with self._stream(name) as stream:
                shape, fortran, dtype = self._header(stream)
                label = f"{name}: " if name else ""
                if dtype.hasobject:
                    fail(self.path, f"{label}an array of Python objects", str(dtype), _ALLOWED)
                size = math.prod(shape) * dtype.itemsize
                if size > most:
                    got = f"{size:,} bytes for shape {shape}"
                    fail(self.path, f"{label}the array is too large", got, f"{most:,} bytes")
                data = _upto(stream, size + 1)
                if len(data) != size:
                    got = f"{'more' if len(data) > size else f'{len(data):,}'} bytes for {size:,} of shape {shape}"
                    fail(self.path, f"{label}size and header disagree", got, "a whole file")
                flat = (
                    np.frombuffer(data, dtype=dtype, count=math.prod(shape)) if size else np.zeros(0, dtype)
                )
                return flat.reshape(shape, order="F" if fortran else "C")
        except _BROKEN as error:
            self._fail(error)

    def pickled(self) -> bytes | None:
        """Return the pickle of a `.npy` that holds Python objects, unread, or None for any other array."""
        if self.kind != "npy":
            return None
        try:
            with self._stream("") as stream:
                return _upto(stream, MAX_BYTES) if self._header(stream)[2].hasobject else None
        except _BROKEN as error:
            self._fail(error)

    def member(self, ending: str) -> bytes:
        """Return a member of the archive by the end of its name."""
        try:
            assert self._zip is not None
            name = next(name for name in self._zip.namelist() if name.endswith(ending))
            with self._zip.open(name) as stream:
                data = _upto(stream, MAX_BYTES + 1)
        except _BROKEN as error:
            self._fail(error)
        if len(data) > MAX_BYTES:
            fail(self.path, f"{ending} is too large", f"more than {MAX_BYTES:,} bytes", "less")
        return data

    def _stream(self, name: str) -> Any:
        if self._zip is not None:
            return self._zip.open(f"{name}.npy")
        self._file.seek(0)
        return _Kept(self._file)

    def _header(self, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version, np.lib.format.read_array_header_2_0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a header of Python 2
            shape, fortran, dtype = read(stream)
        if any(side < 0 for side in shape):
            raise ValueError(f"shape {shape} in the header")
        return tuple(int(side) for side in shape), fortran, dtype

    def _fail(self, error: BaseException) -> NoReturn:
        fail(self.path, "not a readable NumPy file", one_line(error), _ALLOWED)


def _upto(stream: IO[bytes], count: int) -> bytes:
    """Return up to `count` bytes; memory grows with what is there, not with what a header promises."""
    parts: list[bytes] = []
    while count > 0 and (part := stream.read(min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class _Kept:
    """Leaves a file open that a `with` statement would close."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *_: object) -> None:
        pass


def as_array(path: Path, name: str, value: Any) -> np.ndarray:
    """Return what a pickle holds as an array.

    Raises:
        UserError: lists of unequal length, or anything else that is not an array.
    """
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        fail(path, f"wrong {name}", str(error).splitlines()[0], "an array of numbers")


def number(path: Path, name: str, array: np.ndarray) -> float:
    """Return a single real number of a file, e.g. its frame rate.

    Raises:
        UserError: several values, another dtype, or a value that is not finite and above 0.
    """
    value = array.reshape(-1)[0] if array.size == 1 else None
    good = array.dtype.kind in "iuf" and value is not None and np.isfinite(value) and value > 0
    if not good:
        shown: object = array.tolist() if array.size < 5 else f"{array.size} values"
        fail(path, f"wrong {name}", f"{shown} ({array.dtype})", "one finite number above 0")
    return float(value)  # type: ignore[arg-type]


def flags(path: Path, name: str, array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return a visibility array as bool, from bool or from zeros and ones.

    Raises:
        UserError: another shape than the paths', or other values.
    """
    if tuple(array.shape) != tuple(shape) or array.dtype.kind not in "biuf":
        fail(path, f"wrong {name}", f"{array.dtype} {array.shape}", f"bool {tuple(shape)}")
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        fail(path, f"wrong {name}", f"{array.dtype} with other values", "true and false, or 0 and 1")
    return array.astype(bool)
