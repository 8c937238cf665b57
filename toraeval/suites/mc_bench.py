"""MC-Bench, the benchmark of MotionPro: paths drawn by people on real first frames, without a target video.

Layout and protocol: HiDream-ai/MotionPro@347097c, `eval_mc_bench.py`, `tools/eval_co_tracker_acc.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from toraeval.inputs.text_files import is_file, is_folder
from toraeval.suites.shared.imported import ClipOnDisk, ImportedSuite
from toraeval.suites.shared.media import any_case
from toraeval.trajectories import PathReading, read_paths
from toraeval.types import Trajectories
from toraeval.video import read_picture

CONTROL_KINDS = ("object_control", "Fine_grained_control")


class MCBench(ImportedSuite):
    """Cases of MC-Bench; there is no real clip, so nothing can be compared with one.

    Args:
        path: the folder `MC-Bench`.
        kind: `all`, `object_control` or `Fine_grained_control`.
        paths: `scored` takes `meta_data_new.json`, which the authors score on; `given` takes `meta_data.json`, which
            they generate from.
        allow_missing: leave out incomplete cases and say so.

    Raises:
        UserError: the folder is not MC-Bench's, or a case is incomplete.
    """

    name = "mc_bench"
    licence = "Apache-2.0 (code); pictures: see the dataset"
    native = "16 frames of 512x320, 512x512 or 320x512 at 8 fps"
    native_size = (16, 320, 512)
    layout = "{object_control,Fine_grained_control}/<case>/ with first_frame.png and meta_data_new.json"
    choices: ClassVar = {"kind": ("all", *CONTROL_KINDS), "paths": ("scored", "given")}

    def __init__(
        self,
        path: str,
        kind: str = "all",
        paths: str = "scored",
        allow_missing: bool = False,
    ) -> None:
        self.kind, self.paths = kind, paths
        super().__init__(path, allow_missing, kind=kind, paths=paths)

    def scan(self) -> list[ClipOnDisk]:
        """Return the clips of the chosen kinds, sorted by name."""
        kinds = CONTROL_KINDS if self.kind == "all" else (self.kind,)
        found = []
        for kind in kinds:
            folder = self.path / kind
            if is_folder(folder):
                cases = sorted(case for case in folder.iterdir() if is_folder(case) and case.name[0] != ".")
                found += [clip for case in cases if (clip := self._clip(kind, case))]
            elif self.kind != "all":
                self.problem(kind, "this folder is missing")
        return found

    def _clip(self, kind: str, folder: Path) -> ClipOnDisk | None:
        name = f"{kind}_{folder.name}"
        picture = any_case(folder / "first_frame.png")
        paths = folder / ("meta_data_new.json" if self.paths == "scored" else "meta_data.json")
        if not self.require_files(name, picture, paths):
            return None
        mask = folder / "first_frame_mask.png"
        return ClipOnDisk(
            name=name,
            prompt="",
            paths=partial(_paths, paths),
            files=(picture, paths),
            fps=8.0,
            picture=partial(read_picture, picture),
            tags={"kind": kind, "brush_mask": is_file(mask)},
        )


def _paths(file: Path) -> Trajectories:
    return read_paths(file, PathReading(format="mc_bench", prefix=None))
