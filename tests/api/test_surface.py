"""What a program finds in `toraeval`, and that looking costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import toraeval

STUB = Path(toraeval.__file__).with_suffix(".pyi")
CHECK = """
import sys, toraeval
print(dir(toraeval))
toraeval.metrics.traj_error([[[0, 0], [1, 1]]], [[[0, 0], [2, 2]]], (8, 8))
from toraeval.__main__ import main
assert main(["list", "models"]) == 0
assert not {"torch", "torchmetrics", "pandas"} & set(sys.modules), "a heavy package was imported"
"""


def test_the_directory_shows_what_there_is() -> None:
    assert {"evaluate", "track", "load_results", "metrics", "TrajErrorMetric"} <= set(dir(toraeval))
    assert all(hasattr(toraeval, name) for name in dir(toraeval))
    assert callable(toraeval.metrics.traj_error)
    with pytest.raises(AttributeError, match="has no attribute 'evaluat'"):
        _ = toraeval.evaluat  # type: ignore[attr-defined]


def test_editors_are_told_the_same_names() -> None:
    body = ast.parse(STUB.read_text()).body
    names = {alias.asname for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names | {"__version__"} == set(dir(toraeval))


def test_looking_and_errors_of_arrays_import_nothing_heavy() -> None:
    ran = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, timeout=50)
    assert ran.returncode == 0, ran.stderr
    assert "'evaluate'" in ran.stdout.splitlines()[0]
