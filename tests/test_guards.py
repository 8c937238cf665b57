"""What `make lint` refuses: each guard turns red in a tree that breaks its rule; that of this one it shows itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("toraeval", "baselines", "benchmarks", ".ci")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The sources and the settings of the project, without weights and data."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def add(tree: Path, file: str, line: str) -> None:
    path = tree / file
    path.write_text(f"{path.read_text()}\n{line}\n")


def run(tree: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        capture_output=True,
        text=True,
        env={"PATH": "", "NO_COLOR": "1"},
    )
    return done.returncode, done.stdout + done.stderr


def contracts(tree: Path) -> dict[str, str]:
    """Return KEPT or BROKEN for every import contract."""
    code, shown = run(
        tree, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"
    )
    found = dict(re.findall(r"^(.+) (KEPT|BROKEN)\b", shown, re.MULTILINE))
    assert code == ("BROKEN" in found.values()), shown
    return found


def settings() -> dict[str, dict]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


FORBIDDEN = {
    "Imports point downward": ("toraeval/geometry/__init__.py", "import toraeval.run"),
    "The package reaches the baselines only through registry strings": (
        "toraeval/suites/__init__.py",
        "import baselines.unet",
    ),
    "Only toraeval.video imports PyAV": ("toraeval/stats/__init__.py", "import av"),
    "Only assets downloads": ("toraeval/stats/__init__.py", "def f():\n    from urllib import request"),
    "The core never needs torchvision or what requires it": ("baselines/__init__.py", "import torchvision"),
}


def test_every_import_contract_turns_red(tree: Path) -> None:
    assert [c["name"] for c in settings()["importlinter"]["contracts"]] == list(FORBIDDEN)
    for file, line in FORBIDDEN.values():
        add(tree, file, line)
    assert contracts(tree) == dict.fromkeys(FORBIDDEN, "BROKEN")


@pytest.mark.parametrize(
    "line",
    [
        "import toraeval.baselines",
        "from toraeval import baselines",
        "from toraeval.baselines.unet.config import tiny",
        "def f():\n    from toraeval.baselines import unet",
    ],
)
def test_the_installed_name_of_the_baselines_is_refused_too(line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", "toraeval/run/x.py", "-"],
        cwd=ROOT, input=f"{line}\n", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the package reaches the baselines only through registry strings" in done.stdout
    assert "TID251" in settings()["ruff"]["lint"]["select"]


def test_the_layer_sketch_is_the_contract() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    sketch = re.search(r"`make lint` checks it:\n\n```\n(.*?)```", text, re.DOTALL)
    assert sketch
    assert sketch[1].splitlines() == settings()["importlinter"]["contracts"][0]["layers"]


def test_circles_of_imports_are_found(tree: Path) -> None:
    add(tree, "toraeval/stats/paired.py", "def f():\n    import toraeval.stats.extra")
    (tree / "toraeval/stats/extra.py").write_text("from toraeval.stats import paired\n")
    code, shown = run(tree, ".ci/import_circles.py", ".")
    assert code == 1
    assert re.search("in a circle:.* toraeval.stats.extra", shown)


@pytest.mark.long
def test_dead_code_is_found(tree: Path) -> None:
    add(tree, "toraeval/stats/paired.py", "def used_by_tests_alone() -> int:\n    return 1")
    add(
        tree,
        "toraeval/stats/paired.py",
        'def by_string() -> int:\n    return 1\n\n\nNAME = "toraeval.stats.paired:by_string"',
    )
    source = tree / "toraeval/trajectories/safe_pickle.py"
    source.write_text(source.read_text().replace("find_class", "load_build"))
    code, shown = run(tree, ".ci/dead_code.py", ".")
    assert code == 1
    assert "used_by_tests_alone" in shown
    assert "by_string" not in shown
    assert (
        "the exemption toraeval/trajectories/safe_pickle.py:method find_class no longer fits anything"
        in shown
    )
