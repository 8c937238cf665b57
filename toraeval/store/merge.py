"""Results folders of machines without a common disk become one; two results of one sample must not differ."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from toraeval.store import claims
from toraeval.store.slot import Slot
from toraeval.types import TEMPORARY, Score, UserError

LEFT_OUT = shutil.ignore_patterns(f"{TEMPORARY}*", claims.FOLDER, ".lock")


def join(sources: Sequence[Path], out: Path) -> list[tuple[Path, list[Path]]]:
    """Write the union of results folders; returns each new run folder with those that it was made of.

    Of a sample that several have, the one with most results is taken, and scores that only others have are added.

    Args:
        sources: results folders.
        out: new folder, absent or empty.

    Raises:
        UserError: no run in a source, somebody works in one, `out` is in use, or two results of a sample differ.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"merge: {out} exists and is not an empty folder; give a new one, e.g. out=joined")
    runs = _runs(sources)
    conflicts = [line for folders in runs.values() for line in _conflicts(folders)]
    if conflicts:
        more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
        raise UserError(f"merge: {conflicts[0]}{more}; nothing was written: remove the one that is wrong")
    half = out.with_name(f"{TEMPORARY}merge-{out.name}")
    shutil.rmtree(half, ignore_errors=True)
    try:
        for name, folders in runs.items():
            _write(folders, half / name)
        if out.is_dir():
            out.rmdir()
        half.rename(out)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return [(out / name, folders) for name, folders in runs.items()]


def _runs(sources: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return the run folders by their place below `runs`."""
    runs: dict[Path, list[Path]] = defaultdict(list)
    for source in sources:
        found = [folder for folder in sorted(source.glob("runs/*/*/*")) if (folder / "cases").is_dir()]
        if not found:
            raise UserError(f"merge: {source}: no runs here; give results folders of run, bench or score")
        for folder in found:
            busy = claims.running(folder)
            if busy:
                raise UserError(
                    f"merge: {folder}: a process works on {sorted(busy)[0]}; merge when it is done"
                )
            runs[folder.relative_to(source)].append(folder)
    return dict(runs)


def _samples(folders: Sequence[Path]) -> dict[str, list[Slot]]:
    samples: dict[str, list[Slot]] = defaultdict(list)
    for folder in folders:
        for place in sorted((folder / "cases").iterdir()):
            if place.is_dir() and not place.is_symlink():
                samples[place.name].append(Slot(place))
    return dict(samples)


def _conflicts(folders: Sequence[Path]) -> Iterator[str]:
    """Yield a line for each two results of one sample that differ."""
    for slots in _samples(folders).values():
        first, *others = slots
        for other in others:
            videos = [(slot.video_meta() or {}).get("sha256") for slot in (first, other)]
            if None not in videos and videos[0] != videos[1]:
                yield f"{first.folder} and {other.folder} hold different videos of one sample"
                continue
            mine, theirs = first.scores(), other.scores()
            for name in sorted(mine.keys() & theirs.keys()):
                if (
                    mine[name]["key"] == theirs[name]["key"]
                    and mine[name]["values"] != theirs[name]["values"]
                ):
                    yield f"{first.folder} and {other.folder} hold different values of {name}"


def _write(folders: Sequence[Path], target: Path) -> None:
    shutil.copytree(folders[0], target, symlinks=True, ignore=LEFT_OUT)
    for name, slots in _samples(folders).items():
        best = max(slots, key=_wealth)
        place = target / "cases" / name
        if best.folder.parent.parent != folders[0]:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(best.folder, place, symlinks=True, ignore=LEFT_OUT)
        for slot in slots:
            if slot is not best and slot.failure() is None:
                _add_scores(slot, best, Slot(place))


def _wealth(slot: Slot) -> tuple[bool, int, bool, bool]:
    return (
        slot.failure() is None,
        len(slot.scores()),
        slot.tracks_meta() is not None,
        slot.video_meta() is not None,
    )


def _add_scores(other: Slot, best: Slot, target: Slot) -> None:
    """Add the scores that only another copy of a sample has, if they are of the same tracks."""
    tracks = [(slot.tracks_meta() or {}).get("key") for slot in (other, best)]
    if tracks[0] is None or tracks[0] != tracks[1]:
        return
    stored, present = other.score_file(), target.scores()
    fresh = {
        name: (entry["key"], _score(other, name, entry))
        for name, entry in stored["metrics"].items()
        if name not in present
    }
    if fresh:
        target.save_scores(fresh, stored["facts"], stored["seconds"])


def _score(slot: Slot, name: str, entry: Mapping[str, object]) -> Score:
    values, skipped = entry["values"], entry["skipped"]
    assert isinstance(values, Mapping)
    return Score(
        name,
        str(entry["version"]),
        values,
        slot.score_arrays(name),
        None if skipped is None else str(skipped),
    )
