from __future__ import annotations

from collections.abc import Iterator

import pytest

from toraeval import registry
from toraeval.types import UserError


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    before = registry.snapshot()
    yield
    registry.restore(before)


def test_every_built_in_target_has_the_name_it_is_registered_under() -> None:
    for kind in registry.KINDS:
        for name in registry.names(kind):
            assert registry.load(kind, name).name == name


def test_unknown_names_get_the_nearest_one_and_the_command_that_lists_them() -> None:
    with pytest.raises(UserError, match=r"unknown model 'torra'. Did you mean 'tora'\?.*list models"):
        registry.entry("model", "torra")


def test_nothing_near_means_no_suggestion() -> None:
    assert "Did you mean" not in registry.unknown("metric", "zzzz", ["traj_error"])


def test_registered_parts_are_built_from_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.register("model", "fake", "tests.fake_parts:FakeModel")
    assert registry.build("model", {"name": "fake", "shift": 7}).shift == 7
    with pytest.raises(UserError, match=r"shfit.*run --help"):
        registry.build("model", {"name": "fake", "shfit": 7})


def test_a_wrong_target_says_so() -> None:
    registry.register("tracker", "ghost", "tests.fake_parts:Ghost")
    with pytest.raises(UserError, match=r"ghost.*registry line is wrong"):
        registry.load("tracker", "ghost")


def test_an_import_error_inside_a_part_is_not_called_a_wrong_registry_line() -> None:
    registry.register("tracker", "needy", "tests.data_of_nobody.inner:X")
    with pytest.raises(UserError, match=r"registry line is wrong"):
        registry.load("tracker", "needy")


def test_snapshot_and_restore_carry_tables_to_workers() -> None:
    before = registry.snapshot()
    registry.register("suite", "extra", "a:b")
    registry.restore(before)
    assert "extra" not in registry.names("suite")


def test_entry_points_join_but_never_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    points = [
        EntryPoint("tracker.theirs", "tests.fake_parts:FakeTracker", "toraeval"),
        EntryPoint("model.tora", "tests.fake_parts:FakeModel", "toraeval"),
        EntryPoint("nonsense", "x:y", "toraeval"),
    ]
    before = registry.snapshot()
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: points)
    registry._load_entry_points.cache_clear()
    try:
        assert registry.load("tracker", "theirs").name == "fake_tracker"
        assert registry.entry("model", "tora").target.startswith("toraeval.")
    finally:
        registry.restore(before)
