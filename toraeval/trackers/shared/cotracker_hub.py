"""CoTracker3's code and weights: found in a checkout or in torch.hub's cache, pinned, hashed, loaded.

Upstream: facebookresearch/co-tracker, `hubconf.py`, code CC BY-NC 4.0.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from toraeval import assets
from toraeval.allowed import check_options
from toraeval.trackers.shared.published import PublishedWeights
from toraeval.types import MissingAsset, UserError

REPOSITORY = "facebookresearch/co-tracker"
REVISION = "82e02e8029753ad4ef13cf06be7f4fc5facdda4d"
CODE_SHA256 = (
    "6cf206000585921956802453294e8a1130a746ea5e4d826b3284c357c3b1adb7"  # of that revision, see `code_hash`
)


def code_hash(repo_dir: Path) -> str:
    """Return the SHA-256 over `hubconf.py` and the `cotracker` package, line endings normalised.

    Args:
        repo_dir: root of a checkout.
    """
    digest = hashlib.sha256()
    files = [repo_dir / "hubconf.py", *sorted((repo_dir / "cotracker").rglob("*.py"))]
    for path in files:
        digest.update(path.relative_to(repo_dir).as_posix().encode() + b"\0")
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


@contextmanager
def random_state_kept() -> Iterator[None]:
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        # upstream seeds with 0 when first imported; doing so every time makes random weights repeatable
        torch.manual_seed(0)
        yield


@dataclass
class HubSource(PublishedWeights):
    """Where code and weights come from.

    Attributes:
        source: `github` (torch.hub's cache, downloaded once) or `local` (a checkout).
        repo_dir: the checkout, for `source=local`.
        revision: commit of the repository, for `source=github`.
    """

    checkpoint: str | None = None
    sha256: str | None = None
    weights: str = "checkpoint"
    source: str = "github"
    repo_dir: str | None = None
    revision: str = REVISION

    def __post_init__(self) -> None:
        check_options(
            f"tracker {self.name}", self, source=("github", "local"), weights=("checkpoint", "random")
        )

    def _load(self) -> Any:
        """Return the predictor with its weights.

        Raises:
            MissingAsset: code or weights are absent.
            UserError: hash or contents of the weights are wrong, or other code is already imported.
        """
        self._weights_hash()
        with random_state_kept():
            predictor = self._hub_load()
        if self.weights == "checkpoint":
            self._load_weights(
                lambda stored: predictor.model.load_state_dict(stored.get("model", stored)),
                "is not a checkpoint of this model",
            )
        return predictor

    def _manual(self) -> str:
        return f"or pass tracker.source=local tracker.repo_dir=DIR with a checkout of {REPOSITORY} at {self.revision}"

    def _repo(self) -> Path | None:
        """Return the folder that holds the code, or None when torch.hub has yet to download it."""
        if self.source == "local":
            folder = Path(self.repo_dir or "").expanduser().resolve()
            if not self.repo_dir or not (folder / "hubconf.py").is_file():
                raise MissingAsset(
                    f"tracker {self.name}: repo_dir={self.repo_dir!r} holds no hubconf.py; "
                    f"pass tracker.repo_dir=DIR with a checkout of {REPOSITORY} at {self.revision}"
                )
            return folder
        cached = Path(torch.hub.get_dir()) / f"{REPOSITORY.replace('/', '_')}_{self.revision}"
        return cached if (cached / "hubconf.py").is_file() else None

    def _code(self) -> str:
        folder = self._repo() if self.source == "local" else None
        if folder is None:
            return self.revision
        found = code_hash(folder)
        # a checkout of the pinned commit and torch.hub's copy of it are the same tracker
        return REVISION if found == CODE_SHA256 else f"sha256:{found}"

    def _hub_load(self) -> Any:
        folder = self._repo()
        if folder is None:
            if assets.offline():
                raise MissingAsset(
                    f"tracker {self.name}: {REPOSITORY} is not in torch.hub's cache and TORAEVAL_OFFLINE "
                    f"forbids the download; unset it, {self._manual()}"
                )
            try:
                predictor = self._entry(
                    # the fork check lists branches and tags only, so it refuses a commit
                    f"{REPOSITORY}:{self.revision}",
                    trust_repo=True,
                    skip_validation=True,
                )
            except OSError as error:  # urllib errors are OSErrors
                raise MissingAsset(
                    f"tracker {self.name}: {REPOSITORY} could not be downloaded ({error}); try again, {self._manual()}"
                ) from error
        else:
            predictor = self._entry(str(folder), source="local")
        self._check_code()
        return predictor

    def _entry(self, repo: str, **options: Any) -> Any:
        load: Any = torch.hub.load
        return load(repo, self.name, verbose=False, pretrained=False, **options)

    def _check_code(self) -> None:
        folder = self._repo()
        if folder is None:
            return
        if (
            self.source == "github"
            and self.revision == REVISION
            and (found := code_hash(folder)) != CODE_SHA256
        ):
            raise UserError(
                f"tracker {self.name}: {folder} has code hash {found}, expected {CODE_SHA256}; delete that folder"
            )
        module = sys.modules.get("cotracker")
        origin = getattr(module, "__file__", None)
        if origin is not None and folder.resolve() not in Path(origin).resolve().parents:
            raise UserError(
                f"tracker {self.name}: another cotracker is already imported from {origin}; "
                f"allowed: {folder} only; uninstall the other one or run in a fresh process"
            )
