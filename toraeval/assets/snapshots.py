"""Snapshots of Hugging Face repositories, each held to one commit and the hashes of its files by a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from toraeval.assets.cache import cache_dir, need_disk, offline, read_notes, remembered_sha256
from toraeval.assets.table import Snapshot, fetch_command
from toraeval.optional import require
from toraeval.store import sealed
from toraeval.types import MissingAsset, UserError, counted, one_line

LOCK_FILE = "toraeval.lock.json"
PICKLE_SUFFIXES = (".bin", ".pth", ".pt")


def _folder(name: str, snapshot: Snapshot) -> Path:
    return cache_dir() / (snapshot.folder or name)


def locked_revision(name: str) -> str | None:
    """Return the commit at which a snapshot was fetched, or None."""
    entry = read_notes(cache_dir() / LOCK_FILE).get(name)
    return str(entry["revision"]) if entry else None


def locked_folder(name: str, snapshot: Snapshot) -> Path:
    """Return the folder of a snapshot if every file in the lock is there with its hash."""
    folder = _folder(name, snapshot)
    locked = read_notes(cache_dir() / LOCK_FILE).get(name)
    again = f"run: {fetch_command(name)}"
    if locked is None:
        raise MissingAsset(f"{name}: {folder} is missing; {again} (licence: {snapshot.licence})")
    for relative, known in locked["files"].items():
        file = folder / relative
        if not file.is_file():
            raise MissingAsset(f"{name}: {file} is missing; {again} (licence: {snapshot.licence})")
        found = remembered_sha256(file)
        if found != known["sha256"]:
            raise MissingAsset(
                f"{name}: {file} has SHA-256 {found}, locked is {known['sha256']}; delete it and {again}"
            )
    return folder


def fetch_snapshot(name: str, snapshot: Snapshot, revision: str | None, say: Callable[[str], None]) -> Path:
    """Download what is missing of a snapshot, check it against the hub's hashes and the lock, and lock it."""
    folder, lock = _folder(name, snapshot), cache_dir() / LOCK_FILE
    locked = read_notes(lock).get(name, {})
    if locked and revision in (None, locked["revision"]):
        try:
            return locked_folder(name, snapshot)
        except MissingAsset:
            revision = locked["revision"]
    if offline():
        raise MissingAsset(f"{name}: TORAEVAL_OFFLINE forbids downloading {snapshot.url} to {folder}")
    hub = require("huggingface_hub", f"fetching {name}", "hf")
    try:
        info = hub.HfApi().model_info(snapshot.repo, revision=revision, files_metadata=True)
        files = _wanted(name, snapshot, info.siblings)
        todo = {place: f for place, f in files.items() if not _is_there(folder / place, f)}
        page_licence = (info.card_data or {}).get("license") or "not stated"
        say(
            f"{name}: commit {info.sha}, licence on its page: {page_licence}, {counted(len(todo), 'file')} to download"
        )
        need_disk(folder, sum(f.size or 0 for f in todo.values()), f"downloading {name}")
        for place, file in todo.items():
            loaded = hub.hf_hub_download(snapshot.repo, file.rfilename, revision=info.sha, local_dir=folder)
            if Path(loaded) != folder / place:
                Path(loaded).replace(folder / place)
    except UserError:
        raise
    except Exception as error:  # the hub's, those of whichever HTTP library it uses, and those of the disk
        raise MissingAsset(
            f"{name}: downloading {snapshot.url} failed: {one_line(error)}; what is loaded is kept, try again: "
            f"{fetch_command(name)}"
        ) from error
    found = {place: {"sha256": remembered_sha256(folder / place), "size": (folder / place).stat().st_size}
             for place in files}  # fmt: skip
    expected = {place: f.lfs.sha256 for place, f in files.items() if f.lfs}
    if info.sha == locked.get("revision"):
        expected |= {place: known["sha256"] for place, known in locked["files"].items()}
    for place, sha256 in expected.items():
        if place not in found or found[place]["sha256"] != sha256:
            (folder / place).unlink(missing_ok=True)
            raise MissingAsset(
                f"{name}: {place} does not have the SHA-256 {sha256} that {snapshot.url} or {lock} states and was "
                f"removed; try again: {fetch_command(name)}"
            )
    entry = {"repo": snapshot.repo, "revision": info.sha, "files": found}
    sealed.write_json(lock, {**read_notes(lock), name: entry})
    return folder


def _wanted(name: str, snapshot: Snapshot, siblings: Iterable[Any]) -> dict[str, Any]:
    """Return the files of a repository that belong to a snapshot, by their place in its folder."""
    files = [f for f in siblings if any(fnmatch(f.rfilename, pattern) for pattern in snapshot.patterns)]
    safe = {PurePosixPath(f.rfilename).parent for f in files if f.rfilename.endswith(".safetensors")}
    chosen = {}
    for file in files:
        place = PurePosixPath(file.rfilename.removeprefix(snapshot.strip))
        beside = PurePosixPath(file.rfilename).parent in safe and not snapshot.pickles
        if beside and place.suffix in PICKLE_SUFFIXES:
            continue
        if place.is_absolute() or ".." in place.parts:
            raise UserError(f"{name}: {snapshot.url} names a file outside its folder: {file.rfilename}")
        chosen[str(place)] = file
    if not any(place.endswith((".safetensors", *PICKLE_SUFFIXES)) for place in chosen):
        raise UserError(
            f"{name}: {snapshot.url} holds no weights ({', '.join(snapshot.patterns)}) at this revision"
        )
    return chosen


def _is_there(file: Path, published: Any) -> bool:
    """Return whether a file is complete; what the hub states no hash of is small and loaded again."""
    return file.is_file() and bool(published.lfs) and remembered_sha256(file) == published.lfs.sha256
