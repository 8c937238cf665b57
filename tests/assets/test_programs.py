"""Other people's repositories: found, checked and explained, without running them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from toraeval import assets
from toraeval.assets import programs
from toraeval.assets.program_table import PROGRAMS
from toraeval.types import MissingAsset, UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def checkout(folder: Path, name: str, fork: str) -> Path:
    for file in programs.get_program(name).forks[fork].files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def commit(folder: Path) -> None:
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("name", "fork"), [("motionctrl", "main"), ("dragnuwa", "bensonbs"), ("dragnuwa", "comfyui")]
)
def test_the_fork_is_recognised_by_its_files(tmp_path: Path, name: str, fork: str) -> None:
    folder = checkout(tmp_path / "code", name, fork)
    weights = tmp_path / "w.pth"
    weights.touch()
    found = programs.find_program(name, str(folder), sys.executable, str(weights), any_revision=True)
    assert (found.fork, found.checkout, found.checkpoint) == (fork, folder.resolve(), weights.resolve())


def test_what_is_absent_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    fetch = "run: python -m toraeval fetch model=dragnuwa size=upstream"
    with pytest.raises(
        MissingAsset, match=rf"cache/dragnuwa_checkout is not a checkout of it .*DragNUWA_demo.py.*{fetch}"
    ):
        programs.find_program("dragnuwa", None, None, None)
    folder = checkout(programs.program_folder("dragnuwa"), "dragnuwa", "bensonbs")
    with pytest.raises(
        MissingAsset, match=rf"no interpreter at .*env/bin/python; .*model.python=FILE, or {fetch}"
    ):
        programs.find_program("dragnuwa", None, None, None, any_revision=True)
    with pytest.raises(MissingAsset, match=rf"no weights at .*w.pth; {fetch}"):
        programs.find_program("dragnuwa", str(folder), sys.executable, "w.pth", any_revision=True)
    with pytest.raises(
        MissingAsset, match=r"dragnuwa_upstream is missing; run: python -m toraeval fetch dragnuwa_upst"
    ):
        programs.find_program("dragnuwa", str(folder), sys.executable, None, any_revision=True)


def test_another_commit_is_refused_unless_accepted(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "code", "motionctrl", "main")
    with pytest.raises(UserError, match=r"is at no git commit, the wrapper was written against 6242d55"):
        programs.find_code("motionctrl", str(folder), sys.executable)
    folder = checkout(tmp_path / "committed", "motionctrl", "main")
    commit(folder)
    with pytest.raises(
        UserError, match=r"is at [0-9a-f]{40}, .*run: git -C .* checkout 6242d55.*any_revision=true"
    ):
        programs.find_code("motionctrl", str(folder), sys.executable)
    revision = programs.find_code("motionctrl", str(folder), sys.executable, any_revision=True)[3]
    assert revision is not None
    assert revision["dirty_diff_sha256"] is None


def test_versions_of_another_interpreter(tmp_path: Path) -> None:
    found = programs.environment(Path(sys.executable), ("numpy", "Open_CLIP-torch"))
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"]
    assert found["Open_CLIP-torch"] is None
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no such library' >&2; exit 1\n")
    broken.chmod(0o755)
    with pytest.raises(MissingAsset, match=r"does not run as a Python of 3.8 or newer: no such library"):
        programs.environment(broken, ())


@pytest.mark.parametrize("name", PROGRAMS)
def test_instructions_name_everything(name: str, cache: Path) -> None:
    program, text = programs.get_program(name), "\n".join(programs.instructions(name))
    for fork in program.forks.values():
        assert f"{fork.url} at {fork.commit}" in text
    assert f"git clone {next(iter(program.forks.values())).url} {cache / name}_checkout" in text
    assert program.weights_file in text
    for weights in (program.weights, *program.further):
        assert f"fetch {weights}" in text
        assert f"weights: {assets.ASSETS[weights].url}" in text
    assert programs.program_of(program.weights) == name
    assert isinstance(assets.ASSETS[program.weights], assets.Snapshot)
    assert "is not a checkout of it" in programs.state(name)


def test_unknown_program() -> None:
    with pytest.raises(UserError, match="Did you mean 'motionctrl'"):
        programs.get_program("motionctl")
    assert programs.program_of("cotracker3_online") is None


def test_a_program_of_several_networks_takes_a_folder(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "code", "ati", "main")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a.pth").write_bytes(b"a")
    places = (str(folder), sys.executable, str(tmp_path / "weights"))
    found = programs.find_program("ati", *places, any_revision=True)
    before = found.weights_sha256
    (tmp_path / "weights" / ".cache").mkdir()
    (tmp_path / "weights" / ".cache" / "b.pth").write_bytes(b"b")
    assert found.weights_sha256 == before
    (tmp_path / "weights" / "a.pth").write_bytes(b"other")
    assert found.weights_sha256 != before
    with pytest.raises(MissingAsset, match=r"no weights at .*a.pth; run"):
        programs.find_program("ati", *places[:2], str(tmp_path / "weights" / "a.pth"), any_revision=True)
