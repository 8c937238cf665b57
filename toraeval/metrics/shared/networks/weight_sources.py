"""Where the weights of a metric's network come from, and one message for all that a wrong file can raise."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toraeval import assets
from toraeval.types import MissingAsset, UserError

UNREADABLE: tuple[type[Exception], ...] = (
    RuntimeError, OSError, EOFError, AttributeError, KeyError, TypeError, ValueError, pickle.UnpicklingError,
)  # fmt: skip
"""What reading a damaged or wrong weight file raises."""


def own_or_fetched(metric: str, own: Path | None, asset: str, holds: str) -> Path:
    """Return the user's own weights, a file or a folder, else those that `fetch` brought.

    Args:
        metric: who asks.
        own: the value of its option `weights`, or None.
        asset: name in `toraeval.assets`.
        holds: what the file or folder should be, in words.

    Raises:
        MissingAsset: they are not there.
    """
    if own is None:
        return assets.path(asset)
    folder = holds.startswith("a folder")
    if not (own.is_dir() if folder else own.is_file()):
        raise MissingAsset(
            f"{metric}: weights={own} is {'not a folder' if folder else 'missing'}; allowed: {holds}"
        )
    return own


def packaged(package: str, file: str) -> Path | None:
    """Return a file inside an installed package, without importing it, or None."""
    found = importlib.util.find_spec(package)
    folders = (found.submodule_search_locations or []) if found else []
    return next((path for folder in folders if (path := Path(folder) / file).is_file()), None)


@contextmanager
def readable(what: str, cure: str, *further: type[Exception]) -> Iterator[None]:
    """Turn what reading a damaged or wrong file raises into one message.

    Args:
        what: which file does not hold what it should.
        cure: what to do about it.
        further: exceptions of the reader, besides `UNREADABLE`.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        yield
    except (*UNREADABLE, *further) as error:
        raise UserError(f"{what} ({' '.join(str(error).split())[:200]}); {cure}") from error
