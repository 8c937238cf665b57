"""Drawing of target and tracked paths on frames."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from toraeval.types import BoolArray, ByteArray, FloatArray, Trajectories, UserError, Video, counted

# Okabe and Ito's palette: the eight colours stay apart for colour-blind readers.
PATH_COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (255, 255, 255),
)
_SCALE = 2
_FUTURE_ALPHA = 70
_OLDEST_ALPHA = 110


def draw_paths(
    frame_HWC: ByteArray,
    target_NT2: FloatArray,
    tracked_NT2: FloatArray | None = None,
    upto: int | None = None,
    target_visible_NT: BoolArray | None = None,
    tracked_visible_NT: BoolArray | None = None,
) -> ByteArray:
    """Draw target paths, and optionally tracked ones, on a copy of a frame.

    Target: coloured line, bright up to the current moment (fading into the past) and faint beyond, with a filled
    dot. Tracked: white-edged line in the same colour with a ring, joined to the target's dot by a thin line.
    Moments that are not visible get no dot, and lines between them stay faint.

    Args:
        frame_HWC: uint8 RGB.
        target_NT2: float `(x, y)` pixels of the frame, pixel centres at integers.
        tracked_NT2: likewise, or None; its T may differ.
        upto: current moment, from 0; None means the last one.
        target_visible_NT: bool, or None for visible everywhere.
        tracked_visible_NT: likewise.

    Returns:
        uint8 RGB (H, W, 3); pixels that no line touches keep their values.

    Raises:
        UserError: frame or paths have the wrong shape, or `upto` is outside the path.
    """
    frame = np.ascontiguousarray(frame_HWC)
    target = np.asarray(target_NT2, dtype=np.float64)
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise UserError(f"draw: frame {frame.dtype} {frame.shape}; allowed: uint8 (H, W, 3)")
    if target.ndim != 3 or target.shape[2] != 2:
        raise UserError(f"draw: paths {target.shape}; allowed: (N, T, 2)")
    current = target.shape[1] - 1 if upto is None else upto
    if not 0 <= current < target.shape[1]:
        raise UserError(f"draw: upto={upto}; allowed: 0..{target.shape[1] - 1}")
    height, width = frame.shape[:2]
    # The lines are drawn on their own layer at twice the size, so that the frame below stays untouched.
    layer = Image.new("RGBA", (width * _SCALE, height * _SCALE), (0, 0, 0, 0))
    pen = _Pen(ImageDraw.Draw(layer), max(1.0, min(width, height) / 256) * _SCALE)
    for index, path in enumerate(target):
        seen = _flags(target_visible_NT, index, len(path))
        pen.target(_enlarge(path), seen, current, PATH_COLOURS[index % len(PATH_COLOURS)])
    for index, path in enumerate(() if tracked_NT2 is None else np.asarray(tracked_NT2, dtype=np.float64)):
        seen = _flags(tracked_visible_NT, index, len(path))
        goal = _enlarge(target[index])[current] if index < len(target) else None
        pen.tracked(
            _enlarge(path), seen, min(current, len(path) - 1), PATH_COLOURS[index % len(PATH_COLOURS)], goal
        )
    small = layer.resize((width, height), Image.Resampling.BOX)
    drawn = Image.alpha_composite(Image.fromarray(frame).convert("RGBA"), small)
    return np.asarray(drawn.convert("RGB"), dtype=np.uint8).copy()


def draw_clip(
    video: Video,
    target: Trajectories,
    tracked_NT2: FloatArray | None = None,
    tracked_visible_NT: BoolArray | None = None,
) -> Video:
    """Draw the paths on every frame of a clip, each frame showing its own moment.

    Raises:
        UserError: canvas or moments of the target differ from the clip's.
    """
    if target.canvas != (video.width, video.height) or target.num_frames != video.num_frames:
        raise UserError(
            f"draw: paths of {counted(target.num_frames, 'moment')} on {target.canvas}; "
            f"allowed: {counted(video.num_frames, 'moment')} on {(video.width, video.height)}"
        )
    frames = [
        draw_paths(frame, target.tracks_NT2, tracked_NT2, moment, target.visible_NT, tracked_visible_NT)
        for moment, frame in enumerate(video.thwc)
    ]
    return Video.from_thwc(np.stack(frames), video.fps, {**video.info, "drawn_paths": True})


class _Pen:
    """Lines and dots on the enlarged layer; `unit` is the width of one line in layer pixels."""

    def __init__(self, draw: ImageDraw.ImageDraw, unit: float) -> None:
        self.draw = draw
        self.unit = unit

    def target(
        self, path_T2: FloatArray, seen_T: BoolArray, current: int, colour: tuple[int, int, int]
    ) -> None:
        for step in range(len(path_T2) - 1):
            alpha = _FUTURE_ALPHA
            if step < current and (seen_T[step] or seen_T[step + 1]):
                alpha = int(_OLDEST_ALPHA + (255 - _OLDEST_ALPHA) * (step + 1) / max(current, 1))
            self._line(path_T2[step], path_T2[step + 1], (*colour, alpha), 2 * self.unit)
        if seen_T[current]:
            self._dot(path_T2[current], 4.5 * self.unit, fill=(*colour, 255), outline=(0, 0, 0, 255))

    def tracked(
        self,
        path_T2: FloatArray,
        seen_T: BoolArray,
        current: int,
        colour: tuple[int, int, int],
        goal: FloatArray | None,
    ) -> None:
        for line, width in (((255, 255, 255), 2.0), (tuple(int(0.6 * value) for value in colour), 1.0)):
            for step in range(current):
                alpha = 220 if seen_T[step] or seen_T[step + 1] else _FUTURE_ALPHA
                self._line(path_T2[step], path_T2[step + 1], (*line, alpha), width * self.unit)
        if goal is not None:
            self._line(path_T2[current], goal, (255, 255, 255, 200), self.unit)
        if seen_T[current]:
            self._dot(path_T2[current], 4.5 * self.unit, fill=None, outline=(255, 255, 255, 255))
            self._dot(path_T2[current], 3.5 * self.unit, fill=None, outline=(0, 0, 0, 255))

    def _line(self, start: FloatArray, stop: FloatArray, colour: tuple[int, ...], width: float) -> None:
        points = [(float(x), float(y)) for x, y in (start, stop)]
        self.draw.line(points, fill=colour, width=max(1, round(width)))
        # Round ends: Pillow leaves wedges open at bends and draws nothing for steps below a pixel.
        for x, y in points:
            self.draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=colour)

    def _dot(
        self,
        centre: FloatArray,
        radius: float,
        fill: tuple[int, int, int, int] | None,
        outline: tuple[int, int, int, int],
    ) -> None:
        x, y = (float(value) for value in centre)
        box = (x - radius, y - radius, x + radius, y + radius)
        self.draw.ellipse(box, fill=fill, outline=outline, width=max(1, round(self.unit)))


def _enlarge(path_T2: FloatArray) -> FloatArray:
    enlarged: FloatArray = (path_T2 + 0.5) * _SCALE - 0.5
    # Pillow overflows on far-away coordinates; a lost track may be anywhere.
    return np.clip(enlarged, -20_000, 20_000)


def _flags(visible_NT: BoolArray | None, index: int, length: int) -> BoolArray:
    return (
        np.ones(length, dtype=np.bool_)
        if visible_NT is None
        else np.asarray(visible_NT[index], dtype=np.bool_)
    )
