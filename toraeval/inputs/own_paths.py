"""The trajectories of `score`: which files there are, which clip each belongs to, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toraeval.inputs import pairing
from toraeval.inputs.clip_listing import HIDDEN
from toraeval.inputs.text_files import exists, is_file, is_folder, listed, shown
from toraeval.store.keys import digest, file_sha256
from toraeval.trajectories import (
    PATH_SUFFIXES,
    ClipFacts,
    NativeCase,
    PathReading,
    case_name,
    is_companion,
    is_native,
    read_native,
    read_paths,
)
from toraeval.types import Trajectories, UserError, counted

FOR_ALL = "all:"


@dataclass(frozen=True)
class PathSet:
    """One named set of paths, read only when the size of its video is known.

    Attributes:
        name: case id of a native file, or the file's stem.
        files: the files, one per object, or one for all.
        native: the case of a native file.
    """

    name: str
    files: tuple[Path, ...]
    native: NativeCase | None = None

    def read(self, reading: PathReading, clip: ClipFacts) -> Trajectories:
        """Return the paths; a canvas that no file states is settled with the clip's size."""
        if self.native is not None:
            return self.native.trajectories
        return read_paths(self.files, reading, clip)

    def identity(self) -> str:
        """Return a hash of the content of the files, whatever they are called."""
        return digest([file_sha256(path) for path in self.files], self.native and self.native.id)


@dataclass(frozen=True)
class Matched:
    """Clips with their paths.

    Attributes:
        pairs: name of the clip -> its paths.
        rule: name of the clip -> how they were found.
        notes: what was paired how and what was left out, a line each.
    """

    pairs: Mapping[str, PathSet]
    rule: Mapping[str, str]
    notes: tuple[str, ...]


def match(clips: Sequence[str], source: str) -> Matched:
    """Find the paths of every clip, by the rules of `toraeval.inputs.pairing`.

    One set of paths serves all clips if that is asked for (`all:FILE`) or if its name is that of no clip.

    Args:
        clips: their names without suffix.
        source: trajectory file or folder, with `all:` in front to serve every clip.

    Raises:
        UserError: no such file, no paths in it, or names that leave open which belong together.
    """
    for_all = source.startswith(FOR_ALL) and not exists(Path(source))
    place = Path(source.removeprefix(FOR_ALL) if for_all else source)
    units, notes = _units(place, clips)
    names = list(units)
    if for_all and len(units) > 1:
        raise UserError(
            f"trajectories={source}: serves all clips, but holds {len(units)} sets of paths: "
            f"{listed(names)}; allowed: one, or leave out all:"
        )
    found = pairing.pair_names(clips, names)
    if len(units) == 1 and (for_all or not found.partner):
        (unit,) = units.values()
        alike = [] if for_all else pairing.numbered_alike(unit.name, clips)
        meant = [] if for_all else pairing.named_in(unit.name, clips)
        near = meant if len(clips) > 1 and meant else alike
        if near:
            has = "the name {} holds that" if near is meant else "{} has the number"
            raise UserError(
                f"trajectories={source}: {has.format(unit.name)} of the clip {listed(near)}, of "
                f"{counted(len(clips), 'clip')}; "
                f"allowed: name it like its clip, or let it serve all: trajectories=all:{source}"
            )
        why = "as asked" if for_all else "its name is that of no clip"
        count = "the one clip" if len(clips) == 1 else f"all {len(clips)} clips"
        notes.append(f"{unit.name}: these paths serve {count} ({why})")
        rule = "one set of paths for all" if for_all else "one set of paths, named like no clip, for all"
        return Matched(dict.fromkeys(clips, unit), dict.fromkeys(clips, rule), tuple(notes))
    if not found.partner or (found.alone and found.left_over):
        raise UserError(
            f"score: {counted(len(found.alone), 'clip')} and {counted(len(found.left_over), 'set')} of paths do not "
            "belong together by name "
            f"or number. Clips without paths: {listed(found.alone)}. Paths without clip: "
            f"{listed(found.left_over)}. Name them alike, or give one file for all: trajectories=all:FILE"
        )
    notes += _notes(found)
    return Matched({clip: units[name] for clip, name in found.partner.items()}, found.rule, tuple(notes))


def _notes(found: pairing.Pairing) -> list[str]:
    notes = [f"clips and paths paired: {found.described()}"]
    notes += [
        f"{clip} has the paths {name} (by {found.rule[clip]})"
        for clip, name in found.partner.items()
        if clip != name
    ]
    if found.alone:
        notes.append(f"without paths, not scored: {listed(found.alone)}")
    if found.left_over:
        notes.append(f"paths without clip, not used: {listed(found.left_over)}")
    return notes


def _units(place: Path, clips: Sequence[str]) -> tuple[dict[str, PathSet], list[str]]:
    """Return the sets of paths by name, and what was passed over in words."""
    passed_over: list[str] = []
    if is_file(place):
        files = [place]
    elif is_folder(place):
        files, passed_over = _files(place, clips)
    else:
        raise UserError(f"trajectories={shown(place)}: no such file or folder")
    units: list[PathSet] = []
    stems: dict[str, Path] = {}
    for path in files:
        if is_native(path):
            units += [PathSet(case.id, (path,), case) for case in read_native(path)]
            continue
        twin = stems.setdefault(case_name(path), path)
        if twin is not path:
            raise UserError(
                f"trajectories={place}: {twin.name} and {path.name} name the same paths; keep one"
            )
    grouped = pairing.gather_objects(stems, clips)
    if grouped.doubtful:
        name, clip = next(iter(grouped.doubtful.items()))
        raise UserError(
            f"trajectories={place}: {name} may be the paths of a clip of that name, which is not there, or of one "
            f"object of the clip {clip}; allowed: one file per object named {clip}.obj1{stems[name].suffix}, "
            f"{clip}.obj2{stems[name].suffix}, ..."
        )
    units += [PathSet(name, tuple(stems[stem] for stem in found)) for name, found in grouped.members.items()]
    named = {unit.name: unit for unit in units}
    if not units:
        raise UserError(f"trajectories={place}: no trajectory file here; allowed: {', '.join(PATH_SUFFIXES)}")
    if len(named) < len(units):
        twice = next(unit.name for unit in units if unit is not named[unit.name])
        raise UserError(f"trajectories={place}: several sets of paths are named {twice}; keep one of them")
    notes = [f"{unit.name}: {len(unit.files)} files, one per object" for unit in units if len(unit.files) > 1]
    if passed_over:
        notes.append(f"{place.name}/ holds no paths in: {listed(passed_over)}")
    return named, notes


def _files(folder: Path, clips: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the trajectory files of a folder, and the names of what is something else."""
    files: list[Path] = []
    other: list[str] = []
    for path in sorted(folder.iterdir()):
        if HIDDEN.match(path.name) or (path.stem in clips and path.suffix.lower() not in PATH_SUFFIXES):
            continue
        if path.suffix.lower() in PATH_SUFFIXES and path.is_file():
            files += [] if is_companion(path) else [path]
        else:
            other.append(f"{path.name}/" if path.is_dir() else path.name)
    return files, other
