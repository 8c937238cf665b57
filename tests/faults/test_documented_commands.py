"""Every command that the documentation, the help texts or the Makefile show is one that toraeval takes."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from toraeval import config
from toraeval.cli import VERBS, overrides
from toraeval.cli.arguments import switches

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "Makefile",
    *sorted((ROOT / "docs").rglob("*.md")),
]
STANDS_FOR = {"CLIPS": "8", "RATE": "1.5", "$(ARGS)": "", "VERB": "run", "mymodel": "tora"}
"""Words of the documentation in place of a number, of nothing, or of the reader's own model."""


def commands(text: str) -> Iterator[str]:
    """Yield what follows `-m toraeval`, up to the end of the line, the code, or the two blanks before a remark."""
    joined = text.replace("\\\n", " ")
    for found in re.finditer(r"-m toraeval +([a-z][^`\n]*)", joined):
        yield re.split(r" {2,}(?=\S)", re.sub(r" {2,}(?=[a-z_.]+=)", " ", found[1].strip()))[0]


def every_command() -> list[tuple[str, str]]:
    texts = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
    for name, verb in VERBS.items():
        module = importlib.import_module(f"toraeval.cli.{verb.module}")
        texts[f"help of {name}"] = f"-m toraeval {verb.example}\n{module.HELP}"
    return sorted({(command, page) for page, text in texts.items() for command in commands(text)})


OWN = {"my_model": ROOT / "docs" / "own_model.md", "my_suite": ROOT / "docs" / "own_suite.md"}
"""Modules of the reader's own that commands name, and the pages whose last Python block they are."""


class Taken(Exception):
    """The words and options of a verb were understood."""


COMMANDS = every_command()


def test_the_documentation_is_found() -> None:
    assert len(COMMANDS) > 70
    assert any("model.checkout=~/DragNUWA-Fork" in command for command, _ in COMMANDS)


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Save the modules that the pages show, where Python finds them."""
    for name, page in OWN.items():
        code = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)[-1]
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in OWN:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("own_modules", "composed_once")
@pytest.mark.parametrize("command", list(dict.fromkeys(command for command, _ in COMMANDS)))
def test_documented_command_is_taken(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for word, value in STANDS_FOR.items():
        command = command.replace(word, value)
    verb, *argv = shlex.split(command, comments=True)
    if verb in config.VERBS or verb == "train":
        arguments = switches(verb, argv, overrides.keys(verb))
        overrides.check(verb, arguments.overrides, arguments.multirun)
        GlobalHydra.instance().clear()
        return
    module = importlib.import_module(f"toraeval.cli.{VERBS[verb].module}")
    split = module.split

    def stop(*given: object, **named: object) -> None:
        split(*given, **named)
        raise Taken

    monkeypatch.setattr(module, "split", stop)
    if "--help" not in argv:
        with pytest.raises(Taken):
            module.main(argv)
