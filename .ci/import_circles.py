"""Fail when files import each other in a circle, at whatever depth an import stands.

    python .ci/import_circles.py [ROOT]

Import contracts compare packages, so two files of one package may still need each other. ROOT is a source tree, by
default this one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grimp
import numpy as np
from scipy.sparse.csgraph import connected_components

PACKAGES = ("toraeval", "baselines", "benchmarks")


def circles(root: Path) -> list[list[str]]:
    """Return the groups of modules under a source tree of which each reaches every other one."""
    sys.path.insert(0, str(root))
    try:
        graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    finally:
        sys.path.remove(str(root))
    modules = sorted(graph.modules)
    place = {module: i for i, module in enumerate(modules)}
    edges = np.zeros((len(modules), len(modules)), bool)
    for module in modules:
        edges[place[module], [place[other] for other in graph.find_modules_directly_imported_by(module)]] = (
            True
        )
    _, group = connected_components(edges, directed=True, connection="strong")
    members = [[m for m in modules if group[place[m]] == i] for i in np.unique(group)]
    return [found for found in members if len(found) > 1]


def main() -> int:
    found = circles(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve())
    for circle in found:
        print(f"these files import each other in a circle: {', '.join(circle)}", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
