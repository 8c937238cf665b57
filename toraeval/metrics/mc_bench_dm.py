"""Co-tracker_DM: the distance that MC-Bench reports, with and without the error of its published script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
import numpy.typing as npt

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.expectations import ERROR
from toraeval.metrics.shared.paths import V1, Paths, ReadingMetric
from toraeval.metrics.shared.readings import Reading
from toraeval.types import Case, FloatArray, UserError

BLOCK, CENTRE = 8, 36
"""Side of the block of points around a start that the script tracks, and which of its 64 points is compared."""

EVERY = replace(V1, distance="l2", visible="any", inside=False, needs_query=False, pooling="points")


class MCBenchDM(ReadingMetric):
    """Co-tracker_DM: mean Euclidean distance between drawn and tracked path.

    With target g and tracked point p of every drag n, over the frames t after the first:

        mc_bench_dm = mean over videos of mean over (n, t) of sqrt((p_x - g_x)^2 + (p_y - g_y)^2)

    Lower is better; range 0 (perfect) and more; pixels of the scored video. Visibility does not matter: hidden and
    outside points count like all others. The authors track by CoTracker3 offline (`tracker=cotracker3_offline`) the 8x8
    points around every start and compare the one at the start. A frozen video scores the mean distance of the path
    from its start.
    Source: HiDream-ai/MotionPro@347097c, `tools/eval_co_tracker_acc.py`.
    """

    name = "mc_bench_dm"
    version = "1"
    direction = "lower"
    units = "px"
    value_range = "0 and more"
    formula = "mean_video mean_(drag, frame > 0) |p - g|_2, p tracked, g target"
    pooling = "all points of a case, then cases, with equal weight"
    excluded = ("frame 0, the query frame",)
    readings: Mapping[str, Reading] = {"mc_bench_dm": EVERY}
    details = {"readings": {"mc_bench_dm": asdict(EVERY)}}
    columns = {"mc_bench_dm": "mean Euclidean distance over all points after frame 0"}
    source = "HiDream-ai/MotionPro@347097c, tools/eval_co_tracker_acc.py"
    expected = {"mc_bench_dm": ERROR}


class MCBenchDMPublished(MCBenchDM):
    """Co-tracker_DM as the published script computes it, where that is the same number.

    The script cuts the block of points around a start at the left and upper border, but still takes every 64th point
    of the list. Where a drag starts at x < 4 or y < 4, it therefore compares this drag and all later ones of the
    case with points that lie elsewhere; such cases are skipped here with the points that it would take, see
    `compared_points`. All other cases have the value of `mc_bench_dm`: lower is better, range 0 and more, pixels; a
    frozen video scores the mean distance of the path from its start.
    Source: HiDream-ai/MotionPro@347097c, `tools/eval_co_tracker_acc.py`.
    """

    name = "mc_bench_dm_published"
    readings: Mapping[str, Reading] = {"mc_bench_dm_published": EVERY}
    details = {"readings": {"mc_bench_dm_published": asdict(EVERY)}}
    columns = {
        "mc_bench_dm_published": "mc_bench_dm of cases without a drag that starts near the left or upper border"
    }
    expected = {"mc_bench_dm_published": ERROR}

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return the value, or which points the script compares instead."""
        starts = paths.target_NT2[:, 0]
        compared = compared_points(starts)
        if len(compared) == len(starts) and (compared == starts.astype(int)).all():
            return super().measure(case, paths)
        listed = ", ".join(f"({x}, {y})" for x, y in compared)
        return f"the published script would compare the drags with the points {listed}, not with their starts"


def compared_points(starts_N2: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the points (M, 2) that the published script tracks and compares, M at most N.

    Args:
        starts_N2: `(x, y)` pixels of every drag in frame 0.
    """
    return _queries(starts_N2)[CENTRE :: BLOCK**2]


def block_distance(tracks_QT2: npt.ArrayLike, target_NT2: npt.ArrayLike, published: bool = True) -> float:
    """Return Co-tracker_DM of one video from the tracks of all the points that the script tracks.

    Args:
        tracks_QT2: tracks of the points around every start, in the script's order, pixels.
        target_NT2: drags, pixels; frame 0 is the start.
        published: take every 64th point as the script does; otherwise the one at each start.

    Raises:
        UserError: another number of tracks than the starts give, or fewer compared points than drags, where the
            script ends with an error.
    """
    tracks, target = np.asarray(tracks_QT2, np.float64), np.asarray(target_NT2, np.float64)
    queries = _queries(target[:, 0])
    if len(tracks) != len(queries):
        raise UserError(
            f"mc_bench_dm: {len(tracks)} tracks; the blocks around these starts have {len(queries)}"
        )
    if published:
        chosen: FloatArray = tracks[CENTRE :: BLOCK**2]
        if len(chosen) < len(target):
            raise UserError(
                f"mc_bench_dm: {len(chosen)} compared points for {len(target)} drags; the published script ends with "
                "an error here, because blocks at the border are cut"
            )
    else:
        whole = target[:, 0].astype(int)
        places = [int(np.flatnonzero((queries == start).all(axis=1))[0]) for start in whole]
        chosen = tracks[places]
    return float(np.linalg.norm(chosen[: len(target), 1:] - target[:, 1:], axis=-1).mean())


def _queries(starts_N2: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the points (Q, 2) around every start, x outside, y inside, cut at 0."""
    points: list[tuple[int, int]] = []
    for x, y in np.asarray(starts_N2).astype(int):
        columns, rows = (range(max(v - BLOCK // 2, 0), v + BLOCK // 2) for v in (x, y))
        points += [(column, row) for column in columns for row in rows]
    return np.array(points, dtype=np.int64)
