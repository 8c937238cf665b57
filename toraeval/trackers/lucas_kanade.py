"""`lucas_kanade`: the embedded tracker, optical flow that is re-anchored to frame 0 in every frame.

Frame-to-frame flow drifts and jumps to whatever covers the object; here it only says where to
look. What decides is the look of the point in frame 0, found again by colour correlation and
refined by robust alignment:

1. Flow: pyramidal Lucas-Kanade (Bouguet 2001; OpenCV) on corners of the object that were seen
   in the frame before, forward and back, median of the points that return.
2. Anchor: the frame-0 template is correlated around the place the flow (or, without flow, the
   last velocity) expects, and every peak is refined to sub-pixel precision.
3. State: a place is `found` when colours and structure both agree well enough. A place that
   fails is `chained` (textured patches only: flow alone, while the patch still resembles frame 0)
   or `lost`. A lost point is looked for in a growing window and, for whole objects, over the
   frame at low resolution; farther places must agree better.
4. The template's picture is never updated: what was there in frame 0 is what is measured. Only
   a gain and a bias per colour channel follow the found object, slowly and within limits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from toraeval.trackers.alignment import Fit, exposure, refine, search
from toraeval.trackers.base import check_queries
from toraeval.trackers.flow import checked_flow, median_motion
from toraeval.trackers.template import Floats, FrameView, Template, build_template, find_support, to_scale
from toraeval.types import BoolArray, FloatArray, Tracks, Video


@dataclass
class _Point:
    """One followed point; shifts are displacements from frame 0 in full-resolution pixels."""

    template: Template
    coarse: Template | None
    kind: str
    trackable: bool
    weights_HW: Floats
    centre: tuple[int, int]
    shift: FloatArray = field(default_factory=lambda: np.zeros(2))
    velocity: FloatArray = field(default_factory=lambda: np.zeros(2))
    expected: FloatArray = field(default_factory=lambda: np.zeros(2))
    gain_3: Floats = field(default_factory=lambda: np.ones(3, np.float32))
    bias_3: Floats = field(default_factory=lambda: np.zeros(3, np.float32))
    lost_frames: int = 0
    confidence: float = 1.0
    visible: bool = True


@dataclass(frozen=True)
class LucasKanade:
    """Optical flow anchored to frame 0; needs OpenCV only.

    Frame 0 holds the query itself; a frame equal to the one before repeats its result, so a
    frozen clip gives exactly the query. A point without texture in frame 0 is reported as not
    visible at its query throughout. Points are followed independently of each other.

    Attributes:
        max_radius: an object reaching farther from its query is taken for background, pixels.
        patch_radius: half side of the patch where there is no bounded object, pixels.
        flat_step: largest 8-bit Lab step between neighbours inside a flat area.
        ring_share: part of the ring around a flat area that must have one colour for it to grow.
        template_side: longer templates are compared at reduced resolution, pixels.
        rim: surroundings taken along by the template of an object, reduced pixels.
        min_texture: smallest mean structure (see `Template.texture`) that can be followed.
        flow_window, flow_levels, flow_points: Lucas-Kanade window, pyramid levels, corners.
        flow_min_points, flow_min_share: fewest corners that must survive the forward-backward
            check, and smallest share of those that were seen.
        forward_backward_px: a corner that returns farther from its start is dropped.
        colour_sigma: 8-bit Lab difference at which a pixel counts a quarter.
        refine_iterations, refine_px: steps and reach of the sub-pixel alignment (reach in
            reduced pixels).
        search_px: search reach around the place that the flow expects.
        search_lost_px, search_growth_px, search_max_px: reach without flow, its growth per lost
            frame and its limit.
        found_agreement: a place agreeing at least this much is the object.
        found_agreement_low, found_correlation: or this much, if structure correlates as well.
        found_structure, structure_px: or structure alone correlates this much, near the expected
            place (a faded or discoloured object).
        refound_quality: quality (mean of both) needed after a loss, at the expected place.
        refound_distance: extra quality per 100 px between that place and the expected one.
        weak_quality: below this a better place is looked for over the whole frame.
        switch_gain: gain in quality for which a found but weak place is left for another.
        min_inside: part of the template that must lie inside the picture.
        chain_correlation: structure with frame 0 that a patch must keep to be followed by flow alone.
        centre_px, centre_agreement: a found point is visible when the template pixels this close
            to it agree at least this much (median).
        exposure_rate, exposure_reach: how fast and how far the expected colours follow the object's
            mean colour (share per frame, 8-bit units).
        velocity_memory: share of the old velocity in the running mean.
        coast: factor on the velocity per lost frame, for the expected place.
        fill_gaps: place points that were lost and found again on the straight line between.
    """

    name: ClassVar[str] = "lucas_kanade"
    version: ClassVar[str] = "1"

    max_radius: int = 84
    patch_radius: int = 10
    flat_step: int = 5
    ring_share: float = 0.6
    template_side: int = 80
    rim: int = 2
    min_texture: float = 0.5
    flow_window: int = 21
    flow_levels: int = 3
    flow_points: int = 40
    flow_min_points: int = 4
    flow_min_share: float = 0.25
    forward_backward_px: float = 1.0
    colour_sigma: float = 24.0
    refine_iterations: int = 8
    refine_px: float = 4.0
    search_px: float = 6.0
    search_lost_px: float = 16.0
    search_growth_px: float = 3.0
    search_max_px: float = 60.0
    found_agreement: float = 0.4
    found_agreement_low: float = 0.2
    found_correlation: float = 0.5
    found_structure: float = 0.7
    structure_px: float = 16.0
    refound_quality: float = 0.42
    refound_distance: float = 0.08
    weak_quality: float = 0.6
    switch_gain: float = 0.25
    min_inside: float = 0.3
    chain_correlation: float = 0.5
    centre_px: int = 4
    centre_agreement: float = 0.1
    exposure_rate: float = 0.5
    exposure_reach: float = 60.0
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
            Tracks with confidence in [0, 1]: the quality of the match, 0 where lost.

        Raises:
            UserError: a query is not a finite point inside the frame.
        """
        queries = check_queries(video, queries_N2)
        frames = video.thwc
        view = FrameView(frames[0])
        points = [self._start(view, q) for q in queries]
        count, length = len(points), video.num_frames
        shifts = np.zeros((count, length, 2))
        visible = np.zeros((count, length), bool)
        confidence = np.zeros((count, length))
        for t in range(length):
            if t and np.array_equal(frames[t], frames[t - 1]):
                for point in points:
                    point.velocity = np.zeros(2)
            elif t:
                before, view = view, FrameView(frames[t])
                for point, flow in zip(points, self._flows(points, before, view), strict=True):
                    if point.trackable:
                        self._advance(point, flow, view)
            for n, point in enumerate(points):
                shifts[n, t], visible[n, t], confidence[n, t] = point.shift, point.visible, point.confidence
        if self.fill_gaps:
            _fill_gaps(shifts, visible)
        info = {**self.fingerprint(), "opencv": cv2.__version__, "support": [p.kind for p in points]}
        return Tracks(queries[:, None] + shifts, visible, confidence, info)

    def _start(self, view: FrameView, query: FloatArray) -> _Point:
        x, y = float(query[0]), float(query[1])
        support = find_support(
            view.lab(1),
            x,
            y,
            step=self.flat_step,
            share=self.ring_share,
            max_radius=self.max_radius,
            patch_radius=self.patch_radius,
        )
        rows, columns = (np.flatnonzero(support.mask_HW.any(axis=a)) for a in (1, 0))
        side = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
        scale = -(-side // self.template_side)
        template = build_template(view, support, scale=scale, rim=self.rim, num_points=self.flow_points)
        coarse = None
        if support.kind == "region":
            coarse = build_template(view, support, scale=2 * scale, rim=1, num_points=0)
        trackable = template.texture >= self.min_texture
        everywhere = np.ones(template.shape, np.float32)
        cell = np.rint(to_scale(query, scale)).astype(int) - (template.left, template.top)
        centre = np.clip(cell, 0, np.array(template.shape)[::-1] - 1)
        point = _Point(
            template, coarse, support.kind, trackable, everywhere, (int(centre[0]), int(centre[1]))
        )
        point.visible, point.confidence = trackable, float(trackable)
        return point

    def _advance(self, point: _Point, flow: FloatArray | None, view: FrameView) -> None:
        if point.lost_frames == 0:
            point.expected = point.shift + (point.velocity if flow is None else flow)
        look = point.template.recoloured(point.gain_3, point.bias_3)
        fit = self._anchor(point, look, view, flow is not None)
        if fit is not None:
            point.gain_3, point.bias_3 = exposure(
                point.template,
                fit,
                point.gain_3,
                point.bias_3,
                rate=self.exposure_rate,
                reach=self.exposure_reach,
            )
            shift = fit.shift * point.template.scale
            if point.lost_frames:
                point.velocity = point.velocity * 0.0
            else:
                moved = shift - point.shift
                point.velocity = self.velocity_memory * point.velocity + (1 - self.velocity_memory) * moved
            point.shift, point.weights_HW, point.lost_frames = shift, fit.weights_HW, 0
            # the object may be found by its uncovered part while the point itself is covered
            point.visible = self._sees_centre(point)
            point.confidence = float(np.clip(fit.quality, 0.0, 1.0)) * (1.0 if point.visible else 0.5)
            return
        if flow is not None and self._chain(point, view, flow):
            return
        point.lost_frames += 1
        point.visible, point.confidence = False, 0.0
        point.velocity = point.velocity * self.coast
        point.expected = point.expected + (point.velocity if point.lost_frames > 1 else 0.0)

    def _sees_centre(self, point: _Point) -> bool:
        """Return whether the pixels right around the point itself still look like in frame 0."""
        weights = point.weights_HW
        column, row = point.centre
        reach = max(1, self.centre_px // point.template.scale)
        near = weights[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        return bool(np.median(near) >= self.centre_agreement)

    def _flows(self, points: list[_Point], before: FrameView, view: FrameView) -> list[FloatArray | None]:
        """Return each point's median displacement, None where it was lost or too few corners return."""
        starts = [self._flow_points(p) for p in points]
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

    def _flow_points(self, point: _Point) -> Floats:
        """Return the corners of the object that were seen in the frame before, where they were then."""
        template = point.template
        corners = template.points_K2
        if point.lost_frames or not point.trackable or len(corners) == 0:
            return np.zeros((0, 2), np.float32)
        cells = np.rint(to_scale(corners, template.scale)).astype(int) - (template.left, template.top)
        cells = np.clip(cells, 0, np.array(template.shape)[::-1] - 1)
        # corners that are covered by something else would follow that
        seen = point.weights_HW[cells[:, 1], cells[:, 0]] > 0.5
        return np.asarray(corners[seen] + point.shift, np.float32)

    def _anchor(self, point: _Point, template: Template, view: FrameView, has_flow: bool) -> Fit | None:
        scale = template.scale
        expected = point.expected / scale
        reach = self.search_px
        if not has_flow:
            reach = self.search_lost_px + float(np.abs(point.velocity).max())
            reach = min(reach + self.search_growth_px * point.lost_frames, self.search_max_px)
        peaks = search(view.lab(scale), template, expected, int(np.ceil(reach / scale)), peaks=2, floor=0.2)
        fits = [self._fit(template, view, start) for start in [expected, *(p for p, _ in peaks)]]
        best = self._best(point, fits)
        if point.coarse is not None and (best is None or best.quality < self.weak_quality):
            best = self._search_everywhere(point, template, view, best)
        return best

    def _fit(self, template: Template, view: FrameView, start: FloatArray) -> Fit:
        return refine(
            view.lab(template.scale),
            template,
            start,
            sigma=self.colour_sigma,
            iterations=self.refine_iterations,
            max_move=self.refine_px,
        )

    def _best(self, point: _Point, fits: list[Fit]) -> Fit | None:
        good = [f for f in fits if self._accepts(point, f)]
        return max(good, key=lambda f: (round(f.quality, 6), -self._distance(point, f)), default=None)

    def _distance(self, point: _Point, fit: Fit) -> float:
        return float(np.linalg.norm(fit.shift * point.template.scale - point.expected))

    def _accepts(self, point: _Point, fit: Fit) -> bool:
        if fit.inside < self.min_inside:
            return False
        if point.kind == "patch":
            colours = fit.correlation >= self.found_correlation
        else:
            colours = fit.agreement >= self.found_agreement or (
                fit.agreement >= self.found_agreement_low and fit.correlation >= self.found_correlation
            )
        if point.lost_frames == 0:
            near = self._distance(point, fit) <= self.structure_px
            return colours or (fit.correlation >= self.found_structure and near)
        needed = self.refound_quality + self.refound_distance * self._distance(point, fit) / 100.0
        return colours and fit.quality >= needed

    def _search_everywhere(
        self, point: _Point, template: Template, view: FrameView, best: Fit | None
    ) -> Fit | None:
        """Return a better place anywhere in the frame, or the given one."""
        coarse = point.coarse
        assert coarse is not None
        image = view.lab(coarse.scale)
        reach = max(image.shape[:2])
        room = np.array(image.shape[1::-1]) - coarse.shape[::-1]
        centre = 0.5 * room - (coarse.left, coarse.top)
        peaks = search(image, coarse, centre, reach // 2, peaks=3, floor=0.4)
        ratio = coarse.scale / template.scale
        fits = [self._fit(template, view, place * ratio) for place, _ in peaks]
        other = self._best(point, fits)
        if other is None:
            return best
        needed = self.refound_quality + self.refound_distance * self._distance(point, other) / 100.0
        if best is not None:
            needed = max(needed, best.quality + self.switch_gain)
        return other if other.quality >= needed else best

    def _chain(self, point: _Point, view: FrameView, flow: FloatArray) -> bool:
        """Follow a textured patch by flow alone while it still resembles frame 0."""
        if point.kind != "patch":
            return False
        shift = point.shift + flow
        fit = refine(
            view.lab(point.template.scale),
            point.template,
            shift / point.template.scale,
            sigma=self.colour_sigma,
            iterations=0,
            max_move=0.0,
        )
        if fit.correlation < self.chain_correlation or fit.inside < self.min_inside:
            return False
        point.velocity = self.velocity_memory * point.velocity + (1 - self.velocity_memory) * flow
        point.shift = shift
        point.visible, point.confidence = True, 0.5 * float(np.clip(fit.quality, 0.0, 1.0))
        return True


def _fill_gaps(shifts_NT2: FloatArray, visible_NT: BoolArray) -> None:
    """Move points between their last and next found place evenly along the line, in place."""
    for shift, seen in zip(shifts_NT2, visible_NT, strict=True):
        found = np.flatnonzero(seen)
        if len(found) == 0:
            continue
        gap = np.arange(found[0], found[-1] + 1)
        for axis in (0, 1):
            shift[gap, axis] = np.interp(gap, found, shift[found, axis])
