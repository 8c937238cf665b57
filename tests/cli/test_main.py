from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import toraeval.cli
from toraeval.__main__ import main
from toraeval.types import MissingAsset

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

ROOT = Path(__file__).resolve().parents[2]


def test_bare_command_shows_every_verb_with_an_example(cli: Callable[..., object]) -> None:
    text = toraeval.cli.help_text()
    for verb in toraeval.cli.VERBS:
        assert f"python -m toraeval {verb}" in text


def test_every_verb_has_a_module_and_explains_itself(cli: Callable[..., object]) -> None:
    for verb in toraeval.cli.VERBS:
        ran = cli(verb, "--help")
        assert ran.code == 0
        assert f"python -m toraeval {verb}" in ran.out


def test_unknown_verb(cli: Callable[..., object]) -> None:
    ran = cli("rnu")
    assert ran.code == 2
    assert ran.err.startswith("error: unknown verb 'rnu'. Did you mean 'run'?")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MissingAsset("weights\nare gone"), 3, "error: weights are gone\n"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_exit_codes(
    error: BaseException,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(importlib.import_module("toraeval.cli.listing"), "main", fails)
    assert main(["list"]) == code
    assert text in capsys.readouterr().err


def test_as_a_process() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "toraeval", "run", "model=torra"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: unknown model 'torra'. Did you mean 'tora'?")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_error(unbuffered: str) -> None:
    command = f'PYTHONUNBUFFERED={unbuffered} "{sys.executable}" -m toraeval'
    script = f"(sleep 0.1; {command}) | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def imported_by(commands: list[str], modules: list[str]) -> dict[str, str]:
    """Return which modules are imported after each command, one after the other in a process of their own."""
    script = (
        "import sys; from toraeval.__main__ import main\n"
        "for command in sys.argv[2:]:\n"
        "    code = main(command.split())\n"
        "    print('\\nimported', *(m for m in sys.argv[1].split() if m in sys.modules))\n"
        "    assert code == 0, command\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, " ".join(modules), *commands],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"^imported ?(.*)$", ran.stdout, re.MULTILINE)
    return dict(zip(commands, found, strict=True))


def test_bare_command_is_quick_to_import() -> None:
    assert imported_by([""], ["torch", "hydra"]) == {"": ""}


def test_only_what_is_used_is_imported() -> None:
    commands = [
        "list models",
        "list metrics",
        "list trackers",
        "run --help",
        "bench --help",
        "score --help",
        "train --help",
        "run model=tora_cogvideox tracker=cotracker3_online metric=[fvd,lpips] --cfg job",
    ]
    heavy = ["torch", "pandas", "scipy", "matplotlib", "cv2", "av", "transformers", "diffusers"]
    assert imported_by(commands, heavy) == dict.fromkeys(commands, "")
