"""Paths and texts arrive as they are typed, whatever Hydra's grammar or OmegaConf makes of their characters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf, StringNode

from toraeval.cli import overrides
from toraeval.cli.arguments import split
from toraeval.cli.composing import literal

Cli = Callable[..., Any]
NAMES = (
    "a,b", "a=b", "(paren)", "[br]", "{curly}", "it's", 'q"uote', "~tilde", "hash#1", "amp&", "with space", "${x}",
    "$HOME", "日本", "a cat, running! (v2) {x}=y", "semi;colon", "new\nline", "tab\there", "${oc.env:HOME}",
    "back\\slash", "trail\\", "\\${x}", "1e3", "007", "true", "choice(a,b)", "*?", "-m", "--help", " ", "é̈", "a: b",
)  # fmt: skip


def arrived(override: str) -> str:
    """Return the value that reaches a verb through Hydra's grammar and OmegaConf."""
    given = OmegaConf.create({"key": ""})
    OmegaConf.update(given, "key", OverridesParser.create().parse_override(override).value())
    return str(given.key)


@given(st.text(st.sampled_from("=,()[]{}'\"~#&;$ x\\\n:é日%!*?|\t+-@0e"), max_size=12))
def test_any_text_arrives_literally(text: str) -> None:
    typed = f"label={text}"
    quoted = text[:1] == text[-1:] and text[:1] in ("'", '"')
    if quoted or text == "???" or text.startswith(("~", "$HOME", "${HOME}")):
        return  # quotes mean what is inside, `???` that a value is missing; home directories have their own tests
    plain = literal(typed, sweeps=False, notes=[])
    assert arrived(plain) == text
    alone = BasicSweeper.split_arguments([OverridesParser.create().parse_override(plain)], None)[0][0][0]
    assert arrived(alone) == text, "also as a job of a sweep over something else"


def text_options(verb: str, *chosen: str) -> Iterator[str]:
    """Yield every option of a verb that takes a text."""

    def walk(node: DictConfig, path: tuple[str, ...]) -> Iterator[str]:
        for key in node.keys():  # noqa: SIM118 - also those without a value
            child = node._get_node(key)
            if isinstance(child, DictConfig):
                yield from walk(child, (*path, str(key)))
            elif isinstance(child, StringNode) and not (path and key == "name"):
                yield ".".join((*path, str(key)))

    return walk(overrides.check(verb, list(chosen), multirun=False).configs[0], ())


TEXTS = ("a cat, running! (v2) {x}=y", "${x}", 'it\'s [a] "~#&;$HOME"', "日本\n\\")


@pytest.mark.usefixtures("composed_once")
@pytest.mark.parametrize(
    ("verb", "chosen"),
    [
        ("score", ("tracker=cotracker3_offline", "metric=[fvd,clipsim,lpips]")),
        ("run", ("model=tora_cogvideox", "suite=folder")),
        ("run", ("model=precomputed", "tracker=cotracker3_online")),
        ("run", ("model=dragnuwa",)),
        ("bench", ()),
        ("train", ()),
    ],
)
def test_every_text_option_of_every_verb_is_literal(verb: str, chosen: tuple[str, ...]) -> None:
    keys = list(text_options(verb, *chosen))
    extra = ["model_options.precomputed.videos", "model_options.tora.weights"] if verb == "bench" else []
    assert keys, verb
    given = dict(zip(keys + extra, itertools.cycle(TEXTS)))
    checked = overrides.check(verb, [*chosen, *map("=".join, given.items())], multirun=False)
    values = OmegaConf.to_container(checked.configs[0], resolve=True)
    found = {key: OmegaConf.select(OmegaConf.create(_escaped(values)), key) for key in given}
    assert found == given


def _escaped(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _escaped(value) for key, value in values.items()}
    return values.replace("\\${", "\\\\${").replace("${", "\\${") if isinstance(values, str) else values


def test_folders_of_any_name_are_found(cli: Cli, tmp_path: Path) -> None:
    for name in NAMES[:16:2]:
        (tmp_path / name).mkdir()
        ran = cli("score", f"videos={name}", f"trajectories={name}", "results=out", "dry_run=true")
        assert ran.code == 2
        assert "no such file" not in ran.err, name
        assert "video" in ran.err, "it was found, and holds no video"


@pytest.mark.parametrize("name", ["a cat, running! (v2) {x}=y", "${x}", "$HOME", "it's ~\n[a]", "--help"])
def test_folders_of_any_name_are_written(name: str, cli: Cli, tmp_path: Path, fake: tuple[str, ...]) -> None:
    (tmp_path / name).mkdir()
    ran = cli("run", "model=fake_model", *fake, f"results={name}", "limit=1", "floor=false")
    assert ran.code == 0, ran.err
    record = next((tmp_path / name).glob("runs/*/*/*/record.json"))
    ran = cli("report", str(record.parent.relative_to(tmp_path)), f"out={name}/drawn")
    assert ran.code == 0, ran.err
    assert (tmp_path / name / "drawn" / "table1.csv").is_file()


def test_home_directories_are_put_in_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of/user")
    monkeypatch.chdir(tmp_path)
    for typed in ("~/a,b", "$HOME/a,b", "${HOME}/a,b"):
        notes: list[str] = []
        assert arrived(literal(f"videos={typed}", False, notes)) == "/home/of/user/a,b"
        assert notes == [f"videos={typed} is read as /home/of/user/a,b"]
    (tmp_path / "~" / "a").mkdir(parents=True)
    notes = []
    assert arrived(literal("videos=~/b", False, notes)) == "~/b"
    assert "in the folder ~ that lies here" in notes[0]
    for typed in ("~/a", "~nobody_of_this_name/x", "$HOMES/x", "a/~/b", "a$HOME"):
        notes = []
        assert arrived(literal(f"videos={typed}", False, notes)) == typed
        assert notes == []


def test_home_directories_of_the_plain_verbs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", "/home/of/user")
    words, values = split("report", ["$HOME/a=b", "results=~/c", "runs/d=e/f"], {"results": "", "out": ""})
    assert (words, values["results"]) == (["/home/of/user/a=b", "runs/d=e/f"], "/home/of/user/c")
    assert capsys.readouterr().err.splitlines() == [
        "note: $HOME/a=b is read as /home/of/user/a=b",
        "note: results=~/c is read as /home/of/user/c",
    ]


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("a,b", ["a", "b"]),
        ("a (1), b=2", ["a (1)", "b=2"]),
        ("'a,b',c", ["a,b", "c"]),
        ("'a,b'", ["a,b"]),
        ('"a,b"', ["a,b"]),
        ("choice(a,b)", ["a", "b"]),
        ("${x},~y", ["${x}", "~y"]),
        ("it's", ["it's"]),
    ],
)
def test_sweeps_split_at_commas_outside_quotes(
    typed: str, values: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    override = OverridesParser.create().parse_override(literal(f"label={typed}", True, []))
    jobs = BasicSweeper.split_arguments([override], None)[0]
    assert [arrived(job[0]) for job in jobs] == values


def test_in_a_sweep_a_path_that_exists_is_one_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").mkdir()
    notes: list[str] = []
    assert arrived(literal("videos=a,b", True, notes)) == "a,b"
    assert "is read as the one path of that name" in notes[0]


def test_bytes_that_are_not_text_are_one_line(cli: Cli) -> None:
    ran = cli("score", "videos=a\udcffb", "trajectories=c")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "is not valid UTF-8" in ran.err
