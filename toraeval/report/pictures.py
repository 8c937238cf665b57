"""Pictures that know what they were drawn from: one that is up to date is not drawn again."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from toraeval.keys import digest, file_sha256

KEY = "toraeval"
"""Name of the PNG text entry that holds the key."""


def picture_key(*content: Any, code: tuple[str, ...]) -> str:
    """Return the hash of everything a picture depends on.

    Args:
        content: the data, of JSON types.
        code: source files that draw it, so that a changed style draws anew.
    """
    drawing = [file_sha256(Path(file)) for file in code]
    packages = [importlib.metadata.version(name) for name in ("matplotlib", "pillow")]
    return digest(content, drawing, packages)


def is_drawn(path: Path, key: str) -> bool:
    """Return True if `path` is a PNG that was drawn under this key."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return bool(picture.info.get(KEY) == key)
    except (OSError, UnidentifiedImageError):
        return False
