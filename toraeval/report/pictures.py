"""Pictures that know what they were drawn from: one that is up to date is not drawn again."""

from __future__ import annotations

import importlib.metadata
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.store import sealed
from toraeval.store.keys import digest, file_sha256

if TYPE_CHECKING:
    from PIL.Image import Image

KEY = "toraeval"
"""Name of the PNG text entry that holds the key."""
KEY_TAG = 0x010E
"""EXIF tag (ImageDescription) that holds the key of a WebP file."""
DRAWN = (".png", ".webp")


def picture_key(*content: Any, code: tuple[str, ...]) -> str:
    """Return the hash of everything a picture depends on.

    Args:
        content: the data, of JSON types.
        code: source files that draw it, so that a changed style is drawn again.
    """
    drawing = [file_sha256(Path(file)) for file in code]
    packages = [importlib.metadata.version(name) for name in ("matplotlib", "pillow")]
    return digest(content, drawing, packages)


def is_drawn(path: Path, key: str) -> bool:
    """Return True if `path` is a picture that was drawn under this key, byte for byte."""
    if _key_of(path) != key:
        return False
    try:
        sealed.require_tail(path)
    except sealed.Damaged as error:
        sealed.report(error)
        return False
    return True


def save_keyed(picture: Image, path: Path, key: str) -> None:
    """Write a picture as WebP with its key; photographs of frames need a tenth of what PNG takes."""
    from PIL.Image import Exif

    named = Exif()
    named[KEY_TAG] = key
    picture.save(path, format="WEBP", quality=80, method=4, exif=named)
    sealed.add_tail(path)


def drop_former(folder: Path, current: Iterable[Path]) -> list[Path]:
    """Delete the pictures that a former report drew in `folder` and return them; pictures of others stay.

    Args:
        folder: where pictures lie; may be absent.
        current: those of the present report.
    """
    keep = {path.resolve() for path in current}
    drawn = [path for path in sorted(folder.glob("*")) if path.suffix in DRAWN]
    former = [path for path in drawn if path.resolve() not in keep and _key_of(path)]
    for path in former:
        path.unlink()
    return former


def _key_of(path: Path) -> str | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            found = picture.info.get(KEY) or picture.getexif().get(KEY_TAG)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, UnidentifiedImageError):
        return None  # what damage makes of a picture
    return found if isinstance(found, str) else None
