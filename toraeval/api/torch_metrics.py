"""TrajError, FVD, CLIPSIM and LPIPS as `torchmetrics.Metric`: for training loops, `MetricCollection`, many processes.

Each one asks the benchmark's own metric of the same name, so that the numbers are the same; what is kept between
`update` and `compute` are float64 sums, or features, which processes exchange.

Shape legend: B clips, N objects, T frames, C channels, H height, W width, D features.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from toraeval.api.clips import as_video, as_videos, case_of, pairs
from toraeval.metrics import traj_error
from toraeval.metrics.clipsim import ClipSim
from toraeval.metrics.fvd import FVD
from toraeval.metrics.lpips import LPIPS
from toraeval.metrics.shared.base import Metric as CaseMetric
from toraeval.store.keys import digest
from toraeval.types import FloatArray, Video


class MeanOverCases(Metric):
    """The mean of one number per clip, as the tables have it; a clip that cannot be scored is left out."""

    is_differentiable = False
    full_state_update = False

    def __init__(self, options: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # names of its own: a MetricCollection joins metrics whose states have equal names and, after one update, values
        self._total, self._count = (
            f"{what}_{digest(type(self).__name__, options)[:8]}" for what in ("total", "count")
        )
        for name in (self._total, self._count):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def _add(self, value: float | None) -> None:
        if value is not None and np.isfinite(value):
            setattr(self, self._total, getattr(self, self._total) + value)
            setattr(self, self._count, getattr(self, self._count) + 1)

    @property
    def cases(self) -> int:
        """Clips that entered the mean so far, in this process."""
        return int(getattr(self, self._count))

    def compute(self) -> Tensor:
        """Return the mean over all clips of all processes, float64 (); NaN where none was scored."""
        mean: Tensor = getattr(self, self._total) / getattr(self, self._count)
        return mean


class TrajErrorMetric(MeanOverCases):
    """Mean distance of tracked points from their path in pixels, the benchmark's `traj_error`; lower is better.

    Args:
        reading: a name of `toraeval.metrics.shared.readings.READINGS`.
        kwargs: of `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(self, reading: str = "traj_error_v1", **kwargs: Any) -> None:
        super().__init__({"reading": reading}, **kwargs)
        self.reading = reading

    def update(
        self,
        tracks: Any,
        target: Any,
        size: tuple[int, int],
        target_visible: Any = None,
        tracked_visible: Any = None,
    ) -> None:
        """Add one clip (N, T, 2), a batch (B, N, T, 2), or a list of clips with different numbers of objects.

        Args:
            tracks: where the points were seen, of each clip as in `toraeval.metrics.traj_error`.
            target: where they should be.
            size: `(width, height)` of all clips of this call, pixels.
            target_visible: bool, of each clip (N, T), or None.
            tracked_visible: the same of the tracker's belief.

        Raises:
            UserError: shapes that differ, or a tracked coordinate that is not finite.
        """
        clips = [_cases(tracks, 3), _cases(target, 3)]
        hidden = [None if v is None else _cases(v, 2) for v in (target_visible, tracked_visible)]
        for k, (own, asked) in enumerate(pairs("traj_error: tracks and targets", *clips)):
            visible, seen = (None if v is None else v[k] for v in hidden)
            self._add(
                traj_error(
                    own, asked, size, target_visible=visible, tracked_visible=seen, reading=self.reading
                )
            )


class ClipSimMetric(MeanOverCases):
    """How well frames show their captions, the benchmark's `clipsim`; -100 to 100, higher is better.

    Args:
        backbone: `shapes` or `clip_vit_b32`.
        options: of `toraeval.metrics.clipsim.ClipSim`: `weights`, `max_frames`, `device`; others go to
            `torchmetrics.Metric`.
    """

    higher_is_better = True

    def __init__(self, backbone: str = "shapes", **options: Any) -> None:
        own = _split(options, "weights", "max_frames", "device")
        super().__init__({"backbone": backbone, **own}, **options)
        self.metric = ClipSim(backbone, **own)

    def update(self, video: Any, prompt: str | Sequence[str]) -> None:
        """Add clips, uint8 (B, T, 3, H, W), one clip without B, or a list, with a caption for each.

        Raises:
            UserError: frames that are not uint8 RGB, or not one caption for each clip.
            MissingAsset: no weights.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        for clip, caption in pairs("clipsim: clips and captions", as_videos(video), prompts):
            self._add(_main(self.metric, clip, prompt=caption))


class LPIPSMetric(MeanOverCases):
    """Perceptual distance from the reference clip, the benchmark's `lpips`: frame 0 left out; lower is better.

    Args:
        backbone: `shapes`, `alex`, `vgg` or `efficientnet_lite0`.
        options: of `toraeval.metrics.lpips.LPIPS`: `weights`, `implementation`, `max_frames`, `device`; others go to
            `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(self, backbone: str = "shapes", **options: Any) -> None:
        own = _split(options, "weights", "implementation", "max_frames", "device")
        super().__init__({"backbone": backbone, **own}, **options)
        self.metric = LPIPS(backbone, **own)

    def update(self, video: Any, reference: Any) -> None:
        """Add generated clips and the real or expected ones, each as `video` of `ClipSimMetric.update`.

        Raises:
            UserError: frames that are not uint8 RGB, or clips of different size or length.
            MissingAsset: no weights.
        """
        for clip, truth in pairs(
            "lpips: clips and references", as_videos(video), as_videos(reference, "reference")
        ):
            self._add(_main(self.metric, clip, reference=truth))


class FVDMetric(Metric):
    """Frechet video distance of all clips of all processes, the benchmark's `fvd`; lower is better.

    Every clip counts as a case of its own; the order in which clips arrive, and where, changes nothing.

    Args:
        backbone: `shapes`, `efficientnet_lite0`, `i3d` or `videomae`.
        options: of `toraeval.metrics.fvd.FVD`: `weights`, `clip_stride`, `min_videos`, `device`; others go to
            `torchmetrics.Metric`.
    """

    is_differentiable = False
    full_state_update = False
    higher_is_better = False

    def __init__(self, backbone: str = "shapes", **options: Any) -> None:
        own = _split(options, "weights", "clip_stride", "min_videos", "device")
        super().__init__(**options)
        self.metric = FVD(backbone, resamples=0, **own)
        self._states = tuple(
            f"{what}_{digest(backbone, own)[:8]}" for what in ("features", "reference_features", "clips")
        )
        for name in self._states:
            self.add_state(name, [], dist_reduce_fx="cat")
        # a process without a clip sends an empty tensor of the metric's own type; the others must send the same
        self.set_dtype(torch.float64)

    def update(self, video: Any, reference: Any) -> None:
        """Add generated clips and the real ones they are compared with, as of `LPIPSMetric.update`.

        Clips that are too short for the backbone are left out with a warning.

        Raises:
            UserError: frames that are not uint8 RGB, or clips of different size or length.
            MissingAsset: no weights.
        """
        for clip, truth in pairs(
            "fvd: clips and references", as_videos(video), as_videos(reference, "reference")
        ):
            score = self.metric.score(case_of(clip, reference=truth), None, clip)
            if score.skipped:
                warnings.warn(f"fvd: a clip is left out: {score.skipped}", stacklevel=2)
                continue
            own, true = (score.arrays[name] for name in ("features", "reference_features"))
            for name, values in zip(self._states, (own, true, np.array([len(own)])), strict=True):
                # flat, so that an empty tensor can be joined to it
                numbers = torch.as_tensor(values, dtype=torch.float64, device=self.device).reshape(-1)
                getattr(self, name).append(numbers)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Return the distance, float64 (); column -> distance for a backbone with several parts.

        Too few clips give NaN and a warning that says how many are needed.
        """
        own, true, clips = (self._numbers(name) for name in self._states)
        contributions = _contributions(own, true, clips.astype(int))
        score = self.metric.pool(contributions)
        if score.skipped:
            warnings.warn(f"fvd: {score.skipped}", stacklevel=2)
        found = {
            column: torch.tensor(score.values.get(column, np.nan), dtype=torch.float64, device=self.device)
            for column in self.metric.main_columns
        }
        return next(iter(found.values())) if len(found) == 1 else found

    def _numbers(self, name: str) -> FloatArray:
        state = getattr(self, name)
        joined = state if isinstance(state, Tensor) else dim_zero_cat(state) if state else torch.empty(0)
        return np.asarray(joined.double().cpu().numpy())


def _contributions(own: FloatArray, true: FloatArray, clips: np.ndarray) -> dict[str, dict[str, FloatArray]]:
    """Return what each video contributes, under a name that follows from its content, wherever it was seen."""
    found: dict[str, dict[str, FloatArray]] = {}
    total = int(clips.sum())
    ends = np.cumsum(clips)[:-1]
    parts = [np.split(values.reshape(total, -1), ends) for values in (own, true)] if total else [[], []]
    for features, reference in zip(*parts, strict=True):
        name = hashlib.sha256(features.tobytes() + reference.tobytes()).hexdigest()
        same = sum(known.startswith(name) for known in found)
        found[f"{name}-{same}"] = {"features": features, "reference_features": reference}
    return found


def _main(metric: CaseMetric, clip: Video, *, prompt: str = "", reference: Any = None) -> float | None:
    """Return the main value of one clip, None where there is none."""
    truth = None if reference is None else as_video(reference, "reference")
    score = metric.score(case_of(clip, prompt=prompt, reference=truth), None, clip)
    return score.values.get(metric.main_columns[0])


def _cases(values: Any, axes: int) -> list[Any]:
    """Return the clips of a batch: those of a list, along the axis before the last `axes`, or the one there is."""
    if isinstance(values, list | tuple):
        return list(values)
    return list(values) if values.ndim > axes else [values]


def _split(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Take the named options out and return them."""
    return {name: options.pop(name) for name in names if name in options}
