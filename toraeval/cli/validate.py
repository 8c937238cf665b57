"""`validate`: what is missing or odd in a suite on the disk, before a GPU hour is spent."""

from __future__ import annotations

import inspect
from typing import Any

from toraeval.cli.arguments import split, wants_help
from toraeval.types import UserError

HELP = """Read every case of a suite, with its pictures, paths and real clip, and list what is missing or odd.

  python -m toraeval validate suite=movebench suite.path=MoveBench
  python -m toraeval validate suite=movebench suite.path=MoveBench suite.tracks=multi suite.language=zh
  python -m toraeval validate suite=folder suite.path=DIR frames=64 height=320 width=512

  frames=N height=H width=W   length and size at which the cases are made; by default those of the suite's protocol
  suite.OPTION=VALUE          options of the suite; listed by: python -m toraeval run suite=movebench --help

The exit code is 0 if nothing is wrong, 1 if a case cannot be used, 2 if the suite cannot be read at all.
"""
SIZES = ("frames", "height", "width")
USUAL = (16, 512, 512)


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    if wants_help(argv):
        print(HELP)
        return 0
    name, options, (frames, height, width) = _request(argv)
    suite = _built(name, options)
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
            suite.case(clip, frames, height, width)
        except UserError as error:
            wrong[clip.name] = str(error)
    if not hasattr(suite, "clips"):
        suite.cases(frames, height, width)
    for case, problem in wrong.items():
        print(f"problem: {case}: {problem}")
    print(f"{len(wrong)} cases cannot be used" if wrong else "nothing is missing")
    return 1 if wrong else 0


def _request(argv: list[str]) -> tuple[str, dict[str, Any], tuple[int, int, int]]:
    """Return the suite's name, its options, and frames, height and width.

    Raises:
        UserError: no suite, an unknown option, or a size that is not a whole number.
    """
    from toraeval import registry

    chosen = [text.removeprefix("suite=") for text in argv if text.startswith("suite=")]
    if len(chosen) != 1:
        raise UserError(
            "validate: name one suite, e.g. python -m toraeval validate suite=movebench suite.path=MoveBench"
        )
    parameters = inspect.signature(registry.load("suite", chosen[0])).parameters
    keys = {"suite": "", **dict.fromkeys(SIZES, ""), **{f"suite.{name}": "" for name in parameters}}
    words, values = split("validate", argv, keys)
    if words:
        raise UserError(f"validate: {words[0]} is not an option; write key=value, e.g. suite.path={words[0]}")
    sizes = []
    native = getattr(registry.load("suite", chosen[0]), "native_size", USUAL)
    for key, usual in zip(SIZES, native, strict=True):
        if not (values[key] or "0").isdecimal():
            raise UserError(f"validate: {key}={values[key]}; allowed: whole numbers")
        sizes.append(int(values[key] or usual))
    given = {
        name: values[f"suite.{name}"]
        for name in parameters
        if any(text.startswith(f"suite.{name}=") for text in argv)
    }
    return chosen[0], {name: _value(text) for name, text in given.items()}, (sizes[0], sizes[1], sizes[2])


def _value(text: str) -> Any:
    """Return a value as YAML reads it, as in every other verb; a path stays text."""
    import yaml  # type: ignore[import-untyped]

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, int | float | bool | list) else text


def _built(name: str, options: dict[str, Any]) -> Any:
    """Return the suite with incomplete cases listed instead of refused, where it can."""
    from toraeval import registry

    cls = registry.load("suite", name)
    required = [
        p.name
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.name not in options
    ]
    if required:
        raise UserError(f"suite {name} needs {required[0]}; give it as suite.{required[0]}=VALUE")
    if "allow_missing" in inspect.signature(cls).parameters:
        options = {**options, "allow_missing": True}
    return registry.build("suite", {"name": name, **options})
