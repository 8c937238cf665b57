"""MoveBench, the benchmark of Wan-Move: real clips with captions and tracked points.

Layout and protocol: ali-vilab/Wan-Move@27409be, `generate.py`; dataset `Ruihang/MoveBench`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from toraeval.inputs.text_files import is_file, read_text, split_lines
from toraeval.suites.shared.imported import ClipOnDisk, ImportedSuite
from toraeval.suites.shared.media import any_case, read_clip
from toraeval.suites.shared.points import on_picture
from toraeval.trajectories.formats import PathFile, wan_move
from toraeval.types import Trajectories
from toraeval.video import picture_size, read_picture


class MoveBench(ImportedSuite):
    """Cases of MoveBench; the paths are tracks of real clips, so `ground_truth` is the real clip where it is there.

    Args:
        path: the folder `MoveBench`, which holds `en/` and `zh/`.
        language: `en` or `zh`, of the captions.
        tracks: `single` (1018 cases) or `multi` (192): one or several points per case.
        allow_missing: leave out incomplete cases and say so.

    Raises:
        UserError: the folder is not MoveBench's, or a case is incomplete.
    """

    name = "movebench"
    licence = "MIT; clips under the Pexels licence"
    native = "81 frames of 832x480 at 16 fps"
    native_size = (81, 480, 832)
    captioned = True
    layout = "{en,zh}/{single,multi}_track.txt, first_frame/<id>.jpg, track/{single,multi}/<id>_tracks.npy"
    choices: ClassVar = {"language": ("en", "zh"), "tracks": ("single", "multi")}

    def __init__(
        self,
        path: str,
        language: str = "en",
        tracks: str = "single",
        allow_missing: bool = False,
    ) -> None:
        self.language, self.tracks = language, tracks
        super().__init__(path, allow_missing, language=language, tracks=tracks)

    def scan(self) -> list[ClipOnDisk]:
        """Return the clips in the order of the list file; the caption is what follows the first comma of a line."""
        root = self.path / self.language
        listing = root / f"{self.tracks}_track.txt"
        if not self.require_files(listing.name, listing):
            return []
        found: list[ClipOnDisk] = []
        rows = [line.strip() for line in split_lines(read_text(listing))]
        rows = [row for row in rows if row and not row.startswith("#")]
        for index, row in enumerate(rows):
            video, _, caption = row.partition(",")
            identifier = Path(video.strip()).stem
            if not identifier:
                self.problem(row, f"without a name in {listing.name}")
                continue
            clip = self._clip(root, identifier, caption.strip(), index)
            found += [clip] if clip else []
        return found

    def _clip(self, root: Path, identifier: str, caption: str, index: int) -> ClipOnDisk | None:
        picture = any_case(root / "first_frame" / f"{identifier}.jpg")
        tracks, visibility = (
            root / "track" / self.tracks / f"{identifier}_{kind}.npy" for kind in ("tracks", "visibility")
        )
        if not self.require_files(identifier, picture, tracks, visibility):
            return None
        video = any_case(root / "video" / f"{identifier}.mp4")
        return ClipOnDisk(
            name=identifier,
            prompt=caption,
            paths=partial(_paths, tracks, picture),
            files=(picture, tracks, visibility),
            fps=16.0,
            picture=partial(read_picture, picture),
            video=partial(read_clip, video) if is_file(video) else None,
            tags={"tracks": self.tracks, "language": self.language},
            seed=index,  # generate.py adds the place in the list to its base seed
        )


def _paths(tracks: Path, picture: Path) -> Trajectories:
    return on_picture(wan_move.read(PathFile(tracks)), picture_size(picture), str(tracks))
