"""CONTRIBUTING.md's four steps, done to the letter in a copy of the tree for one part of every kind."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("toraeval", "baselines", "benchmarks", "conf", "docs", "tests", ".ci", ".github")

SOURCES = {
    "model": '''"""The first frame, darker in every frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from toraeval.models.shared.base import Generator
from toraeval.types import Case, Video


class ToyModel(Generator):
    """Fades the first frame.

    Args:
        steps: frames until the picture is black, 1 and more.
    """

    name = "toy_model"

    def __init__(self, steps: int = 40) -> None:
        self.steps = steps

    def fingerprint(self) -> dict[str, Any]:
        """Return the name and the option."""
        return {"model": self.name, "steps": self.steps}

    def generate(self, case: Case, seed: int) -> Video:
        """Return the faded first frame."""
        light_T111 = np.clip(1 - np.arange(case.frames) / self.steps, 0, 1).reshape(-1, 1, 1, 1)
        frames_THWC = (light_T111 * np.asarray(case.first_frame_HWC)).astype(np.uint8)
        return Video.from_thwc(frames_THWC, case.fps, {"generated": case.frames, "length_mode": "exact"})
''',
    "metric": '''"""Distance between both ends of the tracked path."""

from __future__ import annotations

import numpy as np

from toraeval.metrics.shared.base import Found
from toraeval.metrics.shared.paths import LOST, OBJECTS, PathMetric, Paths
from toraeval.types import Case


class ToyMetric(PathMetric):
    """Displacement from the first to the last frame.

        toy_metric = mean over objects of |p(T-1) - p(0)|

    Higher is better; range 0 and more, pixels of the scored video. Hidden points count with the place that the tracker
    reports. A frozen video scores 0. A definition of our own.
    """

    name, version = "toy_metric", "1"
    direction, units, value_range = "higher", "px", "0 and more"
    formula = "mean_case mean_object |p(T-1) - p(0)|_2"
    pooling, lost_points = OBJECTS, LOST
    columns = {"toy_metric": "displacement of the tracked point"}
    source = "definition of our own"
    expected = {"toy_metric": ("frozen < ground_truth",)}

    def measure(self, case: Case, paths: Paths) -> Found:
        """Return the displacement."""
        moved_N2 = paths.tracked_NT2[:, -1] - paths.tracked_NT2[:, 0]
        return {"toy_metric": float(np.linalg.norm(moved_N2, axis=-1).mean())}, {}
''',
    "tracker": '''"""Points that move to the right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from toraeval.trackers.shared.base import Tracker, check_queries
from toraeval.types import Tracks, Video


class ToyTracker(Tracker):
    """Moves every point by the same step, whatever the video shows.

    Args:
        step: pixels per frame.
    """

    name, version = "toy_tracker", "1"

    def __init__(self, step: float = 0.5) -> None:
        self.step = step

    def fingerprint(self) -> dict[str, Any]:
        """Return the name and the option."""
        return {"tracker": self.name, "version": self.version, "step": self.step}

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Return points that all move by `step`."""
        start_N2 = check_queries(video, queries_N2)
        steps_T2 = np.arange(video.num_frames)[:, None] * np.array([self.step, 0.0])
        tracks_NT2 = start_N2[:, None] + steps_T2[None]
        return Tracks(tracks_NT2, np.ones(tracks_NT2.shape[:2], bool), None, {"tracker": self.name})
''',
    "suite": '''"""One grey clip with one path."""

from __future__ import annotations

from typing import Any

import numpy as np

from toraeval.suites.shared.base import Suite, case_seed, check_request, content_hash
from toraeval.types import Case, Trajectories


class ToySuite(Suite):
    """A path through the middle of a grey picture."""

    name, version = "toy_suite", "1"

    def cases(self, frames: int, height: int, width: int, limit: int | None = None) -> list[Case]:
        """Return the only case."""
        check_request(self.name, frames, height, width, limit)
        x_T = np.linspace(0.25, 0.75, frames) * width
        path_NT2 = np.stack([x_T, np.full(frames, height / 2)], axis=-1)[None]
        paths = Trajectories(path_NT2, np.ones((1, frames), bool), (width, height), source="middle")
        picture_HWC = np.full((height, width, 3), 128, np.uint8)
        request = {"frames": frames, "height": height, "width": width}
        digest = content_hash("grey", paths, request, picture_HWC)
        return [
            Case(
                id="middle", suite="toy_suite-v1", prompt="grey", trajectories=paths, frames=frames, height=height,
                width=width, fps=8.0, seed=case_seed("middle"), first_frame_HWC=picture_HWC, content_hash=digest,
            )
        ]  # fmt: skip

    def fingerprint(self) -> dict[str, Any]:
        """Return name and version."""
        return {"suite": self.name, "version": self.version}
''',
}
TEST = '''"""{name} can be built and says what it is."""

from toraeval import registry


def test_it_is_registered_and_keyed() -> None:
    part = registry.build("{kind}", {{"name": "{name}"}})
    assert part.name == "{name}"
    assert part.fingerprint()["{kind}"] == "{name}"
'''
CLASS = {"model": "ToyModel", "metric": "ToyMetric", "tracker": "ToyTracker", "suite": "ToySuite"}
# whatever of the tests asks the registry for all parts
TESTS = (
    "tests/test_registry.py", "tests/test_config.py", "tests/test_docs.py", "tests/test_packaging.py",
    "tests/metrics/test_every_metric.py", "tests/report/test_metric_docs.py",
)  # fmt: skip


def steps(kind: str) -> list[str]:
    """Return the numbered steps for a kind of part, as CONTRIBUTING.md has them."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split(f"## Adding a {kind}\n")[1].split("\n## ")[0]
    return [" ".join(step.split()) for step in re.split(r"^\d\. ", section, flags=re.MULTILINE)[1:]]


def follow(tree: Path, kind: str) -> None:
    """Do the four steps for a toy in a copy of the tree."""
    name, file = f"toy_{kind}", {"metric": "metrics"}.get(kind, f"{kind}s")
    source, line, values, test = steps(kind)
    places = [re.search(r"`((?:toraeval|conf|tests)/\S*NAME\S*)`", step) for step in (source, values, test)]
    assert all(places), (kind, places)
    module, yaml, test_file = (tree / place[1].replace("NAME", name) for place in places if place)
    module.write_text(SOURCES[kind])
    assert f'one line to the `"{kind}"` table in `toraeval/registry.py`' in line
    registry = tree / "toraeval/registry.py"
    head = f'    "{kind}": {{\n'
    own = f'        "{name}": Entry("toraeval.{file}.{name}:{CLASS[kind]}", "a toy"),\n'
    above, table, below = registry.read_text().partition("_TABLES: dict[str, dict[str, Entry]] = {")
    assert head in below
    registry.write_text(above + table + below.replace(head, head + own, 1))
    like = sorted(yaml.parent.glob("*.yaml"))[0]
    yaml.write_text(like.read_text().replace(like.stem, name))
    if page := re.search(r"row in the table of `(docs/\S+)`", values):
        head, rule, rows = (tree / page[1]).read_text().partition("|---|")
        own_row = f"| [`{name}`]({Path(page[1]).name}) | 1 | any | none | Apache-2.0 |\n"
        rest = rows.partition("\n")
        (tree / page[1]).write_text(f"{head}{rule}{rest[0]}\n{own_row}{rest[2]}")
    if command := re.search(r"`python -m (toraeval\S*)`", values):
        done(tree, "-m", command[1])
    test_file.write_text(TEST.format(name=name, kind=kind))


def done(tree: Path, *command: str) -> str:
    """Run Python in the tree and return what it printed; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    return ran.stdout


def contents(tree: Path) -> dict[str, str]:
    """Return the hash of every text file by its place."""
    return {
        path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tree.rglob("*")
        if path.suffix in (".py", ".yaml", ".md", ".toml")
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, in which weights and the data of tests are links."""
    copy = tmp_path_factory.mktemp("tree")

    def put(source: str, target: str) -> None:
        (os.symlink if source.endswith(".safetensors") else shutil.copyfile)(source, target)

    def left_out(folder: str, _: list[str]) -> set[str]:
        return {"__pycache__"} | ({"data"} if Path(folder) == ROOT / "tests" else set())

    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, copy_function=put, ignore=left_out)
    os.symlink(ROOT / "tests/data", copy / "tests/data")
    os.symlink(ROOT / "results", copy / "results")
    for file in (path for path in ROOT.iterdir() if path.is_file()):
        shutil.copyfile(file, copy / file.name)
    return copy


@pytest.mark.long
@pytest.mark.timeout(400)
def test_four_steps_are_all_that_a_new_part_needs(tree: Path, tmp_path: Path) -> None:
    before = contents(tree)
    for kind in SOURCES:
        follow(tree, kind)
    after = contents(tree)
    touched = {place for place in after if after[place] != before.get(place)}
    expected = {"registry.py", "metrics.md", "suites.md"}
    for kind in SOURCES:
        expected |= {f"toy_{kind}.yaml", f"toy_{kind}.py", f"test_toy_{kind}.py"}
    assert {Path(place).name for place in touched} == expected
    listed = done(tree, "-m", "toraeval", "list")
    assert [kind for kind in SOURCES if f"| toy_{kind} " not in listed] == []
    results = tmp_path / "results"
    printed = done(
        tree, "-m", "toraeval", "run", "model=toy_model", "suite=toy_suite", "tracker=toy_tracker",
        "metric=[toy_metric,traj_error]", "model.steps=20", "frames=8", "height=64", "width=64", f"results={results}",
    )  # fmt: skip
    assert "toy_metric" in printed
    (table,) = results.rglob("cases.csv")
    assert pd.read_csv(table)["toy_metric"].tolist() == [3.5]
    mine = [place for place in touched if place.endswith(".py")]
    done(tree, "-m", "ruff", "check", *mine)
    done(tree, ".ci/dead_code.py", ".")
    own = [place for place in mine if place.startswith("tests/")]
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "not test_every_metric or toy")
    done(tree, "-m", "pytest", *options, *TESTS, *own)
