"""What a report was drawn from, so that it is not drawn again while nothing of that has changed.

Files are told apart by size and times, not read: a bench of which everything is done should end at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import toraeval
from toraeval.store.keys import digest, state_of
from toraeval.store.record import versions
from toraeval.store.sealed import read_json, write_json
from toraeval.store.tables.run import RECORD

STAMP = Path("runs/.drawn.json")
OF_THE_PROCESS = ("wall_s", "peak_memory_mb", "machine", "counts", "utilisation")
"""Parts of a record that say how the last command went, not what the run is."""


class Drawn:
    """The stamp of the report of some runs.

    Args:
        run_dirs: finished run folders.
        out_dir: folder of tables and figures; the stamp lies below it.
        only: sample ids, or None for all.
        page: folder of the page.
    """

    def __init__(
        self, run_dirs: Sequence[Path], out_dir: Path, only: Collection[str] | None, page: Path
    ) -> None:
        self._root, self._page = out_dir, page
        # taken before anything is drawn: what changes meanwhile is drawn the next time
        self._key = digest(
            "drawn",
            _states(Path(toraeval.__file__).parent, ("*.py", "*.j2", "*.js", "*.css")),
            versions(),
            sorted(only) if only is not None else None,
            [[run.name, _lasting(run), _states(run / "cases", ("*",))] for run in run_dirs],
            _states(out_dir / "ratings", ("*",)),
            str(page),
        )

    def files(self) -> list[Path] | None:
        """Return what was drawn of the same, in its order, if all of it is still there as it was, else None."""
        known = read_json(self._root / STAMP) or {}
        if known.get("key") != self._key:
            return None
        if any(_state(self._root / name) != state for name, state in known["files"].items()):
            return None
        return [self._root / name for name in known["written"]]

    def remember(self, written: Iterable[Path]) -> None:
        """Write down that these files, the page's first one among them, show the present state."""
        names = [path.relative_to(self._root).as_posix() for path in written]
        shown = [path.relative_to(self._root).as_posix() for path in _below(self._page, ("*",))]
        files = {name: _state(self._root / name) for name in dict.fromkeys([*names, *shown])}
        write_json(self._root / STAMP, {"key": self._key, "written": names, "files": files})


def _lasting(run_dir: Path) -> dict[str, Any]:
    record = read_json(run_dir / RECORD) or {}
    return {name: value for name, value in record.items() if name not in OF_THE_PROCESS}


def _below(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    found = (path for pattern in patterns for path in folder.rglob(pattern) if path.is_file())
    yield from sorted(path for path in found if "__pycache__" not in path.parts)


def _states(folder: Path, patterns: Iterable[str]) -> str:
    states = [(path.relative_to(folder).as_posix(), *_state(path)) for path in _below(folder, patterns)]
    return digest("states", json.dumps(states))


def _state(path: Path) -> list[int]:
    try:
        return list(state_of(path))
    except OSError:
        return []
