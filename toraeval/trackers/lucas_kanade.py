"""`lucas_kanade`: the embedded tracker, optical flow that is re-anchored to frame 0 in every frame.

Frame-to-frame flow drifts and jumps to whatever covers the object; here it only says where to
look. What decides is the look of the point in frame 0, found again by colour correlation and
refined by robust alignment:

1. Flow: pyramidal Lucas-Kanade (Bouguet 2001; OpenCV) on corners of the object that were seen
   in the frame before, forward and back, median of the points that return.
2. Anchor: the frame-0 template is correlated around the place the flow (or, without flow, the
   last velocity) expects, and every peak is refined to sub-pixel precision.
3. State: a place is `found` when colours and structure both agree well enough, else the point is
   `lost` and keeps its place. A lost point is looked for in a growing window and, for whole
   objects, over the frame at low resolution; farther places must agree better.
4. The template's picture is never updated: what was there in frame 0 is what is measured. Only
   a gain and a bias per colour channel follow the found object, slowly and within limits, and
   the template grows and turns with it where that fits clearly better.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toraeval.trackers.shared.anchoring import FollowedPoint
from toraeval.trackers.shared.base import Tracker, check_queries
from toraeval.trackers.shared.frame_view import FrameView
from toraeval.trackers.shared.template import Floats, build_template, find_support
from toraeval.trackers.shared.turning import Turning
from toraeval.types import BoolArray, ByteArray, FloatArray, Tracks, Video

_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03)


@dataclass(frozen=True)
class LucasKanade(Turning, Tracker):
    """Optical flow anchored to frame 0; needs OpenCV only.

    Frame 0 holds the query itself; a frame equal to the one before repeats its result, so a
    frozen clip gives exactly the query. A point without structure in frame 0 is reported as not
    visible at its query throughout. Points are followed independently of each other.

    Attributes:
        max_radius: an object reaching farther from its query is taken for background, pixels.
        min_solidity: an area filling less of its convex hull is not an object.
        patch_radius: half side of the patch where there is no bounded object, pixels.
        flat_step: largest 8-bit Lab step between neighbours inside a flat area.
        ring_share: part of the ring around a flat area that must have one colour for it to grow.
        coarsest_side: an object is looked for over the whole frame at a quarter of the working scale where it has at
            least this side there, reduced pixels.
        template_side: longer templates are compared at reduced resolution, pixels.
        rim: surroundings taken along by the template of an object, reduced pixels.
        min_texture: smallest mean structure (see `Template.texture`) that can be followed.
        flow_window: side of the Lucas-Kanade window, pixels.
        flow_levels: pyramid levels.
        flow_points: corners that are followed, at most.
        flow_min_points: fewest corners that must survive the forward-backward check.
        flow_min_share: smallest share of the corners that must survive it.
        forward_backward_px: a corner that returns farther from its start is dropped.
        centre_px: template pixels this close to a point decide whether it is visible.
        centre_agreement: agreement (median) of these pixels from which on a found point is visible.
        velocity_memory: share of the old velocity in the running mean.
        coast: factor on the velocity per lost frame, for the expected place.
        fill_gaps: place points that were lost and found again on the straight line between.
    """

    name = "lucas_kanade"
    version = "3"

    max_radius: int = 84
    min_solidity: float = 0.85
    patch_radius: int = 10
    flat_step: int = 5
    ring_share: float = 0.6
    coarsest_side: int = 8
    template_side: int = 80
    rim: int = 2
    min_texture: float = 0.5
    flow_window: int = 21
    flow_levels: int = 3
    flow_points: int = 40
    flow_min_points: int = 4
    flow_min_share: float = 0.25
    forward_backward_px: float = 1.0
    centre_px: int = 4
    centre_agreement: float = 0.1
    velocity_memory: float = 0.5
    coast: float = 0.9
    fill_gaps: bool = True

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version and every option."""
        return {"name": self.name, "version": self.version, **asdict(self)}

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Follow points through a clip.

        Args:
            video: uint8 RGB frames.
            queries_N2: `(x, y)` pixels of frame 0.

        Returns:
            Tracks with confidence in [0, 1]: the quality of the match, halved where the object is
            found but the point itself is covered, 0 where lost.

        Raises:
            UserError: a query is not a finite point inside the frame.
        """
        queries = check_queries(video, queries_N2)
        frames = video.thwc
        view = first = FrameView(frames[0])
        points = [self._start(view, q) for q in queries]
        size = (len(points), video.num_frames)
        shifts, confidence = np.zeros((*size, 2)), np.zeros(size)
        visible, found = np.zeros(size, bool), np.zeros(size, bool)
        for t in range(video.num_frames):
            if t and not np.array_equal(frames[t], frames[t - 1]):
                before, view = view, FrameView(frames[t])
                for point, flow in zip(points, self._flows(points, before, view), strict=True):
                    if point.trackable:
                        self._advance(point, flow, view, first)
            for n, point in enumerate(points):
                shifts[n, t], visible[n, t], confidence[n, t] = point.shift, point.visible, point.confidence
                found[n, t] = point.lost_frames == 0
        if self.fill_gaps:
            _fill_gaps(shifts, found)
        kinds = ["patch" if p.coarse is None else "object" for p in points]
        info = {**self.fingerprint(), "opencv": cv2.__version__, "followed_as": kinds}
        return Tracks(queries[:, None] + shifts, visible, confidence, info)

    def _start(self, view: FrameView, query: FloatArray) -> FollowedPoint:
        support = find_support(
            view.lab(1),
            float(query[0]),
            float(query[1]),
            step=self.flat_step,
            share=self.ring_share,
            max_radius=self.max_radius,
            min_solidity=self.min_solidity,
            patch_radius=self.patch_radius,
        )
        rows, columns = (np.flatnonzero(support.mask_HW.any(axis=a)) for a in (1, 0))
        side = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
        scale = -(-side // self.template_side)
        template = build_template(view, support, scale=scale, rim=self.rim, num_points=self.flow_points)
        coarse = coarsest = None
        if support.kind == "region":
            coarse = build_template(view, support, scale=2 * scale, rim=1, num_points=0)
            if side >= 4 * scale * self.coarsest_side:
                coarsest = build_template(view, support, scale=4 * scale, rim=1, num_points=0)
        trackable = template.texture >= self.min_texture
        everywhere = np.ones(template.shape, np.float32)
        point = FollowedPoint(template, coarse, coarsest, trackable, everywhere, query)
        point.visible, point.confidence = trackable, float(trackable)
        return point

    def _advance(
        self, point: FollowedPoint, flow: FloatArray | None, view: FrameView, first: FrameView
    ) -> None:
        """Move a point to its place in the next frame, or declare it lost."""
        if point.lost_frames == 0:
            point.expected = point.shift + (point.velocity if flow is None else flow)
        fit = self.find(point, view, flow is not None)
        if fit is None:
            point.lost_frames += 1
            if point.coarse is None and point.lost_frames == 1 and not self.moves_on(point, point.expected):
                point.expected = point.shift + point.velocity  # the flow is that of what hides it
            point.visible, point.confidence = False, 0.0
            point.velocity = point.velocity * self.coast
            point.expected = point.expected + (point.velocity if point.lost_frames > 1 else 0.0)
            return
        fit = self.turned(point, fit, view, first.lab(point.template.scale))
        self.expose(point, fit)
        shift = fit.shift * point.template.scale
        if point.lost_frames:
            point.velocity = np.zeros(2)
        else:
            moved = shift - point.shift
            if fit.quality >= self.weak_quality:  # what is half hidden does not look as usual
                old = self.usual_memory if point.usual else 0.0
                point.usual = old * point.usual + (1 - old) * fit.quality
            point.velocity = self.velocity_memory * point.velocity + (1 - self.velocity_memory) * moved
        point.shift, point.weights_HW, point.lost_frames = shift, fit.weights_HW, 0
        # the object may be found by its uncovered part while the point itself is covered
        row, column = (int(cells[0]) for cells in point.cells(point.query_2[None]))
        reach = max(1, self.centre_px // point.template.scale)
        rows, columns = (slice(max(0, place - reach), place + reach + 1) for place in (row, column))
        point.visible = bool(np.median(point.weights_HW[rows, columns]) >= self.centre_agreement)
        point.confidence = float(np.clip(fit.quality, 0.0, 1.0)) * (1.0 if point.visible else 0.5)

    def _flows(
        self, points: list[FollowedPoint], before: FrameView, view: FrameView
    ) -> list[FloatArray | None]:
        """Return each point's median displacement since the frame before, None where it cannot be told.

        Followed are the corners of the object that were seen in that frame, from where they were then; None stands
        for a point that was lost, or of whose corners too few return.
        """
        starts = []
        for point in points:
            corners = point.template.points_K2
            if point.lost_frames or not point.trackable:
                corners = corners[:0]
            # corners that are covered by something else would follow that
            seen = point.weights_HW[point.cells(corners)] > 0.5
            starts.append(np.asarray(corners[seen] + point.shift, np.float32))
        # a pyramid level smaller than the window has nothing to offer
        levels = int(np.log2(max(1.0, min(view.height, view.width) / (self.flow_window + 2))))
        moves, good = checked_flow(
            before.grey_HW,
            view.grey_HW,
            np.concatenate(starts),
            window=self.flow_window,
            levels=min(self.flow_levels, levels),
            tolerance=self.forward_backward_px,
        )
        cuts = np.cumsum([len(s) for s in starts])[:-1]
        return [
            median_motion(m, g, min_points=self.flow_min_points, min_share=self.flow_min_share)
            for m, g in zip(np.split(moves, cuts), np.split(good, cuts), strict=True)
        ]


def _fill_gaps(shifts_NT2: FloatArray, found_NT: BoolArray) -> None:
    """Move points between their last and next found place evenly along the line, in place."""
    for shift, row in zip(shifts_NT2, found_NT, strict=True):
        found = np.flatnonzero(row)
        gap = np.arange(found[0], found[-1] + 1)
        for axis in (0, 1):
            shift[gap, axis] = np.interp(gap, found, shift[found, axis])


def checked_flow(
    before_HW: ByteArray,
    after_HW: ByteArray,
    points_K2: Floats,
    *,
    window: int,
    levels: int,
    tolerance: float,
) -> tuple[Floats, BoolArray]:
    """Move points from one frame to the next and back again.

    Args:
        before_HW, after_HW: uint8 grey frames of one size.
        points_K2: float32 `(x, y)` pixels of the first frame; all points of a frame go into one
            call because OpenCV's Python interface rebuilds both pyramids in every call.
        window: window side, pixels.
        levels: highest pyramid level.
        tolerance: largest distance between a point and where it returns to, pixels.

    Returns:
        float32 (K, 2) displacements and bool (K,) of those that returned.
    """
    if len(points_K2) == 0:
        return np.zeros((0, 2), np.float32), np.zeros(0, bool)
    size = (window, window)
    start = np.ascontiguousarray(points_K2, np.float32)
    there, ok, _ = cv2.calcOpticalFlowPyrLK(
        before_HW, after_HW, start, None, winSize=size, maxLevel=levels, criteria=_STOP
    )
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(
        after_HW, before_HW, there, None, winSize=size, maxLevel=levels, criteria=_STOP
    )
    error = np.linalg.norm(back - start, axis=1)
    good = (ok.ravel() > 0) & (ok_back.ravel() > 0) & (error < tolerance)
    return np.asarray(there - start, np.float32), np.asarray(good)


def median_motion(
    moves_K2: Floats, good_K: BoolArray, *, min_points: int, min_share: float
) -> FloatArray | None:
    """Return the median displacement of the points that returned, or None when they are too few."""
    if good_K.sum() < max(min_points, min_share * len(good_K)):
        return None
    return np.asarray(np.median(moves_K2[good_K], axis=0), np.float64)
