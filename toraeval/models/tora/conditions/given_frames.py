"""Given frames: which latent frames of a clip are kept, in sampling and in training, and how clips are continued.

A sampling strategy is written as Open-Sora v1.2.0 does (`opensora/utils/inference_utils.py`): groups
`loop,reference,reference start,target start,length,edit ratio` joined by ";", with defaults 0,0,0,0,1,0; all
positions count latent frames, negative ones from the end. Training masks follow its
`opensora/utils/train_utils.py` (MaskGenerator), with guards for clips on which upstream fails.

Legend of the shape suffixes: B batch, C channels, T latent frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from toraeval.geometry import windows
from toraeval.models.tora.sampling.sizes import CHUNK_FRAMES, CHUNK_LATENTS
from toraeval.types import UserError

FRAME_STRATEGIES = {"text": "", "first_frame": "0", "first_last_frame": "0;0,1,0,-1,1"}
"""The conditions of the paper as strategies; references are the first and the last frame."""

MASKS = (
    "identity",
    "random",
    "interpolate",
    "quarter_random",
    "quarter_head",
    "quarter_tail",
    "quarter_head_tail",
    "image_random",
    "image_head",
    "image_tail",
    "image_head_tail",
)
_ALIASES = {"intepolate": "interpolate"}  # the spelling of upstream's configurations
MASKS_STAGE_1_2: Mapping[str, float] = MappingProxyType(
    {"random": 0.05, "interpolate": 0.005}
    | dict.fromkeys(("quarter_random", "quarter_head", "quarter_tail", "quarter_head_tail"), 0.005)
    | {"image_random": 0.025, "image_head": 0.05, "image_tail": 0.025, "image_head_tail": 0.025}
)
"""Training mix of Open-Sora v1.2 stages 1 and 2; the rest is `identity`."""


@dataclass(frozen=True)
class Condition:
    """One run of given frames.

    Attributes:
        loop: clip of a long video that it belongs to, from 0.
        reference: number of the reference clip.
        reference_start, target_start: first latent frame in the reference and in the clip; negative from the end.
        length: latent frames, cut where reference or clip end.
        edit_ratio: 0 keeps the frames, 1 makes them from scratch, between: they are denoised from t = 1000 * ratio on.
    """

    loop: int = 0
    reference: int = 0
    reference_start: int = 0
    target_start: int = 0
    length: int = 1
    edit_ratio: float = 0.0


def parse_strategy(text: str | None) -> tuple[Condition, ...]:
    """Read a mask strategy; an empty one gives no condition.

    Raises:
        UserError: a group with more than six fields, a field that is not a number, or one out of its range.
    """
    return tuple(_parse_group(group, text) for group in text.split(";")) if text else ()


def _parse_group(group: str, text: str) -> Condition:
    rule = (
        "allowed: up to six numbers loop,reference,reference start,target start,length,edit ratio with "
        "loop, reference >= 0, length >= 1 and 0 <= edit ratio <= 1"
    )
    fields = group.split(",")
    try:
        starts = [int(field) for field in fields[:5]]
        condition = Condition(*starts, *map(float, fields[5:6]))  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(f"mask strategy {text!r}: {group!r} is not made of numbers; {rule}") from error
    in_range = condition.loop >= 0 and condition.reference >= 0 and condition.length >= 1
    if len(fields) > 6 or not in_range or not 0 <= condition.edit_ratio <= 1:
        raise UserError(f"mask strategy {text!r}: group {group!r} is out of range; {rule}")
    return condition


def snap(start: int, step: int, length: int) -> int:
    """Return the multiple of `step` next to `start`, never beyond the last full step within `length` frames.

    Upstream's `align`: a start moves up only from beyond the middle of a step. With step 5 and 15 latent frames a
    last frame (start 14) lands on 10, the start of the last 17-frame chunk.
    """
    steps, rest = divmod(start, step)
    if rest > step / 2 and steps < length // step - 1:
        steps += 1
    return steps * step


def apply_conditions(
    z_BCTHW: Tensor,
    references: Sequence[Sequence[Tensor]],
    conditions: Sequence[Sequence[Condition]],
    loop: int = 0,
    align: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste the given frames of one loop into the initial noise.

    Args:
        z_BCTHW: initial noise; not changed.
        references: per sample its reference latents (C,T',H,W), normalised as z is.
        conditions: per sample its conditions, from `parse_strategy`; a later one overwrites an earlier one.
        loop: clip of a long video that z starts.
        align: latent frames to whose multiples starts are moved (`snap`); None leaves them.

    Returns:
        The pasted noise and the edit ratio of each frame, float32 (B,T), 1 where nothing is given.

    Raises:
        UserError: a condition names a reference that is not there, or starts outside its reference or the clip.
    """
    z, length = z_BCTHW.clone(), z_BCTHW.shape[2]
    ratios = torch.ones(len(z), length, device=z.device)
    for sample, (given, wanted) in enumerate(zip(references, conditions, strict=True)):
        for condition in wanted:
            if condition.loop != loop:
                continue
            if condition.reference >= len(given):
                raise UserError(
                    f"mask strategy: reference {condition.reference} is not given; got {len(given)} reference(s)"
                )
            source = given[condition.reference]
            start = _position(condition.reference_start, source.shape[1], align, "reference")
            target = _position(condition.target_start, length, align, "clip")
            count = min(condition.length, length - target, source.shape[1] - start)
            z[sample, :, target : target + count] = source[:, start : start + count].to(z)
            ratios[sample, target : target + count] = condition.edit_ratio
    return z, ratios


def frame_conditions(kind: str, loops: int = 1) -> tuple[Condition, ...]:
    """Return the conditions of `FRAME_STRATEGIES` for a video of `loops` clips: the last frame ends the last clip."""
    given = parse_strategy(FRAME_STRATEGIES[kind])
    return tuple(replace(c, loop=loops - 1) if c.target_start < 0 else c for c in given)


def _position(start: int, length: int, align: int | None, what: str) -> int:
    place = start + length if start < 0 else start
    if not 0 <= place < length:
        raise UserError(
            f"mask strategy: start {start} lies outside the {what} of {length} latent frames; "
            f"allowed: {-length} to {length - 1}"
        )
    return place if align is None else snap(place, align, length)


# --- long videos ----------------------------------------------------------------------------------------------


def continuation(loop: int, reference: int, length: int = CHUNK_LATENTS) -> Condition:
    """Return the condition by which clip `loop` starts with the last `length` latents of the clip before it."""
    return Condition(loop, reference, -length, 0, length)


def overlap_frames(length: int) -> int:
    """Return the pixel frames that `length` latent frames of overlap decode to.

    Raises:
        UserError: the length is not a multiple of the 5 latents of a chunk, so it does not end at a frame border.
    """
    if length < 1 or length % CHUNK_LATENTS:
        raise UserError(f"overlap of {length} latent frames; allowed: multiples of {CHUNK_LATENTS}")
    return length // CHUNK_LATENTS * CHUNK_FRAMES


def loop_spans(frames: int, window: int, length: int = CHUNK_LATENTS) -> list[tuple[int, int]]:
    """Split a long video into overlapping clips.

    Args:
        frames: length of the video.
        window: frames of each clip but the last one, a multiple of 17 so that overlaps lie on whole chunks.
        length: latent frames that each clip takes over from the one before.

    Returns:
        (first frame, end) of each clip; the clips after the first begin with the overlap.

    Raises:
        UserError: the window is not a multiple of 17 or not longer than the overlap.
    """
    overlap = overlap_frames(length)
    if window % CHUNK_FRAMES or window <= overlap:
        raise UserError(
            f"clips of {window} frames; allowed: multiples of {CHUNK_FRAMES} above the overlap of {overlap}"
        )
    return windows(frames, window, overlap)


# --- training -------------------------------------------------------------------------------------------------


def mask_mix(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Check a mix of training masks; `identity` (nothing given) takes what is left.

    Raises:
        UserError: an unknown mask, a probability outside 0..1, or a sum other than 1.
    """
    mix: dict[str, float] = {}
    for given, value in probabilities.items():
        name = _ALIASES.get(given, given)
        if name not in MASKS or not 0 <= value <= 1:
            raise UserError(
                f"training mask {name}={value}; allowed: 0 to 1 for {', '.join(MASKS)} (or 'intepolate')"
            )
        mix[name] = mix.get(name, 0.0) + float(value)
    mix.setdefault("identity", max(0.0, 1.0 - sum(mix.values())))
    if abs(sum(mix.values()) - 1) > 1e-6:
        raise UserError(f"training masks {dict(probabilities)} sum to {sum(mix.values()):g}; allowed: 1")
    return mix


def training_mask(
    batch: int,
    frames: int,
    generator: torch.Generator | None = None,
    probabilities: Mapping[str, float] = MASKS_STAGE_1_2,
) -> Tensor:
    """Draw which latent frames of each training clip are noisy, bool (batch, frames); False frames are given clean.

    Upstream's quarter masks fail below 4 frames and its head-and-tail masks leave no noisy frame of 2 (a loss of
    NaN); here a quarter is at least one frame and the last frame stays noisy where nothing else would.

    Args:
        batch: number of clips.
        frames: latent frames; a single one is never given.
        generator: CPU generator of all draws; the global one if not given.
        probabilities: mix of masks, see `mask_mix`.

    Raises:
        UserError: a wrong mix.
    """
    mix = mask_mix(probabilities)
    weights = torch.tensor(list(mix.values()), dtype=torch.float64)
    picks = torch.multinomial(weights, batch, replacement=True, generator=generator)
    names = list(mix)
    return torch.stack([_draw(names[int(pick)], frames, generator) for pick in picks])


def _draw(name: str, frames: int, generator: torch.Generator | None) -> Tensor:
    noisy = torch.ones(frames, dtype=torch.bool)
    if frames == 1 or name == "identity":
        return noisy

    def below(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    if name == "random":
        share = 0.1 + 0.8 * float(torch.rand((), generator=generator))
        noisy = torch.rand(frames, generator=generator) > share
    elif name == "interpolate":
        noisy[below(2) :: 2] = False
    else:
        extent, _, place = name.partition("_")
        size = 1 if extent == "image" else 1 + below(max(1, frames // 4))
        if place == "random":
            start = below(frames - size + 1)
            noisy[start : start + size] = False
        if "head" in place:
            noisy[:size] = False
        if "tail" in place:
            noisy[frames - size :] = False
    if not noisy.any():
        noisy[-1] = True
    return noisy
