"""Pages to open: one of an ordinary bench, and one of runs whose names and prompts are hostile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from toraeval.report.collect import collect
from toraeval.report.findings import Findings
from toraeval.report.site.write import write

CASES = tuple(f"case-{i:02d}" for i in range(9))
TAGS = {case: {"family": "line" if i % 2 else "curve"} for i, case in enumerate(CASES)}


def written(runs: Sequence[Path], folder: Path) -> Path:
    """Write the page of some runs and return its first file."""
    return write([Findings.of(group) for group in collect(runs)], folder)


@pytest.fixture(scope="session")
def pages(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a page: three models at two lengths, nine cases, two families, one failure."""
    root = tmp_path_factory.mktemp("site")
    models = ("tora", "dragnuwa", "static", "ground_truth")
    runs = [
        make_run(root, model, frames, CASES, tags=TAGS, failed=("case-03",) if model == "dragnuwa" else ())
        for frames in (6, 12)
        for model in models
    ]
    return written(runs, root / "page").parent
