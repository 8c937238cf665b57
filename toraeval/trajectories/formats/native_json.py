"""toraeval's own format as one of the table; it is documented and parsed in `toraeval.trajectories.native`."""

from __future__ import annotations

from toraeval.trajectories.checks import fail
from toraeval.trajectories.formats.source import Format, PathFile
from toraeval.trajectories.native import looks_native, parse_native
from toraeval.trajectories.reading import Raw
from toraeval.types import counted


def fits(source: PathFile) -> bool:
    """Tell whether a JSON object is, or means to be, a native file."""
    return looks_native(source.json.data)


def read(source: PathFile) -> Raw:
    """Read the only case of a file, or the one that is named like the clip.

    Raises:
        UserError: the file breaks a rule, or holds several cases.
    """
    cases = parse_native(source.json)
    chosen = cases if len(cases) == 1 else [case for case in cases if case.id == source.item]
    if not chosen:
        names = ", ".join(case.id for case in cases[:4])
        got = f"{counted(len(cases), 'case')} ({names})"
        fail(source.path, "one case is needed here", got, "suite=folder for many")
    paths = chosen[0].trajectories
    return Raw(
        paths.tracks_NT2,
        visible=paths.visible_NT,
        canvas=paths.canvas,
        fps=paths.fps,
        names=paths.names,
        units="stated",
        certain=True,
    )


FORMATS = (Format("native", ("json",), fits, read, '{"format": "toraeval-trajectories", ...}'),)
