"""Other people's repositories that a wrapper runs: where they are, which commit, and how to make their environment."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from toraeval.assets.cache import cache_dir, files_sha256, remembered_sha256
from toraeval.assets.files import path as asset_path
from toraeval.assets.program_table import PROGRAMS, Program
from toraeval.assets.table import ASSETS, Snapshot, fetch_command
from toraeval.registry import unknown
from toraeval.store import record
from toraeval.types import MissingAsset, UserError

PROBE_S = 60.0
WEIGHTS = (".safetensors", ".pth", ".pt", ".bin", ".json", ".model")
_VERSIONS = """
import importlib.metadata, json, platform, sys
plain = lambda name: name.lower().replace("_", "-")
found = {plain(d.metadata["Name"] or ""): d.version for d in importlib.metadata.distributions()}
print(json.dumps([platform.python_version()] + [found.get(plain(name)) for name in sys.argv[1:]]))
"""


@dataclass(frozen=True)
class Installed:
    """A checkout with its environment and weights, as found here.

    Attributes:
        fork: key of `Program.forks`.
        checkout, python, checkpoint: paths.
        revision: commit and hash of the local changes, or None where it is not a git checkout.
    """

    fork: str
    checkout: Path
    python: Path
    checkpoint: Path
    revision: dict[str, Any] | None

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights; of a folder over the names and hashes of all networks and settings in it."""
        if self.checkpoint.is_file():
            return remembered_sha256(self.checkpoint)
        found = (file for file in self.checkpoint.rglob("*") if file.suffix in WEIGHTS and file.is_file())
        return files_sha256(
            sorted(file for file in found if not file.relative_to(self.checkpoint).parts[0].startswith("."))
        )


def get_program(name: str) -> Program:
    """Return a line of `PROGRAMS`.

    Raises:
        UserError: unknown name.
    """
    if name not in PROGRAMS:
        raise UserError(unknown("program", name, PROGRAMS))
    return PROGRAMS[name]


def program_of(asset: str) -> str | None:
    """Return the program that an asset is the weights of, or None."""
    return next((name for name, program in PROGRAMS.items() if program.weights == asset), None)


def program_folder(name: str) -> Path:
    """Return where the checkout of a program lies unless the user says otherwise."""
    return cache_dir() / f"{name}_checkout"


def instructions(name: str) -> list[str]:
    """Return the commands and facts that a user needs to install a program, one per line."""
    program, folder = get_program(name), program_folder(name)
    lines = []
    for number, (fork, source) in enumerate(program.forks.items()):
        lines.append(
            f"{'code' if not number else 'or'}: {source.url} at {source.commit} ({fork}, {source.licence})"
        )
    main = next(iter(program.forks.values()))
    for weights in (program.weights, *program.further):
        asset = ASSETS[weights]
        assert isinstance(asset, Snapshot)
        files = program.weights_file or ", ".join(asset.patterns)
        lines.append(
            f"weights: {asset.url}, file {files} ({asset.licence}); the publisher's SHA-256 is checked"
        )
    lines += [
        f"  git clone {main.url} {folder}",
        f"  git -C {folder} checkout {main.commit}",
        *(f"  {command.format(checkout=folder)}" for command in program.environment),
        *(f"  {fetch_command(weights)}" for weights in (program.weights, *program.further)),
    ]
    return lines + [f"note: {note}" for note in program.notes]


def find_program(
    name: str, checkout: str | None, python: str | None, checkpoint: str | None, any_revision: bool = False
) -> Installed:
    """Return where a program is installed.

    Args:
        name: a key of `PROGRAMS`.
        checkout, python, checkpoint: the user's places, or None for the default ones.
        any_revision: accept other commits.

    Raises:
        MissingAsset: checkout, interpreter or weights are absent.
        UserError: the checkout is at a commit that the wrapper was not written against.
    """
    fork, folder, interpreter, revision = find_code(name, checkout, python, any_revision)
    program = get_program(name)
    if not checkpoint:
        weights = asset_path(program.weights) / program.weights_file
        for further in program.further:
            asset_path(further)
        return Installed(fork, folder, interpreter, weights, revision)
    weights = Path(checkpoint).expanduser().resolve()
    if not (weights.is_file() if program.weights_file else weights.is_dir()):
        raise MissingAsset(f"{name} upstream: no weights at {weights}; run: {_fetch(name)}")
    return Installed(fork, folder, interpreter, weights, revision)


def find_code(
    name: str, checkout: str | None, python: str | None, any_revision: bool = False
) -> tuple[str, Path, Path, dict[str, Any] | None]:
    """Return fork, checkout, interpreter and revision of a program, see `find_program`."""
    forks = get_program(name).forks
    folder = Path(checkout).expanduser().resolve() if checkout else program_folder(name)
    fork = next((f for f, s in forks.items() if all((folder / file).is_file() for file in s.files)), None)
    if fork is None:
        wanted = " or ".join(", ".join(source.files) for source in forks.values())
        raise MissingAsset(
            f"{name} upstream: {folder} is not a checkout of it (looked for {wanted}); give another one with "
            f"model.checkout=DIR, or run: {_fetch(name)}"
        )
    interpreter = Path(python).expanduser() if python else folder / "env" / "bin" / "python"
    if not interpreter.is_file():
        raise MissingAsset(
            f"{name} upstream: no interpreter at {interpreter}; give another one with model.python=FILE, or run: "
            f"{_fetch(name)}"
        )
    revision, known = record.git_state(folder), forks[fork].commit
    if not any_revision and (revision is None or revision["commit"] != known):
        found = revision["commit"] if revision else "no git commit"
        raise UserError(
            f"{name} upstream: {folder} is at {found}, the wrapper was written against {known}; "
            f"run: git -C {folder} checkout {known}, or accept it with model.any_revision=true"
        )
    return fork, folder, interpreter.absolute(), revision


def _fetch(name: str) -> str:
    return f"python -m toraeval fetch model={name} size=upstream"


@cache
def environment(python: Path, packages: tuple[str, ...]) -> dict[str, str | None]:
    """Return the versions of Python and of packages in another interpreter, None for absent ones.

    Raises:
        MissingAsset: it does not run.
    """
    try:
        done = subprocess.run(
            [str(python), "-c", _VERSIONS, *packages],
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=True,
        )
        versions = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise MissingAsset(
            f"{python} does not run as a Python of 3.8 or newer: {reason[-1] if reason else error}"
        ) from error
    return dict(zip(("python", *packages), versions, strict=True))


def state(name: str) -> str:
    """Return whether a program at its default place can be started, in words; only its interpreter is run."""
    program = get_program(name)
    try:
        installed = find_program(name, None, None, None)
        versions = environment(installed.python, program.packages)
    except UserError as error:
        return str(error)
    source = program.forks[installed.fork]
    lacking = [p for p in program.packages if versions[p] is None and p not in source.optional]
    if lacking:
        return f"{installed.python} lacks {', '.join(lacking)}; run: {_fetch(name)}"
    return f"{installed.checkout} ({installed.fork}), Python {versions['python']}, torch {versions['torch']}"
