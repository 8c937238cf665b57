"""`python -m toraeval.report.metric_docs`: docs/metrics.md from the docstrings and definitions of all metrics."""

from __future__ import annotations

import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

from toraeval import registry
from toraeval.report.html import filled
from toraeval.report.measures import GROUPS, group_of
from toraeval.store.sealed import write_text

DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def described(name: str) -> dict[str, Any]:
    """Return what the page says of one metric, from its registry line and its class."""
    entry = registry.entry("metric", name)
    metric = registry.load("metric", name)
    needs = [f"the package {module}" for module in entry.modules]
    needs += [
        f"`{choice}`: {', '.join(f'`{asset}`' for asset in assets)}"
        for choice, assets in entry.option_assets.items()
    ]
    looks_at = "video" if metric.needs_video else "tracks"
    return {
        "name": name,
        "summary": entry.summary,
        "licence": entry.licence,
        "version": str(metric.version),
        "direction": metric.direction,
        "units": metric.units,
        "looks_at": looks_at,
        "of_set": metric.of_set,
        "group": group_of(name, looks_at),
        "text": markdown(inspect.getdoc(metric) or ""),
        "columns": {column: words.replace("|", "\\|") for column, words in metric.columns.items()},
        "needs": "; ".join(needs),
    }


def markdown(docstring: str) -> str:
    """Return a docstring as Markdown: indented blocks become code, `Args:` and what follows is left out."""
    kept = docstring.split("\nArgs:")[0].split("\nRaises:")[0].rstrip()
    blocks = []
    for block in kept.split("\n\n"):
        if all(line.startswith("    ") for line in block.splitlines()):
            blocks.append(f"```\n{textwrap.dedent(block)}\n```")
        else:
            blocks.append(block)
    return "\n\n".join(blocks)


def page() -> str:
    """Return docs/metrics.md."""
    metrics = [described(name) for name in registry.names("metric") if _is_ours(name)]
    places = [name for names in GROUPS.values() for name in names]
    metrics.sort(
        key=lambda m: (list(GROUPS).index(m["group"]), places.index(m["name"]) if m["name"] in places else 99)
    )
    groups = {group: [m for m in metrics if m["group"] == group] for group in GROUPS}
    # nothing to escape: the page is Markdown, and every word is our own
    text = filled("metrics.md.j2", autoescape=False, metrics=metrics, groups=groups)
    return text.rstrip() + "\n"


def _is_ours(name: str) -> bool:
    return registry.entry("metric", name).target.startswith("toraeval.")


def main() -> int:
    """Write the page and print its path."""
    write_text(DOCS, page())
    sys.stdout.write(f"{DOCS}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
