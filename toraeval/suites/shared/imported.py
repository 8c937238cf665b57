"""What the importers of public benchmarks share: clips found on the disk become cases, decoded only when used.

Shape legend: N objects, T frames, H height, W width. A clip's paths lie on its own picture and have its own number of
moments; a case has the requested size and length. Pictures are resized until they cover the frame and their centre is
cropped, paths move with them, paths are brought to the requested length evenly over their moments.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from toraeval import geometry, registry
from toraeval.inputs.text_files import is_file, is_folder, shown
from toraeval.store.keys import current_sha256, safe_id
from toraeval.suites.shared import first_frame
from toraeval.suites.shared.base import Suite, case_seed, check_request, content_hash
from toraeval.suites.shared.real_clip import fit_masks, fitted, on_disk, shared_frames
from toraeval.trajectories.checks import MIN_POINTS
from toraeval.types import BoolArray, ByteArray, Case, Reference, Trajectories, UserError, Video, be, counted


@dataclass(frozen=True)
class ClipOnDisk:
    """One clip of a public benchmark as it lies on the disk.

    Attributes:
        name: its name there; the case's id is a safe form of it.
        prompt: caption, possibly empty.
        paths: reads its paths, on the canvas of its picture, with its own number of moments.
        files: what decides the case besides the paths; hashed.
        fps: frames per second.
        picture: decodes the first frame, uint8 (H, W, 3), or None.
        video: reads the real clip, or None.
        masks: reads bool (N, T, H, W), the visible pixels of each object, or None.
        tags: facts for grouping.
        seed: of the case; from its name if None.
    """

    name: str
    prompt: str
    paths: Callable[[], Trajectories]
    files: tuple[Path, ...]
    fps: float
    picture: Callable[[], ByteArray] | None = None
    video: Callable[[], Video] | None = None
    masks: Callable[[], BoolArray] | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None


class NothingComplete(UserError):
    """No case of a benchmark can be used; `problems` says why, by case."""

    def __init__(self, text: str, problems: Mapping[str, str]) -> None:
        super().__init__(text)
        self.problems = dict(problems)


class ImportedSuite(Suite, ABC):
    """A public benchmark in its own layout.

    Args:
        path: its folder or file.
        allow_missing: leave out cases of which something is missing or wrong, and say so; otherwise they are an error.
        options: what else changes the cases; part of the fingerprint.

    Raises:
        UserError: an unknown word, nothing there, nothing usable, or something missing.
    """

    version = "1"
    licence: ClassVar[str]
    native: ClassVar[str]  # length, size and rate of the authors' protocol, in words
    native_size: ClassVar[tuple[int, int, int]]  # its frames, height and width, or what comes near
    squeezed: ClassVar[bool] = False  # whether clips of another shape are resized to it instead of cropped
    layout: ClassVar[str]  # what must lie in the folder, in words

    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # allowed words, by option
    captioned: ClassVar[bool] = False  # whether its authors give captions

    def __init__(self, path: str, allow_missing: bool = False, **options: str | int) -> None:
        for option, allowed in self.choices.items():
            if options[option] not in allowed:
                raise UserError(registry.unknown(f"value of suite.{option}", str(options[option]), allowed))
        self.path, self.options = Path(path), options
        self.allow_missing = allow_missing
        self.problems: dict[str, str] = {}
        cure = f"give its folder with suite.path=DIR; expected there: {self.layout}; docs/suites.md says how to get it"
        if not path or not (is_folder(self.path) or is_file(self.path)):
            raise UserError(f"suite {self.name}: {shown(path or 'nothing')} does not exist; {cure}")
        self.clips = self._once(self.scan())
        if not self.clips and not self.problems:
            raise UserError(f"suite {self.name}: no clip in {self.path}; {cure}")
        if self.problems and not allow_missing:
            raise UserError(
                f"suite {self.name}: {self._first_problem()}; list them all with: python -m toraeval validate "
                f"suite={self.name} suite.path={self.path}; or leave these cases out with suite.allow_missing=true"
            )
        if not self.clips:
            raise NothingComplete(
                f"suite {self.name}: none of {counted(len(self.problems), 'case')} is complete in {self.path}; "
                f"{self._first_problem()}; expected there: {self.layout}",
                self.problems,
            )
        self.notes = self._notes()

    @abstractmethod
    def scan(self) -> list[ClipOnDisk]:
        """Return the clips in their order; what is missing or wrong goes into `problems`."""

    def _once(self, found: Iterable[ClipOnDisk]) -> list[ClipOnDisk]:
        """Return the clips; of those with one name the first, because results are stored by the name."""
        clips: dict[str, ClipOnDisk] = {}
        for clip in found:
            if clips.setdefault(clip.name, clip) is not clip:
                self.problem(f"{clip.name} again", "another case has this name")
        return list(clips.values())

    def _first_problem(self) -> str:
        name, text = next(iter(self.problems.items()))
        more = f", and {len(self.problems) - 1} more" if len(self.problems) > 1 else ""
        return f"{name}: {text}{more}"

    def problem(self, name: str, text: str) -> None:
        """Record why a case cannot be used."""
        self.problems.setdefault(name, text)

    def require_files(self, name: str, *files: Path) -> bool:
        """Return True if all files exist; otherwise record the first one that does not."""
        missing = [file for file in files if not is_file(file)]
        if missing:
            known = missing[0].is_relative_to(self.path)
            shown_path = missing[0].relative_to(self.path).as_posix() if known else missing[0]
            self.problem(name, f"{shown_path} is missing")
        return not missing

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        """Return the cases at one length and size, in the benchmark's order.

        Objects that are hidden or outside the frame at the start are left out, since tracking starts there; the tag
        `left_out` counts them.

        Raises:
            UserError: a length or size that no case can have, a damaged file, or a case of which no object is left.
        """
        check_request(self.name, frames, height, width, limit)
        made = []
        for clip in self.clips[:limit]:
            try:
                made.append(self.case(clip, frames, height, width))
            except UserError as error:
                if not self.allow_missing:
                    raise
                self.problem(clip.name, str(error))
        if not made:
            raise UserError(
                f"suite {self.name}: no case is left at {frames} frames of {width}x{height}: {self._first_problem()}"
            )
        self.notes = self._notes()
        return made

    def _notes(self) -> tuple[str, ...]:
        return tuple(f"suite {self.name}: {name} is left out: {text}" for name, text in self.problems.items())

    def case(self, clip: ClipOnDisk, frames: int, height: int, width: int) -> Case:
        """Return one clip as a case at a length and size.

        Raises:
            UserError: a damaged file, or no object is visible inside the frame at the start.
        """
        native = _moving(clip)
        plan = first_frame.fit_plan(native.canvas, (width, height), self.squeezed)
        moved, _ = first_frame.place_paths(geometry.resample(native, frames), plan)
        inside = moved.visible_NT[:, 0] & geometry.inside_canvas(moved.tracks_NT2[:, 0], (width, height))
        if not inside.any():
            raise UserError(
                f"suite {self.name}: {clip.name}: none of its {counted(native.num_objects, 'object')} is visible "
                f"inside {width}x{height} at the start, of the {native.canvas[0]}x{native.canvas[1]} they lie on; "
                "the size of the protocol: frames={} height={} width={}".format(*self.native_size)
            )
        names = tuple(name for name, kept in zip(moved.names, inside, strict=False) if kept)
        paths = replace(
            moved, tracks_NT2=moved.tracks_NT2[inside], visible_NT=moved.visible_NT[inside], names=names,
            fps=clip.fps, notes=native.notes,
        )  # fmt: skip
        identifier = safe_id(clip.name)
        seed = case_seed(identifier) if clip.seed is None else clip.seed
        request: dict[str, Any] = dict(frames=frames, height=height, width=width, fps=clip.fps, seed=seed)
        stamps = {"files": [current_sha256(file) for file in clip.files]}
        case = Case(
            id=identifier,
            suite=f"{self.name}-v{self.version}",
            prompt=clip.prompt,
            trajectories=paths,
            **request,
            tags={
                "family": self.name,
                "objects": paths.num_objects,
                "left_out": int((~inside).sum()),
                "original_id": clip.name,
                "points": native.num_frames,
                "canvas": list(native.canvas),
                "paths_read": "; ".join(native.notes),
                **clip.tags,
            },
            reference=_reference(clip, native.num_frames, frames, plan, inside, self.squeezed),
            content_hash=content_hash(clip.prompt, paths, request | stamps, None),
        )
        if clip.picture is None:
            return case
        decode = clip.picture
        return on_disk(
            case, lambda: first_frame.fit(Image.fromarray(decode()), width, height, self.squeezed)[0]
        )

    def odd(self, clip: ClipOnDisk) -> list[str]:
        """Return what reading all of one clip shows to be wrong or worth knowing, a sentence each."""
        try:
            paths = _moving(clip)
            found = [f"note: {note}" for note in paths.notes]
            if self.captioned and not clip.prompt:
                found.append("note: no caption: models are given an empty prompt")
            hidden = int((~paths.visible_NT[:, 0]).sum())
            if hidden:
                found.append(
                    f"note: {hidden} of {counted(paths.num_objects, 'object')} {be(hidden)} hidden in frame 0: left out"
                )
            if hidden == paths.num_objects:
                return ["every object is hidden in frame 0"]
            picture = None if clip.picture is None else clip.picture()
            if picture is not None and picture.shape[1::-1] != paths.canvas:
                found.append(
                    f"its first frame is {picture.shape[1]}x{picture.shape[0]}, its paths lie on {paths.canvas}"
                )
            video = None if clip.video is None else clip.video()
        except UserError as error:
            return [str(error)]
        if video is None:
            return [*found, "note: no real clip, so nothing can be compared with one"]
        if video.num_frames != paths.num_frames:
            length = counted(video.num_frames, "frame")
            found.append(f"its video has {length}, its paths have {paths.num_frames}")
        return found

    def describe(self) -> dict[str, Any]:
        """Return counts, native protocol and licence."""
        return {
            "name": self.name,
            "version": self.version,
            "path": str(self.path),
            "cases": len(self.clips),
            "left_out": len(self.problems),
            "with_prompt": sum(bool(clip.prompt) for clip in self.clips),
            "with_video": sum(clip.video is not None for clip in self.clips),
            "native": self.native,
            "hash": self.fingerprint()["hash"],
            "licence": self.licence,
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, options and the SHA-256 over names, prompts and files of all cases."""
        digest = hashlib.sha256()
        for clip in self.clips:
            digest.update(repr((clip.name, clip.prompt)).encode())
            for file in clip.files:
                digest.update(current_sha256(file).encode())
        left_out = {"left_out": sorted(self.problems)} if self.problems else {}
        stated = {"suite": self.name, "version": self.version, **self.options}
        return {**stated, "hash": digest.hexdigest(), **left_out}


def _moving(clip: ClipOnDisk) -> Trajectories:
    paths = clip.paths()
    if paths.num_frames < MIN_POINTS:
        raise UserError(f"{paths.source}: paths of {paths.num_frames} moment; allowed: {MIN_POINTS} or more")
    return paths


def _reference(
    clip: ClipOnDisk, native: int, frames: int, plan: geometry.CoverCrop, kept: BoolArray, squeeze: bool
) -> Callable[[], Reference] | None:
    """Return what reads the real clip at the case's length and size; None where the frames of the two do not meet."""
    if clip.video is None:
        return None
    read = fitted(clip.video, clip.name, native, frames, clip.fps, plan.target, squeeze)
    chosen, masks = shared_frames(native, frames), clip.masks
    if read is None:
        return None

    def reference() -> Reference:
        return Reference(read(), None if masks is None else lambda: fit_masks(masks()[kept][:, chosen], plan))

    return reference
