"""DAVIS: real clips with object masks; a path is the centroid of an object's mask.

Layout: the DAVIS 2016 and 2017 releases (`JPEGImages`, `Annotations`, `ImageSets`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from toraeval.inputs.picture_folder import picture_files
from toraeval.inputs.text_files import is_folder, read_text, split_lines
from toraeval.suites.shared.imported import ClipOnDisk, ImportedSuite
from toraeval.suites.shared.media import first_of_folder, index_masks, read_clip
from toraeval.trajectories.colour_maps import centres
from toraeval.types import counted


class Davis(ImportedSuite):
    """Cases of DAVIS: `ground_truth` is the real clip, and masks go to box_iou and mask_iou.

    Args:
        path: the folder `DAVIS`.
        split: a list in `ImageSets/<year>/`, e.g. `val` or `train`.
        year: 2017 (several objects) or 2016.
        resolution: folder below `JPEGImages`: `480p` or `Full-Resolution`.
        allow_missing: leave out incomplete cases and say so.

    Raises:
        UserError: the folder is not DAVIS's, or a case is incomplete.
    """

    name = "davis"
    licence = "CC BY 4.0 for the authors' own clips; SOURCES.md of the dataset names the others"
    native = "25 to 104 frames, mostly 854x480, at 24 fps; no captions"
    native_size = (49, 480, 854)
    layout = "ImageSets/<year>/<split>.txt, JPEGImages/480p/<clip>/, Annotations/480p/<clip>/"

    def __init__(
        self,
        path: str,
        split: str = "val",
        year: int = 2017,
        resolution: str = "480p",
        allow_missing: bool = False,
    ) -> None:
        self.split, self.year, self.resolution = split, year, resolution
        super().__init__(path, allow_missing, split=split, year=year, resolution=resolution)

    def scan(self) -> list[ClipOnDisk]:
        """Return the clips of the list; of the pairs of files that DAVIS 2016 lists, the clip's folder."""
        listing = self.path / "ImageSets" / str(self.year) / f"{self.split}.txt"
        if not self.require_files(f"{self.year}/{self.split}", listing):
            return []
        names = dict.fromkeys(_clip_name(line) for line in split_lines(read_text(listing)) if line.strip())
        return [clip for name in names if (clip := self._clip(name))]

    def _clip(self, name: str) -> ClipOnDisk | None:
        pictures, annotations = (
            self.path / kind / self.resolution / name for kind in ("JPEGImages", "Annotations")
        )
        for folder in (pictures, annotations):
            if not is_folder(folder):
                self.problem(name, f"{folder.relative_to(self.path).as_posix()}/ is missing")
                return None
        frames, masks = picture_files(pictures), tuple(picture_files(annotations))
        if not frames or [file.stem for file in frames] != [file.stem for file in masks]:
            self.problem(
                name,
                f"{counted(len(frames), 'picture')} and {counted(len(masks), 'annotation')}; expected: one for each",
            )
            return None
        read = partial(index_masks, masks, one_object=self.year == 2016)
        return ClipOnDisk(
            name=name,
            prompt="",
            paths=partial(centres, read, str(annotations), 24.0),
            files=(*masks, frames[0]),
            fps=24.0,
            picture=partial(first_of_folder, pictures),
            video=partial(read_clip, pictures, 24.0),
            masks=read,
        )


def _clip_name(line: str) -> str:
    first = line.split()[0]
    return Path(first).parent.name if "/" in first else first
