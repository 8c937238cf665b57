"""Finding a point's frame-0 look again in a later frame: where it may be, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from toraeval.trackers.shared.alignment import Fit, exposure, refine, search
from toraeval.trackers.shared.frame_view import FrameView, LabPicture
from toraeval.trackers.shared.template import Floats, Template, to_scale
from toraeval.types import FloatArray


@dataclass
class FollowedPoint:
    """One followed point; shifts are displacements from frame 0 in full-resolution pixels.

    Attributes:
        template, coarse, coarsest: look in frame 0 at working scale, at half of it (objects only) and at a quarter of
            it (objects of which enough is left).
        original: `template` as cut out of frame 0; `template` may have grown and turned since.
        trackable: whether there was any structure to follow.
        weights_HW: agreement of each template pixel where the point was last found.
        query_2: the point in frame 0.
        shift, velocity, expected: last place, running velocity, where it should be now.
        pose_22: from offsets to the point in `template` to those in frame 0; identity as long as nothing turned.
        turn_pause: frames until it is tried again whether something turned.
        gain_3, bias_3: exposure of the object relative to frame 0.
        lost_frames: frames since it was last found; 0 while found.
        usual: running mean of the quality where it is not weak, 0 before the first.
        visible, confidence: what is reported.
    """

    template: Template
    coarse: Template | None
    coarsest: Template | None
    trackable: bool
    weights_HW: Floats
    query_2: FloatArray
    shift: FloatArray = field(default_factory=lambda: np.zeros(2))
    velocity: FloatArray = field(default_factory=lambda: np.zeros(2))
    expected: FloatArray = field(default_factory=lambda: np.zeros(2))
    pose_22: FloatArray = field(default_factory=lambda: np.eye(2))
    turn_pause: int = 0
    gain_3: Floats = field(default_factory=lambda: np.ones(3, np.float32))
    bias_3: Floats = field(default_factory=lambda: np.zeros(3, np.float32))
    lost_frames: int = 0
    usual: float = 0.0
    confidence: float = 1.0
    visible: bool = True

    def __post_init__(self) -> None:
        self.original = self.template

    def cells(self, points_K2: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return rows and columns of the template pixels nearest to full-resolution points of frame 0."""
        template = self.template
        index = np.rint(to_scale(points_K2, template.scale)).astype(np.intp) - (template.left, template.top)
        index = np.clip(index, 0, np.array(template.shape)[::-1] - 1)
        return index[:, 1], index[:, 0]


@dataclass(frozen=True)
class Anchoring:
    """Options and rules of finding a template again.

    Attributes:
        colour_sigma: 8-bit Lab difference at which a pixel counts a quarter.
        refine_iterations: steps of the sub-pixel alignment.
        refine_px: reach of the sub-pixel alignment, reduced pixels.
        search_px: search reach around the place that the flow expects.
        search_lost_px: search reach without flow.
        search_growth_px: growth of that reach per lost frame.
        search_max_px: limit of that reach.
        search_blind_px: search reach for a patch without flow whose velocity nobody knows yet.
        found_agreement: an object is found where its colours agree at least this much.
        found_agreement_low: or this much, where structure correlates by `found_correlation` as well.
        found_correlation: correlation needed with `found_agreement_low`; a patch is found by it alone.
        found_structure: an object near the expected place is found by this correlation alone (faded or discoloured).
            Set on rendered validation clips that were blurred and discoloured: at 0.7 the mean error is twice that
            at 0.4 (56 against 27 px), below 0.4 little is gained; for clips that are only blurred it makes no
            difference.
        structure_px: what counts as near for `found_structure`, pixels.
        flow_correlation: a patch where the flow expects it needs only this correlation.
        jump_px, jump_share: what is weak of a patch must lie this near to where its velocity leads, pixels or a share
            of the speed: what hides a patch may look like it and carries its corners away.
        refound_quality: quality (mean of agreement and correlation) needed after a loss, at the expected place.
        refound_share: and, of a patch, this share of the quality that it had before: others look like it a little.
        usual_memory: share of the old quality in the running mean of that.
        refound_distance: extra quality per 100 px between that place and the expected one.
        sure_quality: from this on the place that was expected is taken, and no other one is looked for.
        weak_quality: below this an object is looked for over the whole frame, too.
        switch_gain: gain in quality for which a found but weak place is left for another.
        min_inside: part of the template that must lie inside the picture.
        exposure_rate: how fast the expected colours follow the object's mean colour, share per frame.
        exposure_reach: how far they follow it, 8-bit units.
        exposure_correlation: correlation needed for the expected colours to follow.
        exposure_jump: largest change of the mean colour during a loss, 8-bit units.
    """

    colour_sigma: float = 24.0
    refine_iterations: int = 8
    refine_px: float = 4.0
    search_px: float = 6.0
    search_lost_px: float = 16.0
    search_growth_px: float = 3.0
    search_max_px: float = 60.0
    search_blind_px: float = 60.0
    found_agreement: float = 0.4
    found_agreement_low: float = 0.2
    found_correlation: float = 0.5
    found_structure: float = 0.4
    structure_px: float = 16.0
    flow_correlation: float = 0.3
    jump_px: float = 4.0
    jump_share: float = 0.5
    refound_quality: float = 0.42
    refound_share: float = 0.85
    usual_memory: float = 0.9
    refound_distance: float = 0.08
    sure_quality: float = 0.8
    weak_quality: float = 0.6
    switch_gain: float = 0.25
    min_inside: float = 0.3
    exposure_rate: float = 0.5
    exposure_reach: float = 60.0
    exposure_correlation: float = 0.8
    exposure_jump: float = 30.0

    def find(self, point: FollowedPoint, view: FrameView, has_flow: bool) -> Fit | None:
        """Return the best place of a point in a frame, or None when it is not there.

        Args:
            point: its `expected` place is where the search starts.
            view: the frame.
            has_flow: whether that place comes from optical flow, so that a small search will do.
        """
        template = point.template.recoloured(point.gain_3, point.bias_3)
        expected = point.expected / template.scale
        fits = [self._fit(point, template, view, expected)]
        good = fits[0].quality >= self.sure_quality and self._accepts(point, fits[0])
        if good and not point.lost_frames:
            return fits[0]
        reach = self.search_px
        blind = not has_flow and point.coarse is None and not point.velocity.any()
        if not has_flow:
            reach = self.search_lost_px + float(np.abs(point.velocity).max())
            reach = min(reach + self.search_growth_px * point.lost_frames, self.search_max_px)
            if blind:
                reach = self.search_blind_px
        image = view.lab_parts(template.scale)
        peaks = search(image, template, expected, int(np.ceil(reach / template.scale)), peaks=2, floor=0.2)
        found = [self._fit(point, template, view, start) for start, _ in peaks]
        # far away, where no velocity leads, only what surely is the point counts
        sure = [
            f.quality >= self.sure_quality or self._distance(point, f) <= self.search_lost_px for f in found
        ]
        fits += [fit for fit, good in zip(found, sure, strict=True) if good or not blind]
        best = self._best(point, fits)
        if (
            best is None
            and has_flow
            and point.coarse is None
            and fits[0].correlation >= self.flow_correlation
            and self.moves_on(point, fits[0].shift * template.scale)
        ):
            best = fits[0]
        if point.coarse is not None and (best is None or best.quality < self.weak_quality):
            return self._search_everywhere(point, template, view, best)
        return best

    def moves_on(self, point: FollowedPoint, shift_2: FloatArray) -> bool:
        """Return whether a place lies about where the velocity leads; what covers a patch goes elsewhere."""
        speed = float(np.linalg.norm(point.velocity))
        jump = float(np.linalg.norm(shift_2 - point.shift - point.velocity))
        return speed == 0 or jump <= max(self.jump_px, self.jump_share * speed)

    def expose(self, point: FollowedPoint, fit: Fit) -> None:
        """Let the expected colours follow an object that is surely the right one."""
        if point.lost_frames or fit.correlation < self.exposure_correlation:
            return
        gain, bias, _ = exposure(point.template, fit.window_HW3, fit.weights_HW, point.gain_3, point.bias_3)
        gain = point.gain_3 + np.float32(self.exposure_rate) * (gain - point.gain_3)
        bias = point.bias_3 + np.float32(self.exposure_rate) * (bias - point.bias_3)
        mean = point.template.flat_HW.reshape(-1) @ point.template.lab_HW3.reshape(-1, 3)
        if np.abs(gain * mean + bias - mean).max() <= self.exposure_reach:
            point.gain_3, point.bias_3 = gain, bias

    def _fit(self, point: FollowedPoint, template: Template, view: FrameView, start: FloatArray) -> Fit:
        """Return the place near a start; after a loss, under the exposure found there if only that differs."""
        fit = self._refined(template, view, start)
        if not point.lost_frames or fit.correlation < self.exposure_correlation:
            return fit
        everywhere = np.ones(template.shape, np.float32)
        gain, bias, moved = exposure(point.template, fit.window_HW3, everywhere, point.gain_3, point.bias_3)
        if moved > self.exposure_jump:
            return fit
        again = self._refined(point.template.recoloured(gain, bias), view, fit.shift)
        return again if again.quality > fit.quality else fit

    def _refined(self, template: Template, view: FrameView, start: FloatArray) -> Fit:
        return refine(
            view.lab_parts(template.scale),
            template,
            start,
            sigma=self.colour_sigma,
            iterations=self.refine_iterations,
            max_move=self.refine_px,
        )

    def _best(self, point: FollowedPoint, fits: list[Fit]) -> Fit | None:
        good = [f for f in fits if self._accepts(point, f)]
        # equal places are ranked by their distance to the expected one, for determinism
        return max(good, key=lambda f: (round(f.quality, 6), -self._distance(point, f)), default=None)

    def _distance(self, point: FollowedPoint, fit: Fit) -> float:
        return float(np.linalg.norm(fit.shift * point.template.scale - point.expected))

    def _accepts(self, point: FollowedPoint, fit: Fit) -> bool:
        if fit.inside < self.min_inside:
            return False
        structure = fit.correlation >= self.found_correlation
        if point.coarse is None:
            found = structure
        else:
            found = fit.agreement >= self.found_agreement
            found |= structure and fit.agreement >= self.found_agreement_low
        if point.lost_frames:
            return found and fit.quality >= self._needed(point, fit)
        near = self._distance(point, fit) <= self.structure_px
        if point.coarse is None and fit.quality < self.weak_quality:
            near = self.moves_on(point, fit.shift * point.template.scale)
            found = found and near
        return found or (near and fit.correlation >= self.found_structure)

    def _needed(self, point: FollowedPoint, fit: Fit) -> float:
        base = self.refound_quality
        if point.coarse is None:
            base = max(base, self.refound_share * point.usual)
        return base + self.refound_distance * self._distance(point, fit) / 100.0

    def _search_everywhere(
        self, point: FollowedPoint, template: Template, view: FrameView, best: Fit | None
    ) -> Fit | None:
        """Return a better place anywhere in the frame, or the given one."""
        coarse = point.coarse
        assert coarse is not None
        peaks = self._peaks_everywhere(point, view)
        ratio = coarse.scale / template.scale
        other = self._best(point, [self._fit(point, template, view, place * ratio) for place, _ in peaks])
        if other is None:
            return best
        needed = self._needed(point, other)
        if best is not None:
            needed = max(needed, best.quality + self.switch_gain)
        return other if other.quality >= needed else best

    def _peaks_everywhere(self, point: FollowedPoint, view: FrameView) -> list[tuple[FloatArray, float]]:
        """Return the best places in the frame, in pixels of the coarse template; coarser ones are looked for first."""
        coarse, coarsest = point.coarse, point.coarsest
        assert coarse is not None
        image = view.lab_parts(coarse.scale)
        if coarsest is None:
            return _over(image, coarse, peaks=3)
        ratio = coarsest.scale / coarse.scale
        rough = [place * ratio for place, _ in _over(view.lab_parts(coarsest.scale), coarsest, peaks=3)]
        near = [search(image, coarse, place, 2, peaks=1, floor=0.4) for place in rough]
        return [found for peaks in near for found in peaks]


def _over(image: LabPicture, template: Template, peaks: int) -> list[tuple[FloatArray, float]]:
    """Return the peaks of the correlation over a whole picture."""
    room = np.array(image.shape[1::-1]) - template.shape[::-1]
    centre = 0.5 * room - (template.left, template.top)
    return search(image, template, centre, max(image.shape[:2]) // 2, peaks=peaks, floor=0.4)
