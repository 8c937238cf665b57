"""Pickles of NumPy arrays, read without running anything that they name.

An unpickler that knows NumPy's constructors by name only: each stands for a small class of this module, so that neither
NumPy's nor any other code is called with arguments of the file. Lists, dicts, strings, bytes and numbers need no name.
The names are those that NumPy 1 and 2 write (`numpy.core` and `numpy._core`).
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.trajectories.checks import fail
from toraeval.types import one_line

MAX_STEPS = 5_000_000
_ALLOWED = "lists, dicts, text, numbers and NumPy arrays; nothing of the file was run"
_KINDS = "biufSUO"


def load(path: Path, data: bytes) -> Any:
    """Return what a pickle holds, arrays as NumPy arrays (arrays of objects as lists).

    Args:
        path: the file, for messages.
        data: the pickle.

    Raises:
        UserError: damage, or anything but plain data and NumPy arrays.
    """
    try:
        _inspect(data)
        found = _Unpickler(io.BytesIO(data)).load()
        return _plain(found, 0, {})
    except _Forbidden as error:
        fail(path, "a pickle that would run code is not opened", str(error), _ALLOWED)
    except Exception as error:
        fail(path, "not a readable pickle", one_line(error), _ALLOWED)


class _Forbidden(Exception):
    pass


def _inspect(data: bytes) -> None:
    """Walk over the steps of a pickle without doing them: memory is only taken for what the file holds."""
    for steps, (step, argument, _) in enumerate(pickletools.genops(data)):
        if step.name in ("PERSID", "BINPERSID", "INST", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"):
            raise _Forbidden(f"the step {step.name}")
        if step.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= steps:
            raise ValueError(f"memo {argument} at step {steps}")
        if steps > MAX_STEPS:
            raise ValueError(f"more than {MAX_STEPS:,} steps")


class _DType:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if not isinstance(code, str) or len(code) > 12 or code.lstrip("<>|=")[:1] not in tuple(_KINDS):
            raise ValueError(f"dtype {code!r}")
        self.code, self.order = code.lstrip("<>|="), "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if state[1] in ("<", ">", "|", "=") else "="

    def real(self) -> np.dtype[Any]:
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


class _Array:
    """Stands for `numpy.ndarray`, as `_reconstruct` makes and `__setstate__` fills it."""

    value: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _filled(data, dtype, tuple(shape), "F" if fortran else "C")


def _filled(data: Any, dtype: Any, shape: tuple[int, ...], order: str) -> Any:
    if not isinstance(dtype, _DType):
        raise ValueError("an array without dtype")
    if dtype.code.startswith("O"):
        return list(data)
    if isinstance(data, str):
        data = data.encode("latin1")
    return np.frombuffer(data, dtype=dtype.real()).reshape(shape, order=order)  # type: ignore[call-overload]


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: str = "C") -> _Array:
    array = _Array()
    array.value = _filled(data, dtype, tuple(shape), "F" if order == "F" else "C")
    return array


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return _filled(data, dtype, (1,), "C")[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


def _bytes_of(*content: Any) -> bytes:
    """Stands for `bytes` and `bytearray`, which older pickles build from text; a number would only take memory."""
    if content and not isinstance(content[0], str | bytes | bytearray | list):
        raise ValueError("bytes of a given length")
    if content and isinstance(content[0], str):
        return _encode(content[0])
    return bytes(content[0]) if content else b""


_KNOWN: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): _bytes_of,
    ("builtins", "bytearray"): _bytes_of,
    ("__builtin__", "bytes"): _bytes_of,
    ("__builtin__", "bytearray"): _bytes_of,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
} | {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (
        ("multiarray", "_reconstruct", _reconstruct),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _from_buffer),
    )
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            stand_in = _KNOWN[module, name]
        except KeyError:
            raise _Forbidden(f"it names {module}.{name}"[:120]) from None
        # A function of its own each time: a pickle may set attributes of what it names.
        return lambda *arguments: stand_in(*arguments)


def _plain(value: Any, depth: int, done: dict[int, Any]) -> Any:
    """Return the value with arrays in the place of their stand-ins; what occurs twice is converted once."""
    if depth > 50:
        raise ValueError("nested too deeply")
    if id(value) not in done:
        result = value
        if isinstance(value, _Array):
            result = _plain(value.value, depth + 1, done)
        elif isinstance(value, dict):
            result = {key: _plain(item, depth + 1, done) for key, item in value.items()}
        elif isinstance(value, list | tuple):
            result = [_plain(item, depth + 1, done) for item in value]
        done[id(value)] = result
    return done[id(value)]
