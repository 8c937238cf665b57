"""Kubric clips with exact point tracks, in the export of CoTracker.

Layout: facebookresearch/co-tracker@82e02e8, `cotracker/datasets/kubric_movif_dataset.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from toraeval.inputs.picture_folder import picture_files
from toraeval.inputs.text_files import is_folder
from toraeval.suites.shared.imported import ClipOnDisk, ImportedSuite
from toraeval.suites.shared.media import read_clip
from toraeval.suites.shared.points import choose_points, on_picture, require_points
from toraeval.trajectories.formats import PathFile, kubric
from toraeval.types import Trajectories
from toraeval.video import picture_size, read_picture


class Kubric(ImportedSuite):
    """Rendered clips with exact tracks of many points, of which some are taken.

    Args:
        path: the folder that holds one folder per clip.
        points: how many of the points that are visible in frame 0 are taken, evenly spread over their list.
        allow_missing: leave out incomplete cases and say so.

    Raises:
        UserError: no clip there, a clip is incomplete, or `points` is below 1.
    """

    name = "kubric"
    licence = "Apache-2.0 (Kubric); assets: see the export"
    native = "24 to 120 frames of 512x512; no captions"
    native_size = (24, 512, 512)
    layout = "<clip>/frames/*.png and <clip>/<clip>.npy"

    def __init__(self, path: str, points: int = 16, allow_missing: bool = False) -> None:
        self.points = require_points(self.name, points)
        super().__init__(path, allow_missing, points=points)

    def scan(self) -> list[ClipOnDisk]:
        """Return the clips by name."""
        if not is_folder(self.path):
            return []
        folders = sorted(f for f in self.path.iterdir() if is_folder(f) and not f.name.startswith("."))
        return [clip for folder in folders if (clip := self._clip(folder))]

    def _clip(self, folder: Path) -> ClipOnDisk | None:
        tracks, frames = folder / f"{folder.name}.npy", folder / "frames"
        if not is_folder(frames) and not tracks.exists():
            return None  # another folder of the user's
        if not self.require_files(folder.name, tracks):
            return None
        pictures = picture_files(frames) if is_folder(frames) else []
        if not pictures:
            self.problem(folder.name, "frames/ is missing or holds no pictures")
            return None
        return ClipOnDisk(
            name=folder.name,
            prompt="",
            paths=partial(self._paths, tracks, pictures[0]),
            files=(tracks, pictures[0]),
            fps=12.0,
            picture=partial(read_picture, pictures[0]),
            video=partial(read_clip, frames, 12.0),
        )

    def _paths(self, tracks: Path, picture: Path) -> Trajectories:
        paths = on_picture(kubric.read(PathFile(tracks)), picture_size(picture), str(tracks))
        return choose_points(paths, self.points)
