"""The only downloader: every file has a source, a SHA-256, a licence, and one place in the cache."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toraeval.keys import file_sha256
from toraeval.registry import unknown
from toraeval.types import MissingAsset, UserError


@dataclass(frozen=True)
class Asset:
    """One downloadable file.

    Attributes:
        url: where it comes from.
        filename: name in the cache.
        sha256: expected hash (hex), or None where its publisher states none: then the user has to give it.
        licence: licence of the file, printed before downloading.
        size_mb: rough size, or None where unknown.
        used_by: what needs it.
    """

    url: str
    filename: str
    sha256: str | None
    licence: str
    size_mb: int | None
    used_by: str


_COTRACKER = "https://huggingface.co/facebook/cotracker3/resolve/main"

ASSETS: dict[str, Asset] = {
    "cotracker3_offline": Asset(
        f"{_COTRACKER}/scaled_offline.pth",
        "cotracker3_scaled_offline.pth",
        None,
        "CC BY-NC 4.0 (no commercial use)",
        102,
        "tracker=cotracker3_offline",
    ),
    "cotracker3_online": Asset(
        f"{_COTRACKER}/scaled_online.pth",
        "cotracker3_scaled_online.pth",
        None,
        "CC BY-NC 4.0 (no commercial use)",
        102,
        "tracker=cotracker3_online",
    ),
}


def cache_dir() -> Path:
    """Return the folder of downloaded files: TORAEVAL_CACHE, or `~/.cache/toraeval`."""
    given = os.environ.get("TORAEVAL_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "toraeval"


def offline() -> bool:
    """Return True if TORAEVAL_OFFLINE forbids downloads."""
    return os.environ.get("TORAEVAL_OFFLINE", "").lower() not in ("", "0", "false", "no")


def remembered_sha256(file: Path) -> str:
    """Return the SHA-256 (hex) of a file, from memory while its size and time of change are the same.

    Hashing an encoder of 20 GB takes a minute; `<cache>/hashes.json` spares it on every start but the first.
    """
    file = file.resolve()
    stat = file.stat()
    seen = [stat.st_size, stat.st_mtime_ns]
    memory = cache_dir() / "hashes.json"
    known = _read_json(memory)
    if known.get(str(file), [])[:2] != seen:
        known = {**_read_json(memory), str(file): [*seen, file_sha256(file)]}
        _write_json(memory, known)
    return str(known[str(file)][2])


def need_disk(folder: Path, num_bytes: int, purpose: str) -> None:
    """Refuse to start what the disk cannot hold.

    Args:
        folder: where it will be written; need not exist yet.
        num_bytes: size of what will be written.
        purpose: for the message.

    Raises:
        UserError: fewer bytes are free.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise UserError(
            f"{purpose} needs {num_bytes / 1e9:.2f} GB, but {place} has {free / 1e9:.2f} GB free; "
            "free space or choose another folder"
        )


def get(name: str) -> Asset:
    """Return the table's line for `name`.

    Raises:
        UserError: unknown name.
    """
    if name not in ASSETS:
        raise UserError(unknown("asset", name, ASSETS) + "; run: python -m toraeval fetch")
    return ASSETS[name]


def path(name: str) -> Path:
    """Return the verified file of an asset without downloading anything.

    The hash is the table's, or the one recorded when the user fetched the file with `sha256=`.

    Raises:
        MissingAsset: the file is absent, damaged, or has no recorded hash, with the command that fetches it.
    """
    asset = get(name)
    file = cache_dir() / asset.filename
    if not file.is_file():
        raise MissingAsset(
            f"{name}: {file} is missing; run: {fetch_command(name)} (licence: {asset.licence})"
        )
    expected = asset.sha256 or _recorded(file)
    if expected is None:
        raise MissingAsset(
            f"{name}: no SHA-256 is recorded for {file}; confirm it with: {fetch_command(name)}"
        )
    found = file_sha256(file)
    if found != expected:
        raise MissingAsset(
            f"{name}: {file} has SHA-256 {found}, expected {expected}; delete it and run: {fetch_command(name)}"
        )
    return file


def fetch_command(name: str) -> str:
    """Return the command that downloads an asset."""
    needs_hash = get(name).sha256 is None
    return f"python -m toraeval fetch {name}" + (" sha256=HASH" if needs_hash else "")


def fetch(name: str, sha256: str | None = None) -> Path:
    """Download an asset if it is not there yet, verify it, and return its file.

    Args:
        name: a key of `ASSETS`.
        sha256: the hash the user expects; required where the table has none.

    Raises:
        MissingAsset: offline, no hash known, or the download fails or does not match.
    """
    asset = get(name)
    expected = asset.sha256 or (sha256.lower() if sha256 else None)
    if sha256 and asset.sha256 and sha256.lower() != asset.sha256:
        raise UserError(f"{name}: sha256={sha256} differs from the table's {asset.sha256}")
    file = cache_dir() / asset.filename
    if expected is None:
        present = f" The file in the cache has {file_sha256(file)}." if file.is_file() else ""
        raise MissingAsset(
            f"{name}: its publisher states no SHA-256, so name the one you trust (shown on the page of "
            f"{asset.url}): {fetch_command(name)}.{present}"
        )
    if not (file.is_file() and file_sha256(file) == expected):
        if offline():
            raise MissingAsset(
                f"{name}: TORAEVAL_OFFLINE forbids downloading {asset.url}; put it at {file} yourself"
            )
        _download(name, asset, file, expected)
    if asset.sha256 is None:
        _hash_file(file).write_text(expected + "\n")
    return file


def _download(name: str, asset: Asset, file: Path, expected: str) -> None:
    import pooch

    try:
        pooch.retrieve(
            asset.url, known_hash=f"sha256:{expected}", fname=file.name, path=file.parent, progressbar=True
        )
    except (
        OSError,
        ValueError,
    ) as error:  # requests' errors are OSErrors; pooch's hash mismatch a ValueError
        reason = " ".join(str(error).split())[:200]
        raise MissingAsset(
            f"{name}: downloading {asset.url} failed: {reason}; try again: {fetch_command(name)}"
        ) from error


def _hash_file(file: Path) -> Path:
    return file.with_name(file.name + ".sha256")


def _recorded(file: Path) -> str | None:
    note = _hash_file(file)
    return note.read_text().strip() if note.is_file() else None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error}); run: rm '{file}'") from error


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    temporary.replace(file)
