"""`fetch`: download weights ahead of time, each checked against its SHA-256."""

from __future__ import annotations

from collections.abc import Mapping

from tabulate import tabulate

from toraeval import assets, registry
from toraeval.assets import programs
from toraeval.cli.arguments import split
from toraeval.cli.listing import default_options
from toraeval.registry import unknown
from toraeval.types import MissingAsset, UserError

HELP = """Download weights into the cache (TORAEVAL_CACHE, default ~/.cache/toraeval). Broken downloads resume where
they stopped; TORAEVAL_OFFLINE=1 forbids them. Using weights means accepting their licence, which is printed first.

  python -m toraeval fetch                                           what there is, and what is already here
  python -m toraeval fetch model=tora size=xl2                       all that a model needs with these options
  python -m toraeval fetch model=motionctrl size=upstream            its weights, and what to install for its own code
  python -m toraeval fetch t5_v1_1_xxl revision=COMMIT               one entry, at a commit of its repository;
                                                                     without revision= the newest, locked from then on
  python -m toraeval fetch tracker=cotracker3_offline sha256=HASH    where the publisher states no hash, you name it
"""
KINDS = ("model", "tracker", "metric")


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    choices = {key: "" for kind in KINDS for name in registry.names(kind) for key in _choices(kind, name)}
    pins = {"sha256": "", "revision": ""}
    words, values = split("fetch", argv, {**pins, **dict.fromkeys(KINDS, ""), **choices})
    names = list(words)
    options = {key: values[key] for key in choices if values[key]}
    for kind in KINDS:
        if values[kind]:
            wanted = _wanted(kind, values[kind], options)
            names += wanted
            if not wanted:
                with_files = ", ".join(registry.entry(kind, values[kind]).option_assets)
                hint = f" by default; there are downloads for {with_files}" if with_files else ""
                print(f"{kind} {values[kind]}: nothing to download{hint}")
    if options and not any(values[kind] for kind in KINDS):
        raise UserError(f"fetch: {', '.join(options)} belong to a model; add e.g. model=tora")
    if not names and any(values[kind] for kind in KINDS):
        return 0
    if not names:
        print_assets()
        return 0
    for pin in pins:
        if values[pin] and len(names) > 1:
            raise UserError(
                f"fetch: {pin}= belongs to one file or repository; fetch them one by one: {', '.join(names)}"
            )
    for name in names:
        asset, program = assets.get(name), programs.program_of(name)
        if program is not None:
            print("\n".join(programs.instructions(program)))
        about = f", about {asset.size_mb / 1000:.1f} GB" if asset.size_mb else ""
        print(f"{name}: {asset.url} ({asset.licence}){about}")
        print(assets.fetch(name, values["sha256"] or None, values["revision"] or None, print))
    return 0


def _choices(kind: str, name: str) -> dict[str, list[str]]:
    """Return the options of a part that decide what it needs, each with the values that need something."""
    pairs = [choice.split("=", 1) for choice in registry.entry(kind, name).option_assets]
    return {key: [value for other, value in pairs if other == key] for key, _ in pairs}


def _wanted(kind: str, name: str, options: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a part needs with these options, its own defaults where they are silent.

    Raises:
        UserError: an option that this part does not have, or a value that nothing is known of.
    """
    known, defaults = _choices(kind, name), default_options(kind, name)
    for key, value in options.items():
        allowed = [*known.get(key, []), *([str(defaults[key])] if key in defaults else [])]
        if value not in allowed:
            raise UserError(unknown(f"{key} of {kind} {name}", value, dict.fromkeys(allowed)))
    return registry.entry(kind, name).assets_for({**defaults, **options})


def state(name: str) -> str:
    """Return where an asset lies, or what is wrong with it."""
    try:
        return str(assets.path(name))
    except MissingAsset as error:
        return "absent" if "is missing" in str(error) else "unconfirmed or damaged"


def print_assets() -> None:
    """Print every downloadable file and repository with its state."""
    rows = []
    for name, asset in assets.ASSETS.items():
        size = f"{asset.size_mb} MB" if asset.size_mb else ""
        if isinstance(asset, assets.Asset):
            pinned = asset.sha256 or "not published"
        else:
            pinned = assets.locked_revision(name) or "by commit, locked when fetched"
        rows.append((name, state(name), size, asset.licence, asset.used_by, pinned))
    headers = ["file or repository", "state", "size (estimate)", "licence", "used by", "SHA-256 or commit"]
    print(tabulate(rows, headers=headers, tablefmt="github"))
