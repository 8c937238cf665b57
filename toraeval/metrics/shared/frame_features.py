"""Features of single frames in a classifier of photographs, computed once per picture however many metrics ask.

Legend of the shape suffixes: T frames, C channels, H height, W width, D features, K classes.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from toraeval.machine import one_thread
from toraeval.metrics.shared.frames import CHUNK, OfLatest
from toraeval.metrics.shared.networks import efficientnet
from toraeval.metrics.shared.reference import Numbers, reference_features, reference_frames, spread_frames
from toraeval.types import ByteArray, Case, FloatArray, Video

if TYPE_CHECKING:
    from torch import Tensor

    from toraeval.metrics.shared.networks.efficientnet_layers import EfficientNetLite0

BACKBONES = (efficientnet.NAME,)
GROUP = 20
LATER_RULE = "at most {max_frames}, evenly spread after frame 0 up to the last"
QUIET = 0.001  # features change by 0.05 to 0.2 between frames of real clips; keeps the logarithm of 0 finite
CAPACITY, MAPS = 4096, 32  # pictures whose features, 10 kB each, and maps, 1.4 MB each, are remembered

Maps = tuple["Tensor", ...]
V = TypeVar("V")
Known = tuple[str, bytes]


class Memory(Generic[V]):
    """What is known of the pictures that were asked for last; threads may ask at once.

    Args:
        capacity: pictures at most.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity, self._lock = capacity, threading.Lock()
        self._held: OrderedDict[Known, V] = OrderedDict()

    def known(self, keys: Iterable[Known]) -> dict[Known, V]:
        """Return what is known of these pictures."""
        with self._lock:
            found = {key: self._held[key] for key in keys if key in self._held}
            for key in found:
                self._held.move_to_end(key)
        return found

    def add(self, found: Mapping[Known, V]) -> None:
        """Remember pictures, in place of those that were not asked for for the longest time."""
        with self._lock:
            self._held.update(found)
            while len(self._held) > self._capacity:
                self._held.popitem(last=False)


_features: Memory[FloatArray] = Memory(CAPACITY)
_maps: Memory[Maps] = Memory(MAPS)
_digests: OfLatest[int, bytes] = OfLatest()
_networks: dict[tuple[str, str], EfficientNetLite0] = {}


class FrameFeatures:
    """EfficientNet-Lite0 on frames; the network is loaded when it is first needed and shared within a process.

    Args:
        weights: the user's own weight file, None for the package's.
        device: `cpu` or `cuda`.
    """

    def __init__(self, weights: str | None = None, device: str = "cpu") -> None:
        self._file = Path(weights).expanduser() if weights else None
        self._device = device

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Name and hash of the weights.

        Raises:
            MissingAsset: no weights.
            UserError: the package holds another file than the known one.
        """
        return dict(efficientnet.fingerprint(self._file))

    @property
    def network(self) -> EfficientNetLite0:
        """The network with its weights."""
        key = (self.identity["weights_sha256"], self._device)
        if key not in _networks:
            _networks[key] = efficientnet.load(self._file, self._device)
        return _networks[key]

    def __call__(self, frames_TCHW: ByteArray) -> FloatArray:
        """Return float64 (T, 1280) features of uint8 RGB frames; equal frames are computed once.

        Raises:
            MissingAsset: no weights.
            UserError: a damaged or wrong file.
        """
        found: list[FloatArray] = self._found(_features, list(frames_TCHW), map(digest_of, frames_TCHW))
        return np.stack(found)

    def of_frames(self, video: Video, chosen_K: Numbers) -> FloatArray:
        """Return float64 (K, 1280) features of some frames of a clip."""
        found: list[FloatArray] = self._found(_features, *_of_clip(video, chosen_K))
        return np.stack(found)

    def maps(self, frames_TCHW: ByteArray) -> list[Tensor]:
        """Return the five scales (T, C, H, W) of uint8 RGB frames, 1.4 MB each, see `EfficientNetLite0.seen`."""
        return _stacked(self._found(_maps, list(frames_TCHW), map(digest_of, frames_TCHW)))

    def maps_of_frames(self, video: Video, chosen_K: Numbers) -> list[Tensor]:
        """Return the same of some frames of a clip."""
        return _stacked(self._found(_maps, *_of_clip(video, chosen_K)))

    def of_reference(self, metric: str, case: Case, chosen_K: Numbers, cache: Path | None) -> FloatArray:
        """Return the same of the reference clip of a case that has one.

        Raises:
            MissingAsset: no weights.
            UserError: the clip has another length or size than the case.
        """
        identity = ("frames", (self.identity, asdict(efficientnet.PREPARE), [int(t) for t in chosen_K]))

        def features() -> FloatArray:
            return self(reference_frames(metric, case, chosen_K).transpose(0, 3, 1, 2))

        return reference_features(case, cache, identity, features)

    def _found(self, memory: Memory[V], frames: Sequence[ByteArray], digests: Iterable[bytes]) -> list[V]:
        """Return what a memory holds, or is given now, of each of these frames."""
        prefix = f"{self.identity['weights_sha256']}{self._device}{frames[0].shape}"
        keys = [(prefix, digest) for digest in digests]
        known = memory.known(keys)
        fresh = {key: t for t, key in enumerate(keys) if key not in known}
        for at in range(0, len(fresh), CHUNK):
            chunk = list(fresh)[at : at + CHUNK]
            maps, features = self._computed(np.stack([frames[fresh[key]] for key in chunk]))
            _maps.add(dict(zip(chunk, maps, strict=True)))
            _features.add(dict(zip(chunk, features, strict=True)))
            asked: Any = maps if memory is _maps else features
            known |= zip(chunk, asked, strict=True)
        return [known[key] for key in keys]

    def _computed(self, frames_TCHW: ByteArray) -> tuple[list[Maps], FloatArray]:
        import torch

        with one_thread(), torch.inference_mode():
            maps, features = self.network.seen(efficientnet.PREPARE(frames_TCHW).to(self._device))
        return list(zip(*maps, strict=True)), np.asarray(features.double().cpu().numpy())

    def probabilities(self, features_TD: FloatArray) -> FloatArray:
        """Return float64 (T, 1000): the probability of every ImageNet class, from features of frames."""
        layer = self.network.fc
        logits = features_TD @ layer.weight.double().cpu().numpy().T + layer.bias.double().cpu().numpy()
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def digest_of(frame_CHW: ByteArray) -> bytes:
    """Return the SHA-256 of a picture's pixels."""
    # channels last, as clips lie in memory, so that nothing is copied
    return hashlib.sha256(np.ascontiguousarray(frame_CHW.transpose(1, 2, 0)).data).digest()


def _of_clip(video: Video, chosen_K: Numbers) -> tuple[list[ByteArray], list[bytes]]:
    """Return some frames of a clip and their hashes, which are computed once."""
    known, frames = _digests(video), [video.frames_TCHW[t] for t in chosen_K]
    for t, frame in zip(map(int, chosen_K), frames, strict=True):
        if t not in known:
            known[t] = digest_of(frame)
    return frames, [known[int(t)] for t in chosen_K]


def _stacked(maps: Sequence[Maps]) -> list[Tensor]:
    import torch

    return [torch.stack(scale) for scale in zip(*maps, strict=True)]


def later_frames(frames: int, at_most: int) -> Numbers:
    """Return at most `at_most` frame numbers after frame 0, evenly spread from it to the last one.

    With 15 of them these are the frames that the temporal part of `fvd` looks at, computed once for both.
    """
    return spread_frames(0, frames, at_most + 1)[1:]


def changes(features_TD: FloatArray) -> FloatArray:
    """Return float64 (2 D / 20,): how fast features change from frame to frame, and how far they spread over the clip.

    Both are means over groups of 20 neighbouring features, because a single one may not react at all, and logarithms,
    so that half the speed is as far away as double the speed and what stands still is the farthest.

    Args:
        features_TD: features of at least two frames, D a multiple of 20.
    """
    step_D = np.abs(np.diff(features_TD, axis=0)).mean(0)
    both = np.concatenate([step_D, features_TD.std(0)]).reshape(-1, GROUP).mean(1)
    return np.asarray(np.log(both + QUIET))
