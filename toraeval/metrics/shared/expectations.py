"""How every metric must order videos that are wrong in a known way; checked on `results/sanity.csv` and in tests.

The conditions are made by `benchmarks/sanity.py` from the ground truth of a suite:

- `ground_truth`: the exact render
- `shift_2`, `shift_8`, `shift_32`: every frame after the first moved sideways by so many pixels of 512
- `lag_1`, `lag_4`: the video runs so many frames late
- `shuffled`: the frames after the first in random order
- `frozen`: the first frame repeated
- `blurred`, `noise`: every frame after the first
- `smeared`: each frame mixed with all frames before it, so that objects drag a trail
- `vanished`: the objects fade into the background by the middle of the clip
- `other_case`: the video of another case
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CONDITIONS = (
    "ground_truth", "shift_2", "shift_8", "shift_32", "lag_1", "lag_4", "shuffled", "frozen", "blurred", "noise",
    "smeared", "vanished", "other_case",
)  # fmt: skip

TOLERANCE = 1e-9

_ERROR = (
    "ground_truth < shift_2 < shift_8 < shift_32",
    "ground_truth < lag_1 < lag_4 < frozen",
    "ground_truth < shuffled",
    "ground_truth < vanished",
    "ground_truth < other_case",
)
_OVERLAP = (
    "shift_32 < shift_8 < shift_2 < ground_truth",
    "lag_4 < lag_1 < ground_truth",
    "frozen < ground_truth",
    "shuffled < ground_truth",
    "other_case < ground_truth",
)
_CLOSE = (
    "shift_32 < shift_8 < shift_2 < ground_truth",
    "lag_4 < lag_1 < ground_truth",
    "frozen < ground_truth",
    "shuffled < ground_truth",
    "blurred < ground_truth",
    "noise < ground_truth",
    "smeared < ground_truth",
    "vanished < ground_truth",
    "other_case < ground_truth",
)
_APART = tuple(" < ".join(reversed(chain.split(" < "))) for chain in _CLOSE)
_CAPTION = ("other_case < ground_truth", "vanished < ground_truth")
_KERNEL = tuple(f"ground_truth < {spoilt}" for spoilt in ("shuffled", "frozen", "smeared", "vanished"))
_PHOTO_FRAME = ("ground_truth < blurred", "ground_truth < noise", "ground_truth < frozen")
_PHOTO_TIME = (
    "ground_truth < shuffled < frozen",
    "ground_truth < lag_4 < frozen",
    "ground_truth < blurred < frozen",
    "ground_truth < noise < frozen",
    "ground_truth < smeared < frozen",
)
_FRECHET = (*_KERNEL, "ground_truth < blurred", "ground_truth < noise")

ORDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "traj_error": _ERROR,
        "lost_error": _ERROR,
        "objmc": _ERROR,
        "epe": _ERROR,
        "tapvid": _OVERLAP,
        "tapvid_delta_avg": _OVERLAP,
        "final_error": _ERROR,
        "direction_error": (
            "ground_truth < lag_1 < lag_4 < frozen",
            "shift_32 < frozen",
            "ground_truth < shuffled",
            "ground_truth < other_case",
        ),
        "speed_error": ("ground_truth < lag_1 < lag_4 < frozen", "ground_truth < shuffled"),
        "speed_error_ratio": ("frozen < ground_truth < shuffled",),
        "path_distance": (
            "ground_truth < shift_2 < shift_8 < shift_32",
            "ground_truth < lag_1 < lag_4 < shift_32",
            "lag_4 < shuffled",
            "lag_4 < frozen",
            "ground_truth < other_case",
        ),
        "path_distance_timing": ("ground_truth < lag_1 < lag_4",),
        "survival": (
            "shift_32 < shift_8 <= ground_truth",
            "lag_4 <= lag_1",
            "lag_4 <= ground_truth",
            "frozen < ground_truth",
            "shuffled < ground_truth",
            "vanished < ground_truth",
        ),
        "box_iou": _OVERLAP,
        "mask_iou": (*_OVERLAP, "vanished < ground_truth", "smeared < ground_truth"),
        "motion_amount": ("frozen < lag_4 < ground_truth", "frozen < shuffled", "vanished < ground_truth"),
        "motion_amount_ratio": ("frozen < ground_truth < shuffled",),
        "motion_amount_inside": ("frozen < ground_truth < noise", "ground_truth < shuffled"),
        "motion_amount_outside": ("frozen <= ground_truth < noise",),
        "flicker": ("frozen <= ground_truth < noise", "ground_truth <= shuffled < noise"),
        "appearance_drift": (
            "frozen <= ground_truth < blurred",
            "ground_truth < noise",
            "ground_truth < smeared",
            "ground_truth < vanished",
            "ground_truth < other_case",
        ),
        "appearance_drift_colour": ("frozen <= ground_truth < blurred", "ground_truth < vanished"),
        "object_survival": ("frozen < ground_truth", "vanished < ground_truth", "other_case < ground_truth"),
        "object_survival_look": ("vanished < ground_truth <= frozen", "other_case < ground_truth"),
        "psnr": _CLOSE,
        "ssim": _CLOSE,
        **{f"lpips_{backbone}": _APART for backbone in ("shapes", "alex", "vgg", "efficientnet_lite0")},
        **{f"clipsim_{backbone}": _CAPTION for backbone in ("shapes", "clip_vit_b32")},
        **{
            f"{name}_{backbone}": claims
            for name, claims in (("fvd", _FRECHET), ("kvd", _KERNEL))
            for backbone in ("shapes", "i3d", "videomae")
        },
        "fvd_efficientnet_lite0_frame": _PHOTO_FRAME,
        "fvd_efficientnet_lite0_time": _PHOTO_TIME,
        "fid_efficientnet_lite0": _PHOTO_FRAME,
        "class_kept_efficientnet_lite0_reference": (
            "blurred < ground_truth",
            "noise < ground_truth",
            "other_case < ground_truth",
        ),
    }
)
"""Column -> chains of conditions, each value smaller (`<`) or not larger (`<=`) than the next one's.

Metrics that rest on a network have one column per backbone.
"""


@dataclass(frozen=True)
class Finding:
    """One neighbouring pair of a chain, checked.

    Attributes:
        column: the value that is compared.
        claim: e.g. `ground_truth < frozen`.
        holds: whether the means follow it; None where one of them is missing.
        seen: the two means, None where missing.
    """

    column: str
    claim: str
    holds: bool | None
    seen: tuple[float | None, float | None]


def check(column: str, means: Mapping[str, float]) -> list[Finding]:
    """Compare the means of a column under the conditions with what is expected of it.

    Args:
        column: name of a value, e.g. `traj_error`.
        means: condition -> mean over cases; conditions without a value are absent.
    """
    findings = []
    for chain in ORDERS.get(column, ()):
        parts = re.split(r" (<=?) ", chain)
        for low, sign, high in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
            a, b = means.get(low), means.get(high)
            holds = None
            if a is not None and b is not None:
                holds = a < b if sign == "<" else a <= b + TOLERANCE
            findings.append(Finding(column, f"{low} {sign} {high}", holds, (a, b)))
    return findings
