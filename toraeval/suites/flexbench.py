"""FlexBench of FlexTraj: prompts with dense point tracks and segments, of which one path per segment is taken.

Layout: bestzzhang/FlexTraj_code@9286170, `WAN/diffsynth/trainers/flex_dataset.py` (`get_validation_inputs`) and
`cond_vis.py`: tracks are a `.npy` with a pickled dict of (1,T,N,3) and (1,T,N), segments a pickle of COCO run lengths.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.inputs.text_files import is_file, is_folder, parse_json, read_text, shown
from toraeval.suites.shared.imported import ClipOnDisk, ImportedSuite
from toraeval.suites.shared.media import first_of_video, read_clip
from toraeval.suites.shared.run_lengths import decode
from toraeval.trajectories.array_files import as_array, flags
from toraeval.trajectories.formats import PathFile
from toraeval.types import BoolArray, FloatArray, Trajectories, UserError, Video, be, counted
from toraeval.video import read_picture

LISTING = "flexbench.json"


class FlexBench(ImportedSuite):
    """Cases of FlexBench: the path of a segment is the track that starts nearest to the middle of the segment.

    Args:
        path: the folder that holds `flexbench.json`.
        allow_missing: leave out incomplete cases and say so. Unaligned cases, whose tracks belong to another clip, are
            always left out: no path of theirs starts on the picture.

    Raises:
        UserError: the folder is not FlexBench's, or a case is incomplete.
    """

    name = "flexbench"
    licence = "not stated"
    native = "49 frames of 832x480 (Wan) or 720x480 (CogVideoX)"
    native_size = (49, 480, 832)
    captioned = True
    layout = "flexbench.json, a list of {prefix, validations}"

    def scan(self) -> list[ClipOnDisk]:
        """Return the aligned cases in the order of the list."""
        listing = self.path / LISTING if is_folder(self.path) else self.path
        if not self.require_files(LISTING, listing):
            return []
        try:
            groups = parse_json(read_text(listing))
            entries = [
                (group["prefix"], number, index, entry)
                for number, group in enumerate(groups)
                for index, entry in enumerate(group["validations"])
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{listing}: not FlexBench's list ({error}); expected: [{{prefix, validations: [...]}}, ...]"
            ) from error
        found = []
        for prefix, number, index, entry in entries:
            name = (
                str(entry.get("name", f"{number}_{index}"))
                if isinstance(entry, dict)
                else f"{number}_{index}"
            )
            try:
                clip = self._clip(listing.parent / str(prefix).strip("/"), name, entry)
            except (KeyError, TypeError, AttributeError) as error:
                self.problem(name, f"its entry lacks or misuses {error}")
                continue
            found += [clip] if clip else []
        return found

    def _clip(self, root: Path, name: str, entry: dict[str, Any]) -> ClipOnDisk | None:
        tracks, segments = (str(entry[f"{kind}_map_path"]) for kind in ("tracking", "seg"))
        if entry.get("unalign_config") or "," in tracks + segments:
            self.problem(
                name, "unaligned: its tracks belong to another clip, so no path starts on its picture"
            )
            return None
        video = _below(root, entry, "validation_video")
        picture = _below(root, entry, "input_image")
        prompt = entry["validation_prompt"]
        if not isinstance(prompt, str):
            raise TypeError(f"validation_prompt: {shown(prompt)}; expected: text")
        needed = [file for file in (video, picture) if file]
        if not needed:
            self.problem(name, "neither validation_video nor input_image")
            return None
        tracked, segmented = (_below(root, entry, f"{kind}_map_path") for kind in ("tracking", "seg"))
        assert tracked
        assert segmented
        files = (tracked, segmented, *needed)
        if not self.require_files(name, *files):
            return None
        first = partial(read_picture, picture) if picture else partial(first_of_video, needed[0])
        return ClipOnDisk(
            name=name,
            prompt=prompt,
            paths=partial(_paths, tracked, segmented),
            files=files,
            fps=16.0,
            picture=first,
            video=partial(_first_frames, video, root / tracks) if video and is_file(video) else None,
            tags={"real_video": bool(entry.get("is_real_video"))},
        )


def _below(root: Path, entry: dict[str, Any], key: str) -> Path | None:
    """Return a file that an entry names, or None; the authors put the text behind their folder's.

    Raises:
        TypeError: it is not text, or leads out of the folder.
    """
    if key not in entry:
        return None
    name = entry[key]
    if not isinstance(name, str) or ".." in Path(name).parts:
        raise TypeError(f"{key}: {shown(name)}; expected: a file below {root}")
    return root / name.lstrip("/")


def _first_frames(video: Path, tracks: Path) -> Video:
    """Return as many frames from the first on as the tracks have, as the authors' loader takes them."""
    clip = read_clip(video)
    return replace(clip, frames_TCHW=clip.frames_TCHW[: _tracks(tracks)[0].shape[1]])


def _paths(tracks: Path, segments: Path) -> Trajectories:
    """Return one path per segment of frame 0, on the canvas of the segments.

    Raises:
        UserError: the files hold something else, or no track starts in a segment.
    """
    places, visible = _tracks(tracks)
    masks = _segments(segments)
    height, width = masks.shape[1:]
    cells = np.clip(np.rint(places[:, 0]), 0, (width - 1, height - 1)).astype(int)
    chosen = []
    for mask in masks:
        inside = np.flatnonzero(mask[cells[:, 1], cells[:, 0]] & visible[:, 0])
        if inside.size:
            middle = np.argwhere(mask).mean(axis=0)[::-1]
            chosen.append(inside[np.argmin(np.linalg.norm(places[inside, 0] - middle, axis=1))])
    if not chosen:
        raise UserError(
            f"{tracks}: no track starts visibly in one of the {len(masks)} segments of {segments.name}"
        )
    notes = (
        f"{len(chosen)} of {counted(len(places), 'track')} {be(len(chosen))} taken, the middle one of every segment",
    )
    kept = np.unique(chosen)
    return Trajectories(places[kept], visible[kept], (width, height), None, str(tracks), notes=notes)


def _tracks(path: Path) -> tuple[FloatArray, BoolArray]:
    data = PathFile(path).objects
    while isinstance(data, list) and len(data) == 1:
        data = data[0]
    values = list(data.values()) if isinstance(data, dict) else []
    arrays = [as_array(path, "tracks", value) for value in values[:2]]
    if len(arrays) < 2 or arrays[0].ndim != 4 or arrays[0].shape[3] not in (2, 3) or len(arrays[0]) != 1:
        seen = ", ".join(str(np.shape(value)) for value in values) or type(data).__name__
        raise UserError(f"{path}: {seen}; expected: a dict of tracks (1,T,N,3) and visibility (1,T,N)")
    places = arrays[0][0].transpose(1, 0, 2)[..., :2].astype(np.float64)
    if not np.isfinite(places).all():
        raise UserError(f"{path}: coordinates must be finite numbers")
    squeezed = arrays[1][0] if arrays[1].ndim == 3 else arrays[1]
    return places, flags(path, "visibility", squeezed.T, places.shape[:2])


def _segments(path: Path) -> BoolArray:
    """Return bool (S, H, W), the segments of frame 0."""
    data = PathFile(path).objects
    first = data[0] if isinstance(data, list | dict) and len(data) else None
    if not isinstance(first, list) or not first or not all(isinstance(item, dict) for item in first):
        raise UserError(f"{path}: expected: per frame a list of COCO run lengths {{size, counts}}")
    return np.stack([decode(path, item) for item in first])
