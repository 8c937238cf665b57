"""Contact sheets: the same case by every model, frames across, asked and tracked path drawn in.

Shape legend: N objects, T frames, H height, W width.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toraeval.geometry import scale_points
from toraeval.report.collect import Group, ReportedRun
from toraeval.report.measures import Measure, main_measure, worst_first
from toraeval.report.pictures import is_drawn, picture_key, save_keyed
from toraeval.store.keys import file_sha256
from toraeval.store.main_metric import MAIN_METRIC
from toraeval.store.sealed import atomic, read_json
from toraeval.store.slot import TRACKS, VIDEO_META
from toraeval.store.tables.run import CaseResult
from toraeval.trajectories import draw
from toraeval.trajectories.draw import draw_paths
from toraeval.types import ByteArray, UserError, counted
from toraeval.video import probe_video, read_frames

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

TILES = 8
TILE_PX = 192
LABEL_PX = 190
GAP_PX = 4
INK, QUIET, PAPER = "#111111", "#666666", "#ffffff"


@dataclass(frozen=True)
class Sheet:
    """A written contact sheet.

    Attributes:
        path: the WebP file.
        case, frames: what it shows.
        prompt: the case's caption.
        error: mean main value of the models on it; NaN when no model was scored.
        rank: 1 for the worst case of its length.
        of: number of cases of its length.
    """

    path: Path
    case: str
    frames: int
    prompt: str
    error: float
    rank: int
    of: int


@dataclass(frozen=True)
class _Row:
    """One model on one case: `shown` are the frames drawn as tiles, from the file `video` of `width` x `height`."""

    label: str
    detail: str
    video: Path
    stored: CaseResult
    width: int
    height: int

    @property
    def frames(self) -> int:
        return int(self.stored.target_NT2.shape[1])

    @property
    def shown(self) -> list[int]:
        return [int(moment) for moment in np.round(np.linspace(0, self.frames - 1, min(TILES, self.frames)))]

    @property
    def tile(self) -> tuple[int, int]:
        return TILE_PX, max(1, round(TILE_PX * self.height / self.width))

    def content(self) -> list[str]:
        """Return what the row's pixels depend on, as hashes and words."""
        stored = self.stored
        arrays = (stored.target_NT2, stored.target_visible_NT, stored.tracks_NT2, stored.visible_NT)
        paths = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))
        return [self.label, self.detail, file_sha256(self.video), paths.hexdigest()]

    def tiles(self) -> list[ByteArray]:
        """Decode the video and draw the paths into the frames that are shown.

        Raises:
            UserError: the video is shorter than its path.
        """
        pictures, count = read_frames(self.video, self.shown)
        if count < self.frames:
            raise UserError(
                f"{self.video}: {counted(count, 'frame')}, expected {self.frames}; generate it again"
            )
        size = (pictures.shape[2], pictures.shape[1])
        target = scale_points(self.stored.target_NT2, size, self.tile)
        tracked = scale_points(self.stored.tracks_NT2, size, self.tile)
        seen = (self.stored.target_visible_NT, self.stored.visible_NT)
        return [
            draw_paths(_shrink(picture, self.tile), target, tracked, moment, *seen)
            for picture, moment in zip(pictures, self.shown, strict=True)
        ]


def write_sheets(group: Group, folder: Path, per_length: int | None = 3) -> list[Sheet]:
    """Write contact sheets of every length, spread evenly from the worst case to the best.

    The choice follows from the errors alone, so that nobody picks flattering examples. Cases of which no
    video was kept are passed over.

    Args:
        group: runs that share a table.
        folder: where the pictures go.
        per_length: sheets per length, or None for every case.

    Returns:
        The sheets, by length, worst first.
    """
    written = []
    measure = main_measure(group)
    for frames in group.lengths:
        ranked = worst_first(group.at(frames), measure.direction, group.main_column)
        usable = [
            case
            for case in ranked
            if any(_video_of(entry, _sample_of(entry, case)) for entry in group.at(frames))
        ]
        written += [
            _write_sheet(group.at(frames), case, ranked, folder, measure)
            for case in spread(usable, per_length)
        ]
    return written


def spread(ranked: list[str], count: int | None) -> list[str]:
    """Return `count` items at even distances, first and last included; all when there are no more."""
    if count is None or count >= len(ranked):
        return ranked
    if count < 2:
        return ranked[:count]
    return [ranked[int(i)] for i in np.round(np.linspace(0, len(ranked) - 1, count))]


def _write_sheet(
    entries: list[ReportedRun], case: str, ranked: dict[str, float], folder: Path, main: Measure
) -> Sheet:
    rows = [row for entry in entries if (row := _row(entry, case, main)) is not None]
    frames, width, height = rows[0].frames, rows[0].width, rows[0].height
    prompt = next((text for entry in entries if (text := _prompt(entry, case))), "")
    path = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', case)}_{frames:03d}f.webp"
    rank = list(ranked).index(case) + 1
    title = f"{case}   {frames} frames at {width}x{height}   "
    if np.isfinite(ranked[case]):
        whose = "references" if all(entry.is_reference for entry in entries) else "models"
        if main.name == MAIN_METRIC:
            title += f"mean TrajError of the {whose} {ranked[case]:.1f} px   "
        else:
            title += f"mean {main.main[0]} of the {whose} {ranked[case]:.4g} {main.unit}   "
    title += f"(rank {rank} of {len(ranked)}, 1 = worst)"
    key = picture_key(title, prompt, [row.content() for row in rows], code=(__file__, draw.__file__))
    if not is_drawn(path, key):
        picture = _compose(title, prompt, rows)
        atomic(path, lambda temporary: save_keyed(picture, temporary, key))
    return Sheet(path, case, frames, prompt, ranked[case], rank, len(ranked))


def _sample_of(entry: ReportedRun, case: str) -> dict[str, Any]:
    """Return the row of the sample with the lowest seed of a case; empty if there is none."""
    rows = entry.cases[entry.cases["case"].astype(str) == case]
    return {} if rows.empty else rows.sort_values("seed").iloc[0].to_dict()


def _video_of(entry: ReportedRun, sample: Mapping[str, Any]) -> Path | None:
    """Return the kept video of a sample, None also where it was never tracked: the sheet shows the other models."""
    if not sample or (sample["status"] != "ok" and not (_folder(entry, sample) / TRACKS).is_file()):
        return None
    return entry.run.video_file(str(sample["sample"]))


def _folder(entry: ReportedRun, sample: Mapping[str, Any]) -> Path:
    return entry.run.slot(str(sample["sample"])).folder


def _prompt(entry: ReportedRun, case: str) -> str:
    sample = _sample_of(entry, case)
    stored = (read_json(_folder(entry, sample) / VIDEO_META) if sample else None) or {}
    return str(stored.get("prompt") or stored.get("prompt_sent") or "")


def _row(entry: ReportedRun, case: str, main: Measure) -> _Row | None:
    sample = _sample_of(entry, case)
    path = _video_of(entry, sample)
    if path is None:
        return None
    size = probe_video(path)
    value = float(sample.get(main.main[0], np.nan))
    detail = f"{value:.2f} px" if main.name == MAIN_METRIC else f"{value:.4g} {main.unit}"
    if np.isnan(value):
        detail = "" if main.of_set else "not scored"
    return _Row(
        entry.label, detail, path, entry.run.load_case(str(sample["sample"])), size.width, size.height
    )


def _shrink(frame_HWC: ByteArray, size: tuple[int, int]) -> ByteArray:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(frame_HWC)).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture).copy()


def _font(size: int, bold: bool = False) -> FreeTypeFont:
    """Return DejaVu Sans as matplotlib ships it: the same letters on every machine."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def _compose(title: str, prompt: str, rows: list[_Row]) -> Image:
    from PIL import Image, ImageDraw

    moments = rows[0].shown
    tile_height = rows[0].tile[1]
    width = LABEL_PX + len(moments) * (TILE_PX + GAP_PX)
    words = textwrap.wrap(prompt, max(20, width // 8)) or []
    top = 36 + 20 * len(words) + 54
    picture = Image.new("RGB", (width, top + len(rows) * (tile_height + GAP_PX)), PAPER)
    pen = ImageDraw.Draw(picture)
    write = partial(pen.text, fill=INK)
    write((10, 8), " ".join(title.split()), font=_font(16, bold=True))
    for i, line in enumerate(words):
        write((10, 34 + 20 * i), line, font=_font(14))
    _legend(pen, top - 44)
    for k, moment in enumerate(moments):
        left = LABEL_PX + k * (TILE_PX + GAP_PX)
        pen.text((left + TILE_PX / 2, top - 14), f"frame {moment}", font=_font(13), fill=QUIET, anchor="mm")
    for i, row in enumerate(rows):
        y = top + i * (tile_height + GAP_PX)
        middle = y + tile_height / 2
        label = _fitted(" ".join(row.label.split()), LABEL_PX - 20)
        write((10, middle - 14), label, font=_font(15, bold=True), anchor="lm")
        write((10, middle + 10), row.detail, font=_font(14), anchor="lm")
        for k, tile in enumerate(row.tiles()):
            picture.paste(Image.fromarray(tile), (LABEL_PX + k * (TILE_PX + GAP_PX), y))
    return picture


def _fitted(text: str, width: int) -> str:
    """Shorten a label so that it ends before the first frame."""
    font = _font(15, bold=True)
    while font.getlength(text) > width and len(text) > 4:
        text = text[:-2].rstrip("…") + "…"
    return text


def _legend(pen: ImageDraw, y: int) -> None:
    """Explain the two marks that `draw_paths` leaves on a frame."""
    asked = ("#E69F00", "#E69F00", 5, 1, "asked path (faint: still to come)")
    seen = (INK, "#bbbbbb", 6, 2, "path the tracker saw, joined to where the object should be")
    for x, (line, disc, radius, rim, words) in ((16, asked), (300, seen)):
        pen.line((x - 8, y, x + 8, y), fill=line, width=3)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=disc, outline=INK, width=rim)
        pen.text((x + 16, y), words, font=_font(13), fill=INK, anchor="lm")
