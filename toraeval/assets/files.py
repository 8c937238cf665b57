"""Single files with a SHA-256, and the way from an asset's name to its verified file or folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from toraeval.assets import snapshots
from toraeval.assets.cache import cache_dir, offline
from toraeval.assets.contents import stand_in
from toraeval.assets.table import Asset, Snapshot, fetch_command, get
from toraeval.store.keys import file_sha256
from toraeval.types import MissingAsset, UserError, one_line


def path(name: str) -> Path:
    """Return the verified file, or folder of a snapshot, without downloading anything.

    Hashes are the table's, or those recorded when it was fetched.

    Raises:
        MissingAsset: the file is absent, damaged, or has no recorded hash, with the command that fetches it.
    """
    asset = get(name)
    if isinstance(asset, Snapshot):
        return snapshots.locked_folder(name, asset)
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
        kind = stand_in(file)
        raise MissingAsset(
            f"{name}: {file} {f'is {kind} and ' if kind else ''}has SHA-256 {found}, expected {expected}; "
            f"delete it and run: {fetch_command(name)}"
        )
    return file


def fetch(
    name: str,
    sha256: str | None = None,
    revision: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Download an asset if it is not there yet, verify it, and return its file or folder.

    Args:
        name: a key of `ASSETS`.
        sha256: the hash the user expects of a single file; required where the table has none.
        revision: commit, tag or branch of a snapshot; the locked one, else the newest, if not given.
        say: takes lines for the user.

    Raises:
        MissingAsset: offline, no hash known, or the download fails or does not match.
    """
    asset = get(name)
    if isinstance(asset, Snapshot):
        if sha256:
            raise UserError(f"{name} has many files, so sha256= does not fit; pin it with revision=COMMIT")
        return snapshots.fetch_snapshot(name, asset, revision, say)
    if revision:
        raise UserError(f"{name} is a single file, so revision= does not fit; pin it with sha256=HASH")
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

    pooch.get_logger().setLevel("WARNING")  # `fetch` itself says what is loaded from where
    try:
        pooch.retrieve(
            asset.url, known_hash=f"sha256:{expected}", fname=file.name, path=file.parent, progressbar=True
        )
    except (
        OSError,
        ValueError,
    ) as error:  # requests' errors are OSErrors; pooch's hash mismatch a ValueError
        raise MissingAsset(
            f"{name}: downloading {asset.url} failed: {one_line(error)}; try again: {fetch_command(name)}"
        ) from error


def _hash_file(file: Path) -> Path:
    return file.with_name(file.name + ".sha256")


def _recorded(file: Path) -> str | None:
    note = _hash_file(file)
    return note.read_text().strip() if note.is_file() else None
