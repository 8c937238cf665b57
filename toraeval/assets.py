"""The only downloader: every file has a source, a SHA-256, a licence, and one place in the cache.

Single files have their SHA-256 in the table or from the user. Snapshots of Hugging Face repositories take theirs from
the repository at one commit; commit and hashes are then kept in `<cache>/toraeval.lock.json` and hold from then on.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from toraeval.keys import digest, file_sha256
from toraeval.optional import require
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


@dataclass(frozen=True)
class Snapshot:
    """Files of a Hugging Face repository at one commit.

    Attributes:
        repo: `owner/name` on huggingface.co.
        licence: licence of the files as far as known, printed before downloading.
        size_mb: estimate; the true size is known when the download starts.
        used_by: what needs it.
        patterns: which files, as shell patterns. Of a folder with safetensors files, no pickles are taken.
        folder: folder in the cache, by default the snapshot's name; several snapshots may share one.
        strip: leading part of file names that is left out in the cache.
    """

    repo: str
    licence: str
    size_mb: int | None
    used_by: str
    patterns: tuple[str, ...] = ("*.json", "*.model", "*.safetensors", "*.bin", "*.pth", "*.pt")
    folder: str = ""
    strip: str = ""

    @property
    def url(self) -> str:
        """Page of the repository."""
        return f"https://huggingface.co/{self.repo}"


_OPEN_SORA_LICENCE = "Apache-2.0 (that of the Open-Sora repository; see the page)"
_COGVIDEOX_LICENCE = "CogVideoX License (research free, commercial use needs registration; no redistribution)"
_COTRACKER = "https://huggingface.co/facebook/cotracker3/resolve/main"

ASSETS: dict[str, Asset | Snapshot] = {
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
    "opensora_stdit_v3": Snapshot(
        "hpcai-tech/OpenSora-STDiT-v3", _OPEN_SORA_LICENCE, 4800, "model=tora size=xl2: transformer"
    ),
    "opensora_vae_v1_2": Snapshot(
        "hpcai-tech/OpenSora-VAE-v1.2", _OPEN_SORA_LICENCE, 1600, "model=tora size=xl2: autoencoder"
    ),
    "t5_v1_1_xxl": Snapshot(
        "DeepFloyd/t5-v1_1-xxl",
        "Apache-2.0 (that of T5 v1.1; see the page)",
        19000,
        "model=tora size=xl2: text encoder",
    ),
    "tora_cogvideox_t2v": Snapshot(
        "Alibaba-Research-Intelligence-Computing/Tora_T2V_diffusers",
        _COGVIDEOX_LICENCE,
        22000,
        "model=tora_cogvideox variant=t2v: all parts",
    ),
    "tora_cogvideox_i2v": Snapshot(
        "Alibaba-Research-Intelligence-Computing/Tora",
        _COGVIDEOX_LICENCE,
        12000,
        "model=tora_cogvideox variant=i2v: transformer",
        ("tora/i2v/*.pt",),
        strip="tora/i2v/",
    ),
    "cogvideox_5b_i2v": Snapshot(
        "THUDM/CogVideoX-5b-I2V",
        _COGVIDEOX_LICENCE,
        10000,
        "model=tora_cogvideox variant=i2v: text encoder and autoencoder",
        ("vae/*", "text_encoder/*", "tokenizer/*", "scheduler/*"),
        "tora_cogvideox_i2v",
    ),
}
LOCK_FILE = "toraeval.lock.json"
PICKLES = (".bin", ".pth", ".pt")


def cache_dir() -> Path:
    """Return the folder of downloaded files: TORAEVAL_CACHE, or `~/.cache/toraeval`."""
    given = os.environ.get("TORAEVAL_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "toraeval"


def offline() -> bool:
    """Return True if TORAEVAL_OFFLINE forbids downloads."""
    return os.environ.get("TORAEVAL_OFFLINE", "").lower() not in ("", "0", "false", "no")


def files_sha256(files: Iterable[Path]) -> str:
    """Return one hash of several files, by name and content, in the given order."""
    return digest([(file.name, remembered_sha256(file)) for file in files])


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


def get(name: str) -> Asset | Snapshot:
    """Return the table's line for `name`.

    Raises:
        UserError: unknown name.
    """
    if name not in ASSETS:
        raise UserError(unknown("asset", name, ASSETS) + "; run: python -m toraeval fetch")
    return ASSETS[name]


def path(name: str) -> Path:
    """Return the verified file, or folder of a snapshot, without downloading anything.

    Hashes are the table's, or those recorded when it was fetched.

    Raises:
        MissingAsset: the file is absent, damaged, or has no recorded hash, with the command that fetches it.
    """
    asset = get(name)
    if isinstance(asset, Snapshot):
        return _locked_folder(name, asset)
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
    asset = get(name)
    needs_hash = isinstance(asset, Asset) and asset.sha256 is None
    return f"python -m toraeval fetch {name}" + (" sha256=HASH" if needs_hash else "")


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
        return _fetch_snapshot(name, asset, revision, say)
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


def _folder(name: str, snapshot: Snapshot) -> Path:
    return cache_dir() / (snapshot.folder or name)


def locked_revision(name: str) -> str | None:
    """Return the commit at which a snapshot was fetched, or None."""
    entry = _read_json(cache_dir() / LOCK_FILE).get(name)
    return str(entry["revision"]) if entry else None


def _locked_folder(name: str, snapshot: Snapshot) -> Path:
    """Return the folder of a snapshot if every file in the lock is there with its hash."""
    folder = _folder(name, snapshot)
    locked = _read_json(cache_dir() / LOCK_FILE).get(name)
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


def _fetch_snapshot(name: str, snapshot: Snapshot, revision: str | None, say: Callable[[str], None]) -> Path:
    """Download what is missing of a snapshot, check it against the hub's hashes and the lock, and lock it."""
    folder, lock = _folder(name, snapshot), cache_dir() / LOCK_FILE
    locked = _read_json(lock).get(name, {})
    if locked and revision in (None, locked["revision"]):
        try:
            return _locked_folder(name, snapshot)
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
        say(f"{name}: commit {info.sha}, licence on its page: {page_licence}, {len(todo)} files to download")
        need_disk(folder, sum(f.size or 0 for f in todo.values()), f"downloading {name}")
        for place, file in todo.items():
            loaded = hub.hf_hub_download(snapshot.repo, file.rfilename, revision=info.sha, local_dir=folder)
            if Path(loaded) != folder / place:
                Path(loaded).replace(folder / place)
    except OSError as error:  # all of the hub's errors, and those of the disk
        reason = " ".join(str(error).split())[:200]
        raise MissingAsset(
            f"{name}: downloading {snapshot.url} failed: {reason}; what is loaded is kept, try again: "
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
    _write_json(lock, {**_read_json(lock), name: entry})
    return folder


def _wanted(name: str, snapshot: Snapshot, siblings: Iterable[Any]) -> dict[str, Any]:
    """Return the files of a repository that belong to a snapshot, by their place in its folder."""
    files = [f for f in siblings if any(fnmatch(f.rfilename, pattern) for pattern in snapshot.patterns)]
    safe = {PurePosixPath(f.rfilename).parent for f in files if f.rfilename.endswith(".safetensors")}
    chosen = {}
    for file in files:
        place = PurePosixPath(file.rfilename.removeprefix(snapshot.strip))
        if PurePosixPath(file.rfilename).parent in safe and place.suffix in PICKLES:
            continue
        if place.is_absolute() or ".." in place.parts:
            raise UserError(f"{name}: {snapshot.url} names a file outside its folder: {file.rfilename}")
        chosen[str(place)] = file
    if not any(place.endswith((".safetensors", *PICKLES)) for place in chosen):
        raise UserError(
            f"{name}: {snapshot.url} holds no weights ({', '.join(snapshot.patterns)}) at this revision"
        )
    return chosen


def _is_there(file: Path, published: Any) -> bool:
    """Return whether a file is complete; what the hub states no hash of is small and loaded again."""
    return file.is_file() and bool(published.lfs) and remembered_sha256(file) == published.lfs.sha256


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
