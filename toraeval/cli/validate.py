"""`validate`: what is missing or odd in a suite on the disk, before a GPU hour is spent."""

from __future__ import annotations

from toraeval import registry
from toraeval.cli import jobs, overrides
from toraeval.suites.shared.base import check_request
from toraeval.suites.shared.imported import NothingComplete
from toraeval.types import UserError, counted

HELP = """Read every case of a suite, with its pictures, paths and real clip, and list what is missing or odd.

  python -m toraeval validate suite=movebench suite.path=MoveBench
  python -m toraeval validate suite=movebench suite.path=MoveBench suite.tracks=multi suite.language=zh
  python -m toraeval validate suite=folder suite.path=DIR frames=64 height=320 width=512

  frames=N height=H width=W   length and size at which the cases are made; by default those of the suite's protocol
  suite.OPTION=VALUE          options of the suite; listed by: python -m toraeval run suite=movebench --help

The exit code is 0 if nothing is wrong, 1 if a case cannot be used, 2 if the suite cannot be read at all.
docs/suites.md says how to get each public benchmark.
"""
SIZES = ("frames", "height", "width")
USUAL = (16, 512, 512)


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    if sum(text.startswith("suite=") for text in argv) != 1:
        raise UserError(
            "validate: name one suite, e.g. python -m toraeval validate suite=movebench suite.path=MoveBench"
        )
    (cfg,) = overrides.check("validate", argv, multirun=False).configs
    overrides.require_complete("validate", cfg)
    values = jobs.resolved(cfg)
    if "allow_missing" in values["suite"]:  # incomplete cases are listed instead of refused
        values["suite"]["allow_missing"] = True
    native = getattr(registry.load("suite", values["suite"]["name"]), "native_size", USUAL)
    asked = [values[key] for key in SIZES]
    frames, height, width = (
        usual if size is None else size for size, usual in zip(asked, native, strict=True)
    )
    check_request(values["suite"]["name"], frames, height, width, None)
    try:
        suite = registry.build("suite", values["suite"])
    except NothingComplete as error:
        for case, problem in list(error.problems.items())[1:]:  # the first one is in the error's line
            print(f"problem: {case}: {problem}")
        raise
    for fact, value in suite.describe().items():
        print(f"{fact}: {value}")
    wrong = dict(getattr(suite, "problems", {}))
    for clip in getattr(suite, "clips", ()):
        said = suite.odd(clip)
        for note in (line.removeprefix("note: ") for line in said if line.startswith("note: ")):
            print(f"note: {clip.name}: {note}")
        problems = [line for line in said if not line.startswith("note: ")]
        if problems:
            wrong[clip.name] = "; ".join(problems)
            continue
        try:
            made = suite.case(clip, frames, height, width)
            if clip.video is not None and made.reference is None:
                print(
                    f"note: {clip.name}: no ground truth at {frames} frames, which are not among those of its clip"
                )
        except UserError as error:
            wrong[clip.name] = str(error)
    if not hasattr(suite, "clips"):
        suite.cases(frames, height, width)
    for case, problem in wrong.items():
        print(f"problem: {case}: {problem}")
    print(f"{counted(len(wrong), 'case')} cannot be used" if wrong else "nothing is missing")
    return 1 if wrong else 0
