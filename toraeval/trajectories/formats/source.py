"""A path file as the formats see it: each form of its content is made once, when a format asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from toraeval.inputs.text_files import is_file
from toraeval.trajectories import safe_pickle
from toraeval.trajectories.array_files import MAX_BYTES, ArrayFile
from toraeval.trajectories.checks import JsonFile, fail, path_text
from toraeval.trajectories.reading import Canvas, Raw

MAX_PICKLE = 1 << 32
TEXT = (".txt", ".csv", ".tsv")
ARRAYS = (".npy", ".npz", ".pth", ".pt")
PICKLE_SUFFIXES = (".pkl", ".pickle")
PATH_SUFFIXES = (".json", *TEXT, *ARRAYS, *PICKLE_SUFFIXES)
"""Suffixes of files that `load` looks at, in any case of letters."""
READ_ALIKE = {
    ".json": (".json", ".txt"), ".txt": TEXT, ".csv": TEXT, ".npz": (".npz",), ".npy": (".npy",),
    ".pth": (".pth", ".pt"), ".pkl": (*PICKLE_SUFFIXES, ".npz"),
}  # fmt: skip
"""Suffixes under which a file is read as well, by the one under which it is written."""


class PathFile:
    """One path file.

    Args:
        path: the file.
        item: name of the case wanted from a file that holds several, possibly empty.
    """

    def __init__(self, path: Path, item: str = "") -> None:
        self.path, self.item = path, item

    @cached_property
    def kind(self) -> str:
        """`json`, `text`, `npy`, `npz`, `torch` or `pickle`; text that begins like JSON counts as JSON."""
        suffix = self.path.suffix.lower()
        if suffix in PICKLE_SUFFIXES:
            return "pickle"
        if suffix == ".json" or suffix in TEXT:
            return "json" if suffix == ".json" or self.text.lstrip()[0] in '[{"' else "text"
        with ArrayFile(self.path) as file:
            return file.kind

    def check_suffix(self) -> None:
        """Refuse a suffix that no format has.

        Raises:
            UserError: none of `PATH_SUFFIXES`.
        """
        if self.path.suffix.lower() not in PATH_SUFFIXES:
            shown = self.path.suffix or "none"
            fail(self.path, "unknown suffix", shown, f"{', '.join(PATH_SUFFIXES)}, or format=...")

    @cached_property
    def text(self) -> str:
        """The file's text."""
        return path_text(self.path)

    @cached_property
    def json(self) -> JsonFile:
        """The parsed JSON file; ComfyUI's nodes take single quotes, so a file with no others is read as well."""
        single = "'x'" in self.text and '"' not in self.text
        return JsonFile(self.path, self.text.replace("'", '"') if single else self.text)

    @cached_property
    def names(self) -> list[str]:
        """Names of the arrays of a NumPy file."""
        with ArrayFile(self.path) as file:
            return file.names

    def array(self, name: str = "", most: int = MAX_BYTES) -> Any:
        """Return one array of a NumPy file, of at most `most` bytes."""
        with ArrayFile(self.path) as file:
            return file.read(name, most)

    def shape(self, name: str = "") -> tuple[int, ...]:
        """Return the shape that the header of an array states."""
        with ArrayFile(self.path) as file:
            return file.shape(name)

    @cached_property
    def objects(self) -> Any:
        """What the file's pickle holds, read without running it; None for a NumPy file without one."""
        if self.kind == "pickle":
            try:
                if not is_file(self.path):
                    fail(self.path, "no such trajectory file", "nothing", "a file")
                size = self.path.stat().st_size
                if size > MAX_PICKLE:
                    fail(self.path, "the file is too large", f"{size:,} bytes", f"{MAX_PICKLE:,} bytes")
                return safe_pickle.load(self.path, self.path.read_bytes())
            except (OSError, ValueError) as error:
                fail(self.path, "not readable", str(error), "a file")
        with ArrayFile(self.path) as file:
            data = file.pickled()
        return None if data is None else safe_pickle.load(self.path, data)


@dataclass(frozen=True)
class Format:
    """A path-file format.

    Attributes:
        name: for `format=`.
        kinds: of `PathFile.kind`.
        fits: tells from the content whether a file of such a kind is in this format.
        read: returns what the file holds.
        about: shape and owner, in one line.
        canvas: `(width, height)` that the format's project uses where its files state none, or None.
        units: `pixels`, or `fractions` of the frame.
        layout: `nt`, `tn`, or `either` where the format leaves it open.
    """

    name: str
    kinds: tuple[str, ...]
    fits: Callable[[PathFile], bool]
    read: Callable[[PathFile], Raw]
    about: str
    canvas: Canvas | None = None
    units: str = "pixels"
    layout: str = "nt"
