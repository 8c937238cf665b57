"""MagicData and MagicBench of MagicMotion: real clips with colour maps of masks and boxes.

Layout: the dataset card of `quanhaol/MagicData`; loading as quanhaol/MagicMotion@7642d61 does: an object is a colour of
the first map, frames of a clip are picked by `linspace` rounded down. The evaluation code is not published.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from toraeval.inputs.picture_folder import picture_files
from toraeval.inputs.text_files import csv_rows, is_file, is_folder, shown
from toraeval.suites.shared.imported import ClipOnDisk, ImportedSuite
from toraeval.suites.shared.media import any_case, first_of_video, read_clip
from toraeval.trajectories.colour_maps import centres, colour_masks
from toraeval.types import UserError

VIDEO_COLUMNS, CAPTION_COLUMNS = ("video", "video_path", "path", "file"), ("caption", "prompt", "text")


class MagicData(ImportedSuite):
    """Cases of MagicData: paths are centroids of the coloured masks, `ground_truth` is the real clip.

    Args:
        path: the folder that holds `videos/` and `masks/` or `boxs/`.
        maps: `masks`, or `boxs` (outlines of boxes, filled here).
        allow_missing: leave out incomplete cases and say so.

    Raises:
        UserError: the folder is not MagicData's, or a case is incomplete.
    """

    name = "magicdata"
    licence = "Apache-2.0"
    native = "49 frames of 720x480 at 8 fps"
    native_size = (49, 480, 720)
    captioned = True
    layout = "videos/<id>.mp4, masks/<id>/annotated_frame_00000.png ..., MagicData.csv with captions"
    choices: ClassVar = {"maps": ("masks", "boxs")}

    def __init__(self, path: str, maps: str = "masks", allow_missing: bool = False) -> None:
        self.maps = maps
        self.captions: dict[str, str] = {}
        super().__init__(path, allow_missing, maps=maps)

    def scan(self) -> list[ClipOnDisk]:
        """Return the clips by name: every folder of maps with a video; a video without maps is a problem."""
        table, maps, videos = self.path / "MagicData.csv", self.path / self.maps, self.path / "videos"
        if is_file(table):
            self.captions = _captions(table)
        drawn = (
            sorted(folder.name for folder in maps.iterdir() if is_folder(folder)) if is_folder(maps) else []
        )
        filmed = (
            sorted(file.stem for file in videos.iterdir() if file.suffix.lower() == ".mp4")
            if is_folder(videos)
            else []
        )
        for name in sorted(set(filmed) - set(drawn)):
            self.problem(name, f"{self.maps}/{name}/ is missing")
        return [
            clip
            for name in drawn
            if (clip := self._clip(name, maps / name, any_case(videos / f"{name}.mp4")))
        ]

    def _clip(self, name: str, maps: Path, video: Path) -> ClipOnDisk | None:
        if not self.require_files(name, video):
            return None
        files = picture_files(maps)
        if not files:
            self.problem(name, f"{self.maps}/{name}/ holds no maps")
            return None
        masks = partial(colour_masks, maps, boxes=self.maps == "boxs")
        return ClipOnDisk(
            name=name,
            prompt=self.captions.get(name, ""),
            paths=partial(centres, masks, str(maps), 8.0),
            files=(*files, video),
            fps=8.0,
            picture=partial(first_of_video, video),
            video=partial(read_clip, video),
            masks=masks,
            tags={"caption": name in self.captions},
        )


def _captions(table: Path) -> dict[str, str]:
    """Return captions by the names of their videos.

    Raises:
        UserError: the table has no column for one of the two, whose names are not published, or two captions of a
            video.
    """
    captions: dict[str, str] = {}
    for line, row in csv_rows(table):
        columns = {name.strip().lower(): name for name in row}
        video, caption = (
            next((columns[name] for name in known if name in columns), None)
            for known in (VIDEO_COLUMNS, CAPTION_COLUMNS)
        )
        if video is None or caption is None:
            raise UserError(
                f"{table}:{line}: columns {', '.join(row)}; expected: one of {', '.join(VIDEO_COLUMNS)} and one of "
                f"{', '.join(CAPTION_COLUMNS)}"
            )
        name, text = Path(row[video]).stem, " ".join(row[caption].split())
        if captions.setdefault(name, text) != text:
            raise UserError(
                f"{table}:{line}: another caption of {name}: {shown(text)}; the first one: {shown(captions[name])}; "
                "allowed: one caption per video"
            )
    return captions
