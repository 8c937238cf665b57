"""`list`: what exists, whether it is ready, its licence and its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tabulate import tabulate

from toraeval import config, optional, registry
from toraeval.cli.arguments import split, wants_help
from toraeval.run import requirements
from toraeval.types import UserError

HELP = """List what exists.

  python -m toraeval list models
  python -m toraeval list trackers
  python -m toraeval list metrics
  python -m toraeval list suites
"""
PLURALS = {f"{kind}s": kind for kind in registry.KINDS}


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    if wants_help(argv):
        print(HELP)
        return 0
    words, _ = split("list", argv, {})
    for word in words or list(PLURALS):
        kind = PLURALS.get(word) or (word if word in registry.KINDS else None)
        if kind is None:
            raise UserError(registry.unknown("thing to list", word, PLURALS))
        if not words:
            print(f"{word}:")
        print_kind(kind)
        if not words:
            print()
    return 0


def print_kind(kind: str) -> None:
    """Print the table of one kind and, below it, what is needed for those that are not ready."""
    rows, needs = [], []
    for name in registry.names(kind):
        row, missing = describe(kind, name)
        rows.append(row)
        needs += missing
    print(tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True))
    for line in needs:
        print(line)


def describe(kind: str, name: str) -> tuple[dict[str, str], list[str]]:
    """Return a component's row, and what is missing for it."""
    entry = registry.entry(kind, name)
    missing = missing_of(kind, name)
    facts = _class_facts(kind, name)
    missing += facts.pop("problem", [])
    row = {"name": name, "status": _status(entry, missing)}
    row["version"] = str(facts.get("version", ""))
    if kind == "metric":
        row |= {"direction": str(facts.get("direction", "")), "units": str(facts.get("units", ""))}
    if kind == "suite":
        row |= _suite_facts(name)
    return row | {"licence": entry.licence, "what": entry.summary}, missing


def default_options(kind: str, name: str) -> dict[str, Any]:
    """Return the defaults of the options that decide which files a component needs."""
    deciding = {choice.partition("=")[0] for choice in registry.entry(kind, name).option_assets}
    if not deciding:
        return {}  # a schema can be slow to get
    return {f.name: f.default for f in fields(config.schema_of(kind, name)) if f.name in deciding}


def missing_of(kind: str, name: str, options: Mapping[str, Any] | None = None) -> list[str]:
    """Return one line per package or file that a component lacks, with the command that gets it.

    Args:
        kind, name: the component.
        options: decide which files it needs; its defaults if not given.
    """
    chosen = default_options(kind, name) if options is None else options
    return [item.reason for item in requirements.of_entry(kind, name, chosen) if not item.present]


def _status(entry: registry.Entry, missing: list[str]) -> str:
    if not missing:
        return "ready"
    packages = [module for module in entry.modules if not optional.probe(module).ok]
    return "needs extra" if packages else "needs weights"


def _class_facts(kind: str, name: str) -> dict[str, Any]:
    try:
        cls = registry.load(kind, name)
    except (UserError, ImportError, RuntimeError, OSError) as error:
        return {"problem": [" ".join(str(error).split())]}
    return {key: getattr(cls, key, "") for key in ("version", "direction", "units")}


def _suite_facts(name: str) -> dict[str, str]:
    """Return the size of a suite that needs no options, e.g. no folder."""
    try:
        facts = registry.load("suite", name)().describe()
    except (TypeError, UserError):
        return {"cases": "yours", "single object": "", "hash": ""}
    return {
        "cases": str(facts.get("cases", "")),
        "single object": str(facts.get("single_object_cases", "")),
        "hash": str(facts.get("hash", ""))[:10],
    }
