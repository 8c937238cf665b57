"""JEDi's distance: maximum mean discrepancy with a quadratic kernel, on the features that FVD has."""

from __future__ import annotations

import numpy as np

from toraeval.metrics.fvd import FVD, KERNEL
from toraeval.metrics.shared.base import BACKBONE
from toraeval.metrics.shared.feature_sets import FeatureSets
from toraeval.metrics.shared.set_distances import quadratic_discrepancy


class JEDi(FVD):
    """Distance of generated and reference clips by a quadratic kernel, which needs few samples.

    With features x of the generated and y of the reference clips, D features each:

        k(a, b) = (a . b / D)^2
        jedi    = 100 * (mean of k over all pairs of x + the same for y - 2 * mean of k over pairs of x and y)

    Pairs of a sample with itself are among them, as published, so that the value is biased upward in small sets and
    never below 0. Lower is better; 0 for equal sets; no unit. Luo et al. compute it on V-JEPA features tuned on
    Something-Something v2, whose weights are not fetched here: the column names the backbone, and numbers of
    different backbones share nothing. A frozen video is farther than the ground truth, as in `fvd`, whose clips,
    backbones and options it shares.
    Source: arXiv 2410.05203; oooolga/JEDi, `videojedi/mmd_polynomial.py`.

    Args:
        backbone: `shapes`, `efficientnet_lite0`, `i3d`, `videomae`, or `random` for tests.
        weights: the user's own weight file; by default the shipped or fetched one.
        clip_stride: frames from the start of one clip to that of the next.
        min_videos: fewest videos that give a value, >= 2.
        device: `cpu` or `cuda`.
        cache: folder in which reference features are kept for all models, or None.

    Raises:
        UserError: an option that cannot be.
    """

    name = "jedi"
    version = "1"
    units = "100 x MMD^2"
    value_range = "0 and more"
    formula = "100 * (mean k(x, x') + mean k(y, y') - 2 mean k(x, y)), k(a, b) = (a . b / D)^2"
    columns = {
        f"jedi_{BACKBONE}": "discrepancy of generated and reference clips",
        f"jedi_{BACKBONE}_videos": "videos that the distance rests on",
        f"jedi_{BACKBONE}_clips": "clips of the generated set",
    }
    source = "arXiv 2410.05203; oooolga/JEDi, videojedi/mmd_polynomial.py"
    expected = {f"jedi_{BACKBONE}": KERNEL}
    keyed: tuple[str, ...] = ("backbone", "recipe", "weights", "clip_stride", "min_videos")

    def __init__(
        self,
        backbone: str = "shapes",
        weights: str | None = None,
        clip_stride: int = 16,
        min_videos: int = 8,
        device: str = "cpu",
        cache: str | None = None,
    ) -> None:
        super().__init__(backbone, weights, clip_stride, min_videos, 0, False, device, cache)

    def distances(self, suffix: str, sets: FeatureSets) -> dict[str, float]:
        """Return the discrepancy of one part of the features."""
        both = (np.concatenate(sets.generated), np.concatenate(sets.reference))
        return {f"jedi_{self.backbone}{suffix}": quadratic_discrepancy(*both)}
