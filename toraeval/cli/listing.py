"""`list`: what exists, whether it is ready, its licence and its version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from toraeval import config, optional, registry
from toraeval.cli.arguments import split
from toraeval.cli.list_runs import print_runs
from toraeval.cli.terminal import wrapped
from toraeval.config.declared import REQUIRED
from toraeval.run import requirements
from toraeval.types import UserError

HELP = """List what exists.

  python -m toraeval list models
  python -m toraeval list trackers
  python -m toraeval list metrics
  python -m toraeval list suites
  python -m toraeval list runs results=DIR                what has been run (results/ if no folder is given)
  python -m toraeval list model=package.module:Class      one part, also one that is not registered
"""
PLURALS = {f"{kind}s": kind for kind in registry.KINDS}
RUNS = "runs"
NEEDS_PATH = "needs path"
"""Status of a suite that reads a folder of the user's."""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, named = split("list", argv, {**dict.fromkeys(registry.KINDS, ""), "results": ""})
    results = named.pop("results")
    if results and not words:
        words = [RUNS]
    for kind, name in named.items():
        if name:
            print_parts(kind, [name])
    for word in words or ([] if any(named.values()) else list(PLURALS)):
        if word == RUNS:
            print_runs(Path(results or "results"))
            continue
        kind = PLURALS.get(word) or (word if word in registry.KINDS else "")
        if not kind:
            raise UserError(registry.unknown("thing to list", word, [*PLURALS, RUNS]))
        if not words:
            print(f"{word}:")
        print_parts(kind, registry.names(kind))
        for name, reason in registry.UNAVAILABLE.get(kind, {}).items():
            print(f"{name} is not available: {reason}")
        if not words:
            print()
    return 0


def print_parts(kind: str, names: list[str]) -> None:
    """Print a table of parts of one kind and, below it, what is needed for those that are not ready."""
    rows, needs = [], []
    for name in names:
        row, missing = describe(kind, name)
        rows.append(row)
        needs += missing
    print(wrapped(list(rows[0]), [list(row.values()) for row in rows]))
    if any(row["status"] == NEEDS_PATH for row in rows):
        print(
            f"{NEEDS_PATH}: name the folder with suite.path=DIR; docs/suites.md says how to get each of them"
        )
    for line in needs:
        print(line)
    for key in requirements.COSTS:
        if key.partition(" ")[0] == kind and key.split()[1] in names:
            print(f"cost of {requirements.cost(key)}")


def describe(kind: str, name: str) -> tuple[dict[str, str], list[str]]:
    """Return a component's row, and what is missing for it."""
    entry = registry.entry(kind, name)
    problem, facts = "", {}
    try:
        if entry.origin:  # whether a part from elsewhere imports is not known before it is tried
            registry.load(kind, name)
        declared = config.declared_by(kind, name)
        facts = dict(declared.facts)
    except (UserError, ImportError, RuntimeError, OSError) as error:
        problem = " ".join(str(error).split())
    missing = [problem] if problem else missing_of(kind, name, look=optional.found)
    row = {"name": name, "status": "broken" if problem else _status(entry, missing)}
    row["version"] = str(facts.get("version", ""))
    if kind == "metric":
        row |= {"direction": str(facts.get("direction", "")), "units": str(facts.get("units", ""))}
    if kind == "suite":
        row |= _suite_facts(name)
        if not problem and any(o.name == "path" and o.default == REQUIRED for o in declared.options):
            row["status"] = NEEDS_PATH
    return row | {"licence": entry.licence, "what": entry.summary}, missing


def default_options(kind: str, name: str) -> dict[str, Any]:
    """Return the defaults of the options that decide which files a component needs."""
    deciding = {choice.partition("=")[0] for choice in registry.entry(kind, name).option_assets}
    if not deciding:
        return {}
    options = config.declared_by(kind, name).options
    return {option.name: option.default for option in options if option.name in deciding}


def missing_of(kind: str, name: str, look: Callable[[str], optional.Probe] = optional.probe) -> list[str]:
    """Return one line per package or file that a component lacks with its defaults, with the command that gets it.

    Args:
        kind, name: the component.
        look: how a package is looked for, see `requirements.of_entry`.
    """
    needs = requirements.of_entry(kind, name, default_options(kind, name), look)
    return [item.reason for item in needs if not item.present]


def _status(entry: registry.Entry, missing: list[str]) -> str:
    if not missing:
        return "ready"
    packages = [module for module in entry.modules if not optional.found(module).ok]
    return "needs extra" if packages else "needs weights"


def _suite_facts(name: str) -> dict[str, str]:
    """Return the size of a suite that needs no options, e.g. no folder."""
    try:
        facts = registry.load("suite", name)().describe()
    except Exception:  # of anybody's constructor
        return {"cases": "yours", "single object": "", "hash": ""}
    return {
        "cases": str(facts.get("cases", "")),
        "single object": str(facts.get("single_object_cases", "")),
        "hash": str(facts.get("hash", ""))[:10],
    }
