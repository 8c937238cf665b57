"""Videos that exist already: a folder of any method's clips enters the same table as the models."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from toraeval.inputs.clip_listing import Listing, list_clips
from toraeval.inputs.picture_folder import picture_files, read_pictures
from toraeval.inputs.text_files import listed
from toraeval.models.shared.base import Generator
from toraeval.store.keys import digest, file_sha256, short
from toraeval.store.slot import sample_id
from toraeval.types import Case, UserError, Video, counted
from toraeval.video import read_video

FRAMES = "{frames}"


class GivenClips(Generator):
    """Clips that exist, by sample id; what reads them, and what tells one set from another.

    Args:
        label: name in tables.
        source: the place that they come from: two places of one name are two methods, so they share no run folder.
        files: the clips, for every length.
        cut: take the first frames of a clip that is longer than asked. Clips are never stretched, padded or
            resized.
        allow_damaged: take what decodes of a damaged or cut file; its row says so.
    """

    name = "precomputed"
    version = "2"  # raised with `READER_VERSION`

    def __init__(
        self,
        label: str | None,
        source: Path,
        files: Mapping[str, Path],
        cut: bool = False,
        allow_damaged: bool = False,
    ) -> None:
        self.label, self.source, self.cut, self.allow_damaged = label, source, cut, allow_damaged
        self._files = Listing(files)

    def listing(self, frames: int) -> Listing:
        """Return the clips of one length."""
        return self._files

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, label, rule and a hash of the place; `case_fingerprint` covers the files."""
        made = {
            "model": self.name,
            "version": self.version,
            "label": self.label,
            "cut": self.cut,
            "place": short(digest(str(self.source.resolve()))),
        }
        return {**made, "allow_damaged": True} if self.allow_damaged else made

    def case_fingerprint(self, case: Case) -> dict[str, Any]:
        """Return the hash of the case's files, one per seed, so that a replaced file is read again."""
        prefix = f"{case.id}.seed"
        files = self.listing(case.frames).files
        mine = {name: path for name, path in files.items() if name == case.id or name.startswith(prefix)}
        return {name: files_sha256(path) for name, path in sorted(mine.items())}

    def check_case(self, case: Case, seed: int) -> None:
        """Refuse a case without a clip; no clip is read.

        Raises:
            UserError: no clip for this case and seed.
        """
        name, files = sample_id(case.id, seed), self.listing(case.frames).files
        if name not in files:
            near = difflib.get_close_matches(name, files, n=1, cutoff=0.5)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise UserError(
                f"{self.source}: unknown video '{name}'.{hint} There are {len(files)}: {listed(sorted(files), 5)}"
            )

    def generate(self, case: Case, seed: int) -> Video:
        """Return the clip of the case at its requested length and its own frame rate.

        Raises:
            UserError: no clip for this case and seed, or its length or size differs from what is asked.
        """
        name = sample_id(case.id, seed)
        clips = self.listing(case.frames)
        self.check_case(case, seed)
        path = clips.files[name]
        video = read_pictures(path, case.fps) if path.is_dir() else read_video(path, self.allow_damaged)
        length_mode = "exact"
        info = {"file": path.name, "generated": video.num_frames, **dict(video.info)}
        if name in clips.notes:
            info["notes"] = clips.notes[name]
        if self.cut and video.num_frames > case.frames:
            video, length_mode = replace(video, frames_TCHW=video.frames_TCHW[: case.frames]), "cut"
        if video.num_frames != case.frames:
            hint = "; model.cut=true takes the first ones" if video.num_frames > case.frames else ""
            raise UserError(f"{path}: has {counted(video.num_frames, 'frame')}, expected {case.frames}{hint}")
        if (video.height, video.width) != (case.height, case.width):
            raise UserError(
                f"{path}: is {video.width}x{video.height}, expected {case.width}x{case.height}; "
                f"set height={video.height} width={video.width}"
            )
        return replace(video, info={**info, "length_mode": length_mode})


class Precomputed(GivenClips):
    """Clips named by case id (`<case>.mp4`, `<case>.seed1.mp4`, or a folder of numbered pictures), or a manifest.

    A manifest is `manifest.json` (`{id: file}`), or `manifest.csv` or `manifest.jsonl` with case, file and, if you
    like, seed, label and notes; files are relative to it.

    Args:
        videos: folder or manifest; `{frames}` in it stands for the length, e.g. `clips/{frames}` for a bench of
            several.
        label: name in tables; by default the label in the manifest or the name of the folder. Of several labels there,
            the one to take.
        cut: take the first frames of a clip that is longer than asked. Clips are never stretched, padded or
            resized.
        allow_damaged: take what decodes of a damaged or cut file; its row says so.

    Raises:
        UserError: the place is absent, holds no video, or its manifest is malformed.
    """

    def __init__(
        self, videos: str, label: str | None = None, cut: bool = False, allow_damaged: bool = False
    ) -> None:
        self.videos, self._wanted = videos, label
        self._places: dict[Path, Listing] = {}
        stated = self.listing(0).label if FRAMES not in videos else label
        place = Path(videos.split(FRAMES)[0]).resolve()
        name = label or stated or (place.parent if place.is_file() else place).name
        super().__init__(name, Path(videos), {}, cut, allow_damaged)

    @property
    def notes(self) -> tuple[str, ...]:
        """What lies beside the clips and is none."""
        return tuple(
            f"model {self.label}: {place.name}/ {listing.passed_over}"
            for place, listing in self._places.items()
            if listing.passed_over
        )

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse a length for which there are no clips.

        Raises:
            UserError: the place is absent, holds no video, or its manifest is malformed.
        """
        self.listing(frames)

    def listing(self, frames: int) -> Listing:
        """Return the clips of one length, looked for once."""
        place = Path(self.videos.replace(FRAMES, str(frames)))
        if place not in self._places:
            self._places[place] = list_clips(place, self._wanted)
        return self._places[place]


def files_sha256(path: Path) -> str | None:
    """Return the hash of a file, or of the pictures in a folder; None for what is gone."""
    if path.is_dir():
        return digest([(picture.name, file_sha256(picture)) for picture in picture_files(path)])
    return file_sha256(path) if path.is_file() else None
