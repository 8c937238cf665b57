"""`cotracker3_offline` and `cotracker3_online`: CoTracker3 through torch.hub, pinned and checked.

Karaev et al., "CoTracker3: Simpler and Better Point Tracking by Pseudo-Labelling Real Videos",
arXiv 2410.11831; upstream facebookresearch/co-tracker, `hubconf.py` and `cotracker/predictor.py`,
code CC BY-NC 4.0. Nothing of it is part of this package; it is loaded from a checkout or from
torch.hub's cache. Differences to a plain `torch.hub.load`: the commit is pinned and its code
hashed, the checkpoint is hashed and loaded without unpickling objects, the caller's random state
survives the import (upstream reseeds torch), and the offline mode computes feature maps in chunks.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from toraeval import assets
from toraeval.keys import current_sha256
from toraeval.trackers.base import check_queries
from toraeval.types import FloatArray, MissingAsset, Tracks, UserError, Video

REPOSITORY = "facebookresearch/co-tracker"
REVISION = "82e02e8029753ad4ef13cf06be7f4fc5facdda4d"
CODE_SHA256 = (
    "6cf206000585921956802453294e8a1130a746ea5e4d826b3284c357c3b1adb7"  # of that revision, see `code_hash`
)
LICENCE = "code CC BY-NC 4.0 (facebookresearch/co-tracker LICENSE.md); weights: treat as non-commercial"


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
def _random_state_kept() -> Iterator[None]:
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        # upstream seeds with 0 when first imported; doing so every time makes random weights repeatable
        torch.manual_seed(0)
        yield


@dataclass
class _CoTracker3(ABC):
    """Options shared by both modes.

    Attributes:
        checkpoint: path of the published weights; None for the fetched asset of the tracker's name.
        sha256: expected hash of `checkpoint`; None only records the one found.
        weights: `checkpoint`, or `random` for tests of the wiring (tracks are meaningless then).
        source: `github` (torch.hub's cache, downloaded once) or `local` (a checkout).
        repo_dir: the checkout, for `source=local`.
        revision: commit of the repository, for `source=github`.
        device: torch device.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    visibility_rule: ClassVar[str]
    query_frame: ClassVar[str]

    checkpoint: str | None = None
    sha256: str | None = None
    weights: str = "checkpoint"
    source: str = "github"
    repo_dir: str | None = None
    revision: str = REVISION
    device: str = "cpu"
    _predictor: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for option, allowed in (("source", ("github", "local")), ("weights", ("checkpoint", "random"))):
            value = getattr(self, option)
            if value not in allowed:
                raise UserError(
                    f"tracker {self.name}: {option}={value!r} is unknown; allowed: {', '.join(allowed)}"
                )

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, code revision, weights hash and rules; no path, chunk size or device.

        Raises:
            MissingAsset: code or weights are absent.
            UserError: the weights have another hash than asked for.
        """
        return {
            "name": self.name,
            "version": self.version,
            "code": self._code(),
            "weights_sha256": self._weights_hash(),
            "visibility_rule": self.visibility_rule,
            "query_frame": self.query_frame,
        }

    def prepare(self) -> None:
        """Load code and weights; `track` does so by itself.

        Raises:
            MissingAsset: code or weights are absent.
            UserError: hash or contents of the weights are wrong, or other code is already imported.
        """
        if self._predictor is not None:
            return
        self._weights_hash()
        with _random_state_kept():
            predictor = self._hub_load()
        if self.weights == "checkpoint":
            self._load_weights(predictor)
        self._limit_memory(predictor.model)
        self._predictor = predictor.to(self.device).eval()

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Follow points jointly: adding or removing points changes the others slightly.

        Args:
            video: uint8 RGB frames; upstream resizes them to 384x512 inside, whatever their size.
            queries_N2: `(x, y)` pixels of frame 0.

        Returns:
            Tracks in pixels of the video; confidence is not available.

        Raises:
            UserError: a query outside the frame, or a clip that the mode cannot track.
            MissingAsset: code or weights are absent.
        """
        queries = check_queries(video, queries_N2)
        self._check_clip(video)
        self.prepare()
        # upstream reads (frame, x, y) in float32 and RGB in 0..255
        timed = np.concatenate([np.zeros((len(queries), 1)), queries], axis=1)
        queries_1N3 = torch.from_numpy(timed.astype(np.float32))[None].to(self.device)
        frames = np.ascontiguousarray(video.frames_TCHW)
        clip_1TCHW = torch.from_numpy(frames)[None].to(self.device, torch.float32)
        with torch.no_grad(), _random_state_kept():
            tracks, visible = self._predict(clip_1TCHW, queries_1N3)
        tracks_NT2: FloatArray = tracks[0].permute(1, 0, 2).cpu().numpy().astype(np.float64)
        visible_NT = visible[0].permute(1, 0).cpu().numpy().astype(bool)
        return Tracks(tracks_NT2, visible_NT, None, self._info())

    def _info(self) -> dict[str, Any]:
        options = {k: v for k, v in asdict(self).items() if not k.startswith("_")}
        return {
            **options,
            **self.fingerprint(),
            "licence": LICENCE,
            "repository": REPOSITORY,
            "internal_size": "384x512, bilinear, corners to corners",
            "torch": torch.__version__,
        }

    def _check_clip(self, video: Video) -> None:
        if min(video.height, video.width) < 2:
            raise UserError(
                f"tracker {self.name}: {video.width}x{video.height} is too small; at least 2x2 pixels"
            )

    @abstractmethod
    def _predict(
        self, clip_1TCHW: torch.Tensor, queries_1N3: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tracks [1,T,N,2] and visibility [1,T,N] of one clip in this mode."""

    def _limit_memory(self, model: Any) -> None:  # noqa: B027 - a hook that one mode uses
        """Hook for modes whose memory grows with the clip."""

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

    def _weights_hash(self) -> str:
        if self.weights == "random":
            return "random"
        path = self._weights_path()
        found = current_sha256(path)
        if self.sha256 is not None and found != self.sha256.lower():
            raise UserError(
                f"tracker {self.name}: {path} has SHA-256 {found}, expected {self.sha256}; "
                f"run: {assets.fetch_command(self.name)}"
            )
        return found

    def _weights_path(self) -> Path:
        if self.checkpoint is None:
            return assets.path(self.name)
        path = Path(self.checkpoint).expanduser().resolve()
        if not path.is_file():
            raise MissingAsset(
                f"tracker {self.name}: checkpoint {path} is absent; pass tracker.checkpoint=FILE "
                f"or run: {assets.fetch_command(self.name)}"
            )
        return path

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

    def _load_weights(self, predictor: Any) -> None:
        path = self._weights_path()
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("model", state)
            predictor.model.load_state_dict(state)
        except Exception as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise UserError(
                f"tracker {self.name}: {path} is no checkpoint of this model ({reason}); "
                f"run: {assets.fetch_command(self.name)}"
            ) from error


@dataclass
class CoTracker3Offline(_CoTracker3):
    """CoTracker3 that sees the whole clip at once; trained on windows of 60 frames.

    Visible means sigmoid(visibility) > 0.9, the confidence output is ignored; the prediction in
    the query frame is overwritten with the query; a 6x6 support grid is tracked along.

    Attributes:
        chunk_frames: frames per pass of the feature network; memory only, results are bit-identical.
    """

    name: ClassVar[str] = "cotracker3_offline"
    visibility_rule: ClassVar[str] = "sigmoid(visibility) > 0.9"
    query_frame: ClassVar[str] = "overwritten with the query"

    chunk_frames: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chunk_frames < 1:
            raise UserError(f"tracker {self.name}: chunk_frames={self.chunk_frames} must be at least 1")

    def _limit_memory(self, model: Any) -> None:
        # The predictor never sets this argument: 200 frames at once cost 88 MB each. The online model
        # must be left alone: it pads a short last window, which its own chunking then forgets.
        model.forward = functools.partial(model.forward, fmaps_chunk_size=self.chunk_frames)

    def _predict(
        self, clip_1TCHW: torch.Tensor, queries_1N3: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tracks, visible = self._predictor(clip_1TCHW, queries=queries_1N3)
        return tracks, visible


@dataclass
class CoTracker3Online(_CoTracker3):
    """CoTracker3 in causal windows of 16 frames, 8 apart; memory does not grow with the clip.

    Visible means sigmoid(visibility) * sigmoid(confidence) > 0.6; the query frame keeps the
    prediction, which differs from the query; no support grid unless asked for. Its numbers must
    not share a column with the offline ones.

    Attributes:
        support_grid: track a 6x6 grid along, as the offline mode always does.
    """

    name: ClassVar[str] = "cotracker3_online"
    visibility_rule: ClassVar[str] = "sigmoid(visibility) * sigmoid(confidence) > 0.6"
    query_frame: ClassVar[str] = "predicted"

    support_grid: bool = False

    def fingerprint(self) -> dict[str, Any]:
        """Return what the offline mode does, and whether a support grid is tracked along."""
        return {**super().fingerprint(), "support_grid": self.support_grid}

    def _check_clip(self, video: Video) -> None:
        super()._check_clip(video)
        if video.num_frames <= 8:
            raise UserError(
                f"tracker {self.name}: {video.num_frames} frames are too few; at least 9, "
                f"or use tracker=cotracker3_offline"
            )

    def _predict(
        self, clip_1TCHW: torch.Tensor, queries_1N3: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        grid, step = self.support_grid, self._predictor.step
        # without this call the new clip would be appended to the one before
        self._predictor(
            video_chunk=clip_1TCHW[:, : 2 * step],
            is_first_step=True,
            queries=queries_1N3,
            add_support_grid=grid,
        )
        for start in range(0, clip_1TCHW.shape[1] - step, step):
            chunk = clip_1TCHW[:, start : start + 2 * step]
            tracks, visible = self._predictor(video_chunk=chunk, add_support_grid=grid)
        return tracks, visible
