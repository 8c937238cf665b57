"""Features of single frames in a classifier of photographs, computed once per picture however many metrics ask.

Legend of the shape suffixes: T frames, C channels, H height, W width, D features, K classes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toraeval.machine import one_thread
from toraeval.metrics.shared.frames import CHUNK, in_chunks
from toraeval.metrics.shared.networks import efficientnet
from toraeval.metrics.shared.reference import Numbers, reference_features, reference_frames, spread_frames
from toraeval.types import ByteArray, Case, FloatArray, Video

BACKBONES = (efficientnet.NAME,)
GROUP = 20
LATER_RULE = "at most {max_frames}, evenly spread after frame 0 up to the last"
QUIET = 0.001  # features change by 0.05 to 0.2 between frames of real clips; keeps the logarithm of 0 finite
CAPACITY = 4096  # pictures whose features are remembered, 10 kB each

_remembered: OrderedDict[tuple[str, bytes], FloatArray] = OrderedDict()
_networks: dict[tuple[str, str], efficientnet.EfficientNetLite0] = {}


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
    def network(self) -> efficientnet.EfficientNetLite0:
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
        sha256 = self.identity["weights_sha256"] + self._device
        # channels last, as clips lie in memory, so that nothing is copied
        digests = [
            hashlib.sha256(np.ascontiguousarray(f.transpose(1, 2, 0)).data).digest() for f in frames_TCHW
        ]
        shape = repr(frames_TCHW.shape[1:])
        keys = [(sha256 + shape, digest) for digest in digests]
        known = {key: _remembered[key] for key in keys if key in _remembered}
        fresh = {key: t for t, key in enumerate(keys) if key not in known}
        for at in range(0, len(fresh), CHUNK):
            chunk = list(fresh)[at : at + CHUNK]
            known.update(zip(chunk, self._computed(frames_TCHW[[fresh[key] for key in chunk]]), strict=True))
        for key in known:
            _remembered[key] = known[key]
            _remembered.move_to_end(key)
        while len(_remembered) > CAPACITY:
            _remembered.popitem(last=False)
        return np.stack([known[key] for key in keys])

    def of_frames(self, video: Video, chosen_K: Numbers) -> FloatArray:
        """Return float64 (K, 1280) features of some frames of a clip."""
        return self(video.thwc[chosen_K].transpose(0, 3, 1, 2))

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

    def _computed(self, frames_TCHW: ByteArray) -> FloatArray:
        with one_thread(), torch.inference_mode():
            (chunk, count), *_ = in_chunks(efficientnet.PREPARE(frames_TCHW))
            features = self.network.features(chunk.to(self._device))[:count]
        return np.asarray(features.double().cpu().numpy())

    def probabilities(self, features_TD: FloatArray) -> FloatArray:
        """Return float64 (T, 1000): the probability of every ImageNet class, from features of frames."""
        layer = self.network.fc
        logits = features_TD @ layer.weight.double().cpu().numpy().T + layer.bias.double().cpu().numpy()
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


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
