"""One clip against its paths by one call, with the numbers that `score` gives.

Shape legend: T frames.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toraeval import geometry, registry
from toraeval.api.clips import as_trajectories, as_video, case_of
from toraeval.api.tracking import TrackerChoice, build_tracker
from toraeval.config import default_metrics
from toraeval.config.verbs import COMPARING
from toraeval.inputs import own_paths
from toraeval.metrics.shared.base import Metric
from toraeval.metrics.shared.reference import share_reference
from toraeval.run.own_videos import ALIGNMENTS, aligned
from toraeval.run.parts import Builder
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.trackers.shared.base import follow
from toraeval.trajectories import ClipFacts, PathReading
from toraeval.types import FloatArray, Score, Tracks, Trajectories, UserError, Video, counted

MetricChoice = str | Iterable[str] | Mapping[str, Mapping[str, Any]]
"""A registered name, several, or name -> options."""


@dataclass(frozen=True, repr=False)
class ClipScores:
    """What was measured of one clip; `scores["traj_error"]` and the like read `values`.

    Attributes:
        values: every value by its column; what could not be computed is absent, never 0.
        main: the columns that tables show -> unit.
        skipped: metric -> why it has no value.
        error_T: TrajError in each frame, pixels, NaN where no point counts; empty without `traj_error`.
        tracks: where the tracker saw the points.
        target: where they should be, in pixels of the clip, one moment a frame.
        details: metric -> its `Score` with all arrays.
        notes: what was assumed in reading the clip and the paths.
    """

    values: dict[str, float]
    main: dict[str, str]
    skipped: dict[str, str]
    error_T: FloatArray
    tracks: Tracks
    target: Trajectories
    details: dict[str, Score]
    notes: tuple[str, ...]

    def __getitem__(self, column: str) -> float:
        """Return one value.

        Raises:
            UserError: there is none of this name.
        """
        if column not in self.values:
            why = self.skipped.get(column)
            raise UserError(
                f"{column} has no value: {why}" if why else registry.unknown("value", column, self.values)
            )
        return self.values[column]

    def __repr__(self) -> str:
        width, height = self.target.canvas
        objects, frames = counted(self.target.num_objects, "path"), counted(self.target.num_frames, "frame")
        head = f"ClipScores: {objects}, {frames} of {width}x{height}"
        wide = max(map(len, (*self.main, *self.skipped)), default=0)
        lines = [
            f"  {name:<{wide}}  {self.values[name]:.4g} {unit}".rstrip() for name, unit in self.main.items()
        ]
        lines += [f"  {name:<{wide}}  skipped: {why}" for name, why in self.skipped.items()]
        return "\n".join([head, *lines, *(f"  note: {note}" for note in self.notes)])


def evaluate(
    video: Any,
    path: Any,
    *,
    tracker: TrackerChoice = "lucas_kanade",
    metrics: MetricChoice | None = None,
    reference: Any = None,
    prompt: str = "",
    align: str = "resample",
    reading: PathReading | None = None,
) -> ClipScores:
    """Track one clip and score it against its paths, as `python -m toraeval score` does; nothing is written.

    Args:
        video: a `Video`, a file, a folder of pictures, or uint8 RGB (T, 3, H, W) or (T, H, W, 3), NumPy or torch.
        path: a file in any format that is read, `Trajectories`, or `(x, y)` pixels of the video, (N, T, 2) or (T, 2).
        tracker: a name of `list trackers`, options with `name` among them, or a tracker.
        metrics: a name of `list metrics`, several, or name -> options; by default those of `score`, with a reference
            also those that compare single clips.
        reference: the real or expected clip, of the same size and length, as `video`.
        prompt: caption for CLIPSIM; by default that of the path file, if it has one.
        align: a path of another length than the clip: `resample` it, or `cut`: point k belongs to frame k.
        reading: how an ambiguous path file is read: canvas, format, layout, units.

    Raises:
        UserError: input that cannot be read or does not fit, an unknown name, or a metric of whole sets.
        MissingAsset: weights or packages are absent.
    """
    if align not in ALIGNMENTS:
        raise UserError(registry.unknown("value of align", align, ALIGNMENTS))
    clip = as_video(video)
    given, said = _paths(video, clip, path, reading or PathReading())
    size = (clip.width, clip.height)
    target, how = aligned(geometry.to_canvas(given, *size), clip.num_frames, align)
    if target.num_frames < clip.num_frames:
        clip = replace(clip, frames_TCHW=clip.frames_TCHW[: target.num_frames])
    truth = None if reference is None else as_video(reference, "reference")
    if truth is not None:
        truth = replace(truth, frames_TCHW=truth.frames_TCHW[: clip.num_frames])
    chosen = _metrics(metrics, truth is not None)
    case = share_reference(case_of(clip, target, prompt or said, truth))
    tracks = follow(build_tracker(tracker), case, clip)
    details = {name: metric.score(case, tracks, clip) for name, metric in chosen.items()}
    length = (
        ""
        if how == "exact"
        else f"path of {counted(given.num_frames, 'point')} {how} for {counted(target.num_frames, 'frame')}"
    )
    values = {column: value for found in details.values() for column, value in found.values.items()}
    return ClipScores(
        values=values,
        main={c: m.units for m in chosen.values() for c in m.main_columns if c in values},
        skipped={name: found.skipped for name, found in details.items() if found.skipped},
        error_T=np.asarray(details[MAIN_METRIC].arrays.get("error_T", ()) if MAIN_METRIC in details else ()),
        tracks=tracks,
        target=target,
        details=details,
        notes=tuple(filter(None, (*clip.info.get("reading", ()), *given.notes, length))),
    )


def _paths(video: Any, clip: Video, path: Any, reading: PathReading) -> tuple[Trajectories, str]:
    """Return the paths and the prompt that their file gives, empty without one."""
    size = (clip.width, clip.height)
    if not isinstance(path, str | os.PathLike):
        return as_trajectories(path, size), ""
    name = Path(video).stem if isinstance(video, str | os.PathLike) else "video"
    found = own_paths.match([name], str(path)).pairs[name]
    prompt = found.native.prompt if found.native else ""
    return found.read(reading, ClipFacts(size, clip.num_frames, name)), prompt


def _metrics(chosen: MetricChoice | None, compared: bool) -> dict[str, Metric]:
    """Return the metrics of a choice.

    Raises:
        UserError: one that needs a set of clips was asked for by name.
    """
    options: dict[str, Mapping[str, Any]]
    if isinstance(chosen, Mapping):
        options = dict(chosen)
    elif chosen is not None:
        options = {name: {} for name in ([chosen] if isinstance(chosen, str) else chosen)}
    else:
        options = {name: {} for name in default_metrics("score")}
        options |= COMPARING if compared else {}
    builder = Builder()
    built = {name: builder.build("metric", {"name": name, **given}) for name, given in options.items()}
    of_set = [name for name, metric in built.items() if metric.of_set]
    if of_set and chosen is not None:
        raise UserError(
            f"evaluate: {', '.join(of_set)} belongs to a set of clips, not to one; use toraeval.FVDMetric, or: "
            "python -m toraeval score videos=DIR trajectories=FILE references=DIR"
        )
    return {name: metric for name, metric in built.items() if not metric.of_set}
