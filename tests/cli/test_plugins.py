"""Parts of other distributions: the example of docs/extending.md, installed, in every verb; and one that is broken."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from toraeval import registry

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

Cli = Callable[..., Any]
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text()
WORLD = ("suite=fake_suite", "tracker=fake_tracker", "height=64", "width=64")
PLACE = "mypackage.generator:MyModel"


def install(folder: Path, files: dict[str, str], entry_points: str) -> None:
    """Put a distribution into a folder as pip does."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    facts = folder / "mypackage-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[toraeval]\n{entry_points}\n")


@pytest.fixture
def installed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """The example of the page in an environment of its own, beside a part whose import fails."""
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL)
    points = re.findall(r'^"(.+)" = "(.+)"$', PAGE, re.MULTILINE)
    assert [name for name, _ in blocks] == ["mypackage/generator.py", "mypackage/metrics.py"]
    assert len(points) == 2
    files = dict(blocks) | {
        "mypackage/__init__.py": "",
        "mypackage/broken.py": "import nowhere_to_be_found\n",
    }
    points += [("model.broken", "mypackage.broken:Model"), ("tracker.gone", "mypackage.generator:Gone")]
    install(tmp_path / "site", files, "\n".join(f"{name} = {target}" for name, target in points))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    registry._load_entry_points.cache_clear()
    yield cli
    registry._load_entry_points.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypackage"]:
        del sys.modules[name]


def test_lists_show_it_and_say_what_is_broken(installed: Cli) -> None:
    ran = installed("list", "models")
    assert ran.code == 0
    row = next(line for line in ran.out.splitlines() if line.startswith("| mymodel"))
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["ready", "1"]
    row = next(line for line in ran.out.splitlines() if line.startswith("| broken"))
    assert row.split("|")[2].strip() == "broken"
    (line,) = [line for line in ran.out.splitlines() if "nowhere_to_be_found" in line]
    assert line.startswith("model broken: mypackage.broken:Model, named by mypackage, cannot be imported")
    assert "| smoothness" in installed("list", "metrics").out
    assert "lower" in installed("list", "metric=mypackage.metrics:Smoothness").out
    assert "no attribute 'Gone'" in installed("list", "trackers").out


def test_nothing_of_it_is_imported_before_it_is_used(installed: Cli) -> None:
    out = installed("run", "--help", "model=mymodel").out
    assert re.search(r"model.steps=20 +frames until the picture is black, 1 to 1000.", out)
    assert "steps: 20" in installed("run", "model=mymodel", "--cfg", "job").out
    ran = installed("run", "model=mymodel", "model.stpes=3")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "Did you mean 'model.steps'?" in ran.err
    assert (
        "model.steps=many; allowed: a whole number"
        in installed("run", "model=mymodel", "model.steps=many").err
    )
    assert "mypackage.generator" not in sys.modules


@pytest.mark.parametrize("name", ["mymodel", PLACE])
def test_run_and_bench(name: str, installed: Cli, tmp_path: Path) -> None:
    metric = "smoothness" if name == "mymodel" else "mypackage.metrics:Smoothness"
    words = (f"model={name}", "model.steps=30", f"metric=[traj_error,{metric}]", "metrics.smoothness.skip=1")
    ran = installed("run", *words, *WORLD, "frames=8")
    assert ran.code == 0, ran.err
    assert "| smoothness" in ran.out
    (cases,) = (tmp_path / "results" / "runs" / "fake_suite-v1" / "mymodel").glob("*/cases.csv")
    assert (pd.read_csv(cases)["smoothness"] < 1e-6).all()
    ran = installed("run", *words, *WORLD, "frames=8", "dry_run=true")
    assert "mymodel 8f: 3 samples, 3 cached, 0 to do" in ran.out
    models = (
        "models=[static,mymodel]" if name == "mymodel" else f"models=[static,{{name: '{PLACE}', steps: 9}}]"
    )
    options = ("model_options.mymodel.steps=9",) if name == "mymodel" else ()
    ran = installed("bench", models, *options, "frames=[8]", *WORLD, "dry_run=true")
    assert "mymodel 8f: 3 samples, 0 cached, 3 to do" in ran.out, ran.err


@pytest.mark.long
def test_workers_find_it_too(installed: Cli) -> None:
    ran = installed(
        "run", f"model={PLACE}", *WORLD, "frames=8", "workers=2", "metric=[traj_error]", "floor=false"
    )
    assert ran.code == 0, ran.err
    assert "3 cases: 3 computed" in ran.out


def test_a_broken_one_stops_nothing_but_itself(installed: Cli) -> None:
    ran = installed("run", "model=broken", *WORLD)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "mypackage.broken:Model, named by mypackage, cannot be imported (ModuleNotFoundError" in ran.err
    for words in (("doctor",), ("fetch",), ("score", "--help"), ("calibrate", "--help"), ("train", "--help")):
        assert installed(*words).code in (0, 3), words
    ran = installed("run", "model=static", *WORLD, "frames=8", "metric=[traj_error]", "dry_run=true")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "model=mypackage.generator:Mine"), "has no attribute 'Mine'"),
        (("run", "model=nowhere.generator:Mine"), "No module named 'nowhere'"),
        (("bench", "models=['nowhere.generator:Mine']"), "No module named 'nowhere'"),
        (("score", "videos=a", "trajectories=b", "tracker=nowhere:Mine"), "No module named 'nowhere'"),
        (("calibrate", "tracker=nowhere:Mine"), "No module named 'nowhere'"),
    ],
)
def test_a_place_without_a_class_is_one_line(installed: Cli, words: tuple[str, ...], said: str) -> None:
    ran = installed(*words)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert said in ran.err
