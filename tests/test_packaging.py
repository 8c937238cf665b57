"""What pyproject.toml ships matches the folders, and the versions fit each other."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def folders_with_modules(folder: str, package: str) -> set[str]:
    files = (ROOT / folder).rglob("*.py")
    parents = {path.parent.relative_to(ROOT / folder) for path in files}
    return {".".join((package, *parent.parts)) for parent in parents}


def requirement_name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def dev_requirements() -> list[str]:
    """Requirements of the extra `dev`, with those of the project's own extras that it names."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    own = re.compile(r"toraeval\[(.+)\]")
    plain = [r for r in extras["dev"] if not own.match(r)]
    named = [name for r in extras["dev"] if (found := own.match(r)) for name in found[1].split(",")]
    return plain + [r for name in named for r in extras[name]]


def test_every_package_is_shipped() -> None:
    found = folders_with_modules("toraeval", "toraeval")
    found |= folders_with_modules("baselines", "toraeval.baselines") | {"toraeval.conf"}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == found


def test_every_file_beside_the_code_is_shipped() -> None:
    setuptools = PYPROJECT["tool"]["setuptools"]
    for package, folder in setuptools["package-dir"].items():
        patterns = [pattern.removeprefix("**/") for pattern in setuptools["package-data"][package]]
        others = {path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".py"}
        others = {path for path in others if "__pycache__" not in path.parts and path.name[0] != "."}
        left_out = [path for path in others if not any(path.match(pattern) for pattern in patterns)]
        assert left_out == [], package


def test_core_requires_nothing_that_needs_torchvision() -> None:
    names = {requirement_name(r) for r in PYPROJECT["project"]["dependencies"]}
    names |= {requirement_name(r) for r in dev_requirements()}
    assert names.isdisjoint({"torchvision", "lpips", "timm", "open-clip-torch", "torch-fidelity", "cd-fvd"})


def test_constraints_pin_every_requirement_of_ci_with_torch_first() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins[0].startswith("torch==")
    assert all("==" in pin for pin in pins)
    assert not any("+" in pin for pin in pins), "a local version such as +cpu resolves on one machine only"
    pinned = {requirement_name(pin) for pin in pins}
    wanted = {requirement_name(r) for r in PYPROJECT["project"]["dependencies"] + dev_requirements()}
    assert wanted <= pinned


@pytest.mark.parametrize("repository", [None, "https://example.org/toraeval"])
def test_the_page_of_a_package_index_has_no_relative_link(repository: str | None) -> None:
    long_description = runpy.run_path(str(ROOT / "setup.py"), run_name="read")["long_description"]
    readme = (ROOT / "README.md").read_text()
    shown = long_description(readme, repository)
    targets = re.findall(r"\]\(([^)]*)\)", shown)
    assert targets
    assert [target for target in targets if not re.match(r"https://|#", target)] == []
    own = [target for target in targets if repository and target.startswith(repository)]
    assert bool(own) == bool(repository)
    assert {target.split("/HEAD/")[1] for target in own} == {
        target for target in re.findall(r"\]\(([^)]*)\)", readme) if repository and "://" not in target
    }
    assert len(shown.splitlines()) == len(readme.splitlines())


def test_hosted_ci_runs_the_script_on_every_supported_python() -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["run"]
    assert job["steps"][-1]["run"] == "bash .ci/run"
    supported = {c.rpartition(" ")[2] for c in PYPROJECT["project"]["classifiers"] if ":: 3." in c}
    assert set(job["strategy"]["matrix"]["python"]) == supported


def test_issue_forms_ask_for_something() -> None:
    forms = set((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) - {
        ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"
    }
    for form in map(yaml.safe_load, (path.read_text() for path in forms)):
        fields = [field for field in form["body"] if field["type"] in ("input", "textarea", "dropdown")]
        assert form["name"]
        assert form["description"]
        assert all(field["id"] and field["attributes"]["label"] for field in fields)
        assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_container_file_copies_what_is_there_and_installs_as_the_makefile_does() -> None:
    text = (ROOT / "Dockerfile").read_text()
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    supported = {c.rpartition(" ")[2] for c in PYPROJECT["project"]["classifiers"] if ":: 3." in c}
    (base,) = [rest for step, rest in steps if step == "FROM"]
    assert re.fullmatch(r"python:(3\.\d+)-slim", base)[1] in supported  # type: ignore[index]
    ignored = (ROOT / ".dockerignore").read_text().split()
    sources = {source for step, rest in steps if step == "COPY" for source in rest.split()[:-1]}
    assert all((ROOT / source).exists() and source not in ignored for source in sources)
    needed = {
        *PYPROJECT["tool"]["setuptools"]["package-dir"].values(),
        "README.md",
        "setup.py",
        *PYPROJECT["project"]["license-files"],
    }
    assert needed.isdisjoint(ignored), "the build needs them"
    installs = [
        part.strip()
        for step, rest in steps
        if step == "RUN"
        for part in rest.split("&&")
        if "pip install" in part
    ]
    assert [line.split()[-1] for line in installs] == ["torch", "/src"], "torch first and alone"
    assert all("-c /src/constraints.txt" in line for line in installs)
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"install -c constraints\.txt torch\b.*\n.*install -c constraints\.txt", makefile)
    assert '["python", "-m", "toraeval"]' in dict(steps)["ENTRYPOINT"]
    assert dict(steps)["CMD"] == '["--help"]'
