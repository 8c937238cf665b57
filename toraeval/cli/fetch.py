"""`fetch`: download weights ahead of time, each checked against its SHA-256."""

from __future__ import annotations

from tabulate import tabulate

from toraeval import assets, registry
from toraeval.cli.arguments import split, wants_help
from toraeval.types import MissingAsset, UserError

HELP = """Download weights into the cache (TORAEVAL_CACHE, default ~/.cache/toraeval).

  python -m toraeval fetch                                           what there is, and what is already here
  python -m toraeval fetch tracker=cotracker3_offline sha256=HASH    where the publisher states no hash, you name it
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    if wants_help(argv):
        print(HELP)
        return 0
    words, values = split("fetch", argv, {"sha256": "", "model": "", "tracker": "", "metric": ""})
    names = list(words)
    for kind in ("model", "tracker", "metric"):
        if values[kind]:
            wanted = registry.entry(kind, values[kind]).assets
            names += wanted
            if not wanted:
                print(f"{kind} {values[kind]}: nothing to download")
                return 0
    if not names:
        print_assets()
        return 0
    if values["sha256"] and len(names) > 1:
        raise UserError("fetch: sha256= belongs to one file; fetch the files one by one")
    for name in names:
        asset = assets.get(name)
        print(f"{name}: {asset.url} ({asset.licence})")
        print(assets.fetch(name, values["sha256"] or None))
    return 0


def print_assets() -> None:
    """Print every downloadable file with its state."""
    rows = []
    for name, asset in assets.ASSETS.items():
        try:
            state = str(assets.path(name))
        except MissingAsset as error:
            state = "absent" if "is missing" in str(error) else "unconfirmed or damaged"
        size = f"{asset.size_mb} MB" if asset.size_mb else ""
        rows.append((name, state, size, asset.licence, asset.used_by, asset.sha256 or "not published"))
    print(
        tabulate(rows, headers=["file", "state", "size", "licence", "used by", "SHA-256"], tablefmt="github")
    )
