from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import MISSING

from toraeval import config, registry
from toraeval.types import UserError


def constructor(cls: Any) -> dict[str, Any]:
    if hasattr(cls, "options_class"):  # the constructor takes the fields of this class
        return {f.name: f.default for f in dataclasses.fields(cls.options_class) if f.name != "name"}
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return {p.name: p.default for p in named}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in config.GROUPS for name in config.SCHEMAS[kind]]
)
def test_every_schema_equals_the_constructor(kind: str, name: str) -> None:
    schema = config.SCHEMAS[kind][name]()
    fields = {f.name: getattr(schema, f.name) for f in dataclasses.fields(schema) if f.name != "name"}
    expected = {
        key: MISSING if default is inspect.Parameter.empty else default
        for key, default in constructor(registry.load(kind, name)).items()
    }
    assert fields == expected
    assert schema.name == name


def test_every_registered_part_has_a_yaml_file() -> None:
    for kind in config.GROUPS:
        assert {path.stem for path in (config.conf_dir() / kind).glob("*.yaml")} == set(registry.names(kind))


def test_presets_only_set_options_that_exist() -> None:
    fields = {f.name for f in dataclasses.fields(config.RunConfig)}
    for path in (config.conf_dir() / "preset").glob("*.yaml"):
        assert path.read_text().startswith("# @package _global_")
        assert set(yaml.safe_load(path.read_text())) - {"defaults"} <= fields
        assert (config.conf_dir() / "bench" / path.name).is_file(), "bench looks its lists up by preset"


def test_parts_from_elsewhere_get_their_options_from_their_constructor() -> None:
    registry.register("model", "theirs", "tests.fake_parts:FakeModel")
    try:
        schema = config.schema_of("model", "theirs")()
    finally:
        registry.unregister("model", "theirs")
    assert (schema.name, schema.shift, schema.how) == ("theirs", 2, "crash")
    assert {f.name: f.type for f in dataclasses.fields(schema)}["shift"] is int


def test_verbs_share_option_names_with_one_meaning() -> None:
    run = {f.name: f.type for f in dataclasses.fields(config.RunConfig)}
    bench = {f.name: f.type for f in dataclasses.fields(config.BenchConfig)}
    assert set(run) - set(bench) == {"model"}
    assert set(bench) - set(run) == {"models", "model_options", "ablations"}


@pytest.mark.parametrize("place", ["conf", "toraeval/conf"])
def test_yaml_files_are_found_beside_and_inside_the_package(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / place / "training").mkdir(parents=True)
    (tmp_path / place / "run.yaml").touch()
    monkeypatch.setattr(config.schemas, "__file__", str(tmp_path / "toraeval" / "config" / "schemas.py"))
    assert config.conf_dir() == tmp_path / place
    assert config.conf_dir("train") == tmp_path / place / "training"
    (tmp_path / place / "run.yaml").unlink()
    with pytest.raises(UserError, match="conf/ is missing beside"):
        config.conf_dir()
