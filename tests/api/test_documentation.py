"""The pages about Python and own clips do what they say: every example, command and cell is run."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.fake_parts import config
from toraeval.run import pipeline
from toraeval.run.plan import plan_run

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.timeout(300)


@pytest.mark.long
def test_every_example_of_the_python_page_gives_what_it_shows(tmp_path: Path) -> None:
    parts = {"model": "static", "suite": "shapes", "tracker": "lucas_kanade"}
    made = config(
        tmp_path, **{kind: {"name": name} for kind, name in parts.items()}, floor=False, keep="none"
    )
    pipeline.run(plan_run(made | {"frames": 16, "height": 128, "width": 128, "limit": 2}), command="test")
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "api.md").read_text(), flags=re.M | re.S)
    assert len(blocks) == 7
    parsed = doctest.DocTestParser().get_doctest(
        "\n".join(blocks), {"example_results": tmp_path}, "api.md", str(DOCS / "api.md"), 0
    )
    assert len(parsed.examples) > 25
    said: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed = doctest.DocTestRunner(optionflags=flags, verbose=False).run(parsed, out=said.append).failed
    assert failed == 0, "".join(said)


def test_the_cells_of_the_notebook_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    cells = json.loads((DOCS / "api.ipynb").read_text())["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(codes) == 4
    assert any("image/png" in output.get("data", {}) for cell in codes for output in cell["outputs"])
    names: dict[str, Any] = {}
    try:
        for cell in codes:
            exec(compile("".join(cell["source"]), "api.ipynb", "exec"), names)
        assert len(plt.gcf().axes) == 2
    finally:
        plt.close("all")
    errors = [names["scores"][clip]["traj_error"] for clip in ("perfect", "late", "frozen")]
    assert errors[0] < 1 < errors[1] < errors[2]
    assert names["mean"]["traj_error"] == pytest.approx(sum(errors) / 3)


@pytest.mark.long
def test_own_clips_in_five_minutes(tmp_path: Path) -> None:
    """Save the page's files under the names it gives, then type its commands, as a reader would."""
    page = (DOCS / "own_clips.md").read_text()
    codes = re.findall(r"save it as `(\w+\.py)`:\n\n```python\n(.*?)^```", page, flags=re.M | re.S)
    assert [name for name, _ in codes] == ["make_clips.py", "curve.py"]
    for name, code in codes:
        (tmp_path / name).write_text(code)
    said = ""
    for commands in re.findall(r"^```bash\n(.*?)^```", page, flags=re.M | re.S):
        said += typed(commands, tmp_path)
    assert "| my_clips" in said
    (table,) = (tmp_path / "my_results").rglob("cases.csv")
    errors = pd.read_csv(table).set_index("case")
    assert errors["traj_error"]["cat"] < 1
    assert errors["traj_error_final"]["dog"] == pytest.approx(12, abs=1)
    assert errors["traj_error_final"]["fox"] == pytest.approx(40, abs=1)
    report = tmp_path / "my_results" / "report"
    assert f"report: {report.relative_to(tmp_path)}/index.html" in said
    assert {page.stem for page in (report / "cases").glob("*.html")} == {"cat", "dog", "fox"}
    assert len(list((report / "clips").rglob("*.mp4"))) == 3
    assert "my_clips" in (report / "index.html").read_text()
    curve = pd.read_csv(report / "error_over_time.csv").query("model == 'my_clips'")
    assert curve["error"].iloc[-1] == pytest.approx(errors["traj_error_final"].mean(), abs=0.01)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"fox +\d", said)


def typed(commands: str, folder: Path) -> str:
    """Run lines of a shell in a folder in which `python` is this one; return what they print."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    path = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        ["sh", "-ec", commands],
        cwd=folder,
        env=os.environ | path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
