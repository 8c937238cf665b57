"""`calibrate`: measure trackers on videos whose tracks are known exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.allowed import check_once
from toraeval.cli.arguments import split
from toraeval.types import UserError, counted

if TYPE_CHECKING:
    import pandas as pd

    from toraeval.run.calibration import CalibrationClip

HELP = """Measure trackers against exact tracks: their floor, TAP-Vid scores and where they get lost.

  python -m toraeval calibrate tracker=lucas_kanade
  python -m toraeval calibrate 'tracker=[lucas_kanade,cotracker3_offline]' frames=16 count=2
  python -m toraeval calibrate suite=photos 'tracker=[lucas_kanade,dis_flow]'
  python -m toraeval calibrate tracker=mypackage.mymodule:MyTracker degrade=none

  tracker=NAME          registry name, module:Class, or a list of them         (lucas_kanade)
  suite=shapes          the procedural world, or photos: real texture; its files are trackers_photos.* (shapes)
  frames=[16,64,128]    lengths of the clean clips                             ([16,64,128])
  count=1               how often the 13 scenes: every path family, crossing 4x; photos: 15 scenes (1)
  degrade=all           all, none, or a list of damages for 16-frame clips     (all)
  split=validation      of the suite; or test                                  (validation)
  results=results       trackers.csv, .md and .png are written here; what is finished is kept below
                        results/runs/calibration, so that the same command resumes where it stopped
"""
DEFAULTS = {
    "tracker": "lucas_kanade",
    "suite": "shapes",
    "frames": "[16,64,128]",
    "count": "1",
    "degrade": "all",
    "split": "validation",
    "results": "results",
}
SHOWN = ("tracker", "group", "value", "objects", "floor", "delta_avg", "aj", "oa", "lost")


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("calibrate", argv, DEFAULTS)
    if words:
        raise UserError(
            f"calibrate: '{words[0]}' is not an option; write key=value; see: python -m toraeval calibrate -h"
        )
    from toraeval import registry
    from toraeval.run import calibration
    from toraeval.store.disk import require_writable
    from toraeval.store.sealed import atomic, write_text

    folder = Path(values["results"])
    require_writable(folder)
    damages = _listed("degrade", values["degrade"])
    damages = {"all": list(calibration.DAMAGES), "none": []}.get(values["degrade"], damages)
    frames = [_whole("frames", text) for text in _listed("frames", values["frames"])]
    suites = {"shapes": ("trackers", "Procedural world"), "photos": ("trackers_photos", "Suite `photos`")}
    if values["suite"] not in suites:
        raise UserError(registry.unknown("suite to calibrate on", values["suite"], suites))
    stem, world = suites[values["suite"]]
    make = calibration.photo_clips if values["suite"] == "photos" else calibration.clips
    clips = make(frames, _whole("count", values["count"]), damages, values["split"])
    trackers = _listed("tracker", values["tracker"])
    for name in trackers:
        registry.load("tracker", name)
    rows = _calibrate(trackers, clips, folder / "runs" / "calibration")
    table = calibration.summarise(rows)
    heading = (
        f"# Trackers on exact tracks\n\n{world}, {values['split']} split, 512 x 512, {counted(len(clips), 'clip')}. "
        f"Written by `python -m toraeval calibrate {' '.join(argv)}`."
    )
    atomic(folder / f"{stem}.csv", lambda path: table.to_csv(path, index=False, float_format="%.6g"))
    write_text(folder / f"{stem}.md", calibration.to_markdown(table, heading))
    calibration.draw(table, folder / f"{stem}.png")
    _print(table)
    print(f"{folder}/: {stem}.csv, {stem}.md, {stem}.png")
    return 0


def _calibrate(trackers: list[str], clips: list[CalibrationClip], cache: Path) -> list[dict[str, Any]]:
    from toraeval.cli.progress import opened
    from toraeval.run import calibration

    bar = opened(len(trackers) * len(clips), "clip")

    def done(label: str, cached: bool) -> None:
        bar.set_description(label)
        bar.update()

    try:
        return calibration.calibrate(trackers, clips, cache, done)
    finally:
        bar.close()


def _listed(key: str, text: str) -> list[str]:
    """Return the items of `a`, `a,b` or `[a,b]`.

    Raises:
        UserError: none, or one of them twice.
    """
    items = [item.strip() for item in text.strip("[]").split(",") if item.strip()]
    if not items:
        raise UserError(
            f"calibrate: {key}={text} names nothing; allowed: one or more, e.g. '{key}={DEFAULTS[key]}'"
        )
    check_once(f"calibrate: {key}", items)
    return items


def _whole(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UserError(f"calibrate: {key}={text}; allowed: whole numbers >= 1") from error


def _print(table: pd.DataFrame) -> None:
    from toraeval.cli.terminal import fitted

    main = table[table["group"].isin(["all", "occlusion", "damage"])]
    cells = [
        [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row]
        for row in main[list(SHOWN)].itertuples(index=False)
    ]
    print(fitted(SHOWN, cells, kept=3)[0])
