from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import MISSING

from toraeval import config, registry
from toraeval.config import training
from toraeval.config.declared import declaration
from toraeval.config.verbs import BenchConfig, RunConfig
from toraeval.types import UserError


def constructor(cls: Any) -> dict[str, Any]:
    """Return the defaults of the keyword arguments that a class really takes."""
    if hasattr(cls, "options_class"):  # the constructor takes the fields of this class
        return {f.name: f.default for f in dataclasses.fields(cls.options_class)}
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return {p.name: p.default for p in named if not p.name.startswith("_")}


PARTS = [(kind, name) for kind in config.GROUPS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_what_is_read_from_the_source_is_what_the_constructor_takes(kind: str, name: str) -> None:
    schema = config.schema_of(kind, name)()
    fields = {f.name: getattr(schema, f.name) for f in dataclasses.fields(schema) if f.name != "name"}
    expected = {
        key: MISSING if default is inspect.Parameter.empty else default
        for key, default in constructor(registry.load(kind, name)).items()
    }
    assert fields == expected
    assert schema.name == name


def test_every_option_of_every_part_has_a_line() -> None:
    options = {part: config.declared_by(*part).options for part in PARTS}
    assert [(*part, option.name) for part in PARTS for option in options[part] if not option.text] == []


OPTIONS = config.VERBS | training.sections()
"""Classes of options by verb; those of `train` by what is trained."""


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_option_of_every_verb_has_a_line(verb: str) -> None:
    cls = OPTIONS[verb]
    found = declaration(f"{cls.__module__}:{cls.__name__}").options
    assert [option.name for option in found] == [f.name for f in dataclasses.fields(cls)]
    assert [option.name for option in found if not option.text] == []


def test_an_option_is_described_once_in_its_class() -> None:
    options = {option.name: option for option in config.declared_by("metric", "ssim").options}
    assert options["max_frames"].default == 16, "from the constructor of the base class"
    assert options["max_frames"].text == "most frames that are compared."
    options = {option.name: option for option in config.declared_by("model", "motionctrl").options}
    assert options["eta"].type is float, "from the dataclass"
    assert options["overlap"].text.startswith("frames that a window is given"), "from its base"
    assert "name" not in options
    options = {option.name: option for option in config.declared_by("suite", "folder").options}
    assert (options["path"].type, options["canvas"].type) == (str, Any), "a path is a text"


def test_a_default_that_is_computed_is_asked_of_the_class() -> None:
    (option,) = declaration("tests.test_config:Computed").options
    assert (option.name, option.type, option.default) == ("side", int, 6)
    assert option.text == "pixels, at least 1."


class Computed:
    """Its default can't be told from the source.

    Args:
        side: pixels,
            at least 1.
    """

    def __init__(self, side: int = max(3, 6)) -> None:
        self.side = side


def test_every_registered_part_has_a_yaml_file() -> None:
    for kind in config.GROUPS:
        assert {path.stem for path in (config.conf_dir() / kind).glob("*.yaml")} == set(registry.names(kind))


def test_presets_only_set_options_that_exist() -> None:
    fields = {verb: {f.name for f in dataclasses.fields(config.VERBS[verb])} for verb in ("run", "bench")}
    for path in (config.conf_dir() / "preset").glob("*.yaml"):
        assert path.read_text().startswith("# @package _global_")
        preset = yaml.safe_load(path.read_text())
        assert set(preset) - {"defaults", "bench"} <= fields["run"]
        assert {"models", "frames"} <= set(preset["bench"]) <= fields["bench"]


def test_a_default_stands_in_the_class_or_in_the_file_never_in_both() -> None:
    for kind, name in PARTS:
        stated = yaml.safe_load((config.conf_dir() / kind / f"{name}.yaml").read_text())
        for option in config.declared_by(kind, name).options:
            assert stated.get(option.name) != option.default or option.name not in stated, (kind, name)


def test_parts_from_elsewhere_get_their_options_from_their_constructor() -> None:
    before = registry.snapshot()
    registry.register("model", "theirs", "tests.fake_parts:FakeModel")
    schema = config.schema_of("model", "theirs")()
    registry.restore(before)
    assert (schema.name, schema.shift, schema.how) == ("theirs", 2, "crash")
    assert {f.name: f.type for f in dataclasses.fields(schema)}["shift"] is int


def test_verbs_share_option_names_with_one_meaning() -> None:
    run = {f.name: f.type for f in dataclasses.fields(RunConfig)}
    bench = {f.name: f.type for f in dataclasses.fields(BenchConfig)}
    assert set(run) - set(bench) == {"model"}
    assert set(bench) - set(run) == {"models", "model_options", "sizes", "ablations"}


@pytest.mark.parametrize("place", ["conf", "toraeval/conf"])
def test_yaml_files_are_found_beside_and_inside_the_package(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / place / "training").mkdir(parents=True)
    (tmp_path / place / "run.yaml").touch()
    monkeypatch.setattr(config, "__file__", str(tmp_path / "toraeval" / "config" / "__init__.py"))
    assert config.conf_dir() == tmp_path / place
    assert config.conf_dir("train") == tmp_path / place / "training"
    (tmp_path / place / "run.yaml").unlink()
    with pytest.raises(UserError, match="conf/ is missing beside"):
        config.conf_dir()
