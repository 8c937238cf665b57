"""The native trajectory format: exact round trips, and one clear line per broken rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toraeval.trajectories import NativeCase, dump_native, is_native, load, read_native, write_native
from toraeval.trajectories.checks import JsonFile
from toraeval.types import Trajectories, UserError


def minimal(**changes: Any) -> dict[str, Any]:
    data = {
        "format": "toraeval-trajectories",
        "version": 1,
        "canvas": [64, 48],
        "points": [[[0, 0], [10.5, 4], [63, 47]]],
    }
    return {key: value for key, value in {**data, **changes}.items() if value != "absent"}


def save(folder: Path, data: Any, name: str = "case.json") -> Path:
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1), encoding="utf-8")
    return path


@st.composite
def native_cases(draw: st.DrawFn) -> list[NativeCase]:
    text = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
    cases = []
    for identifier in draw(st.lists(text.filter(str.strip), min_size=1, max_size=3, unique=True)):
        width, height = draw(st.integers(1, 2000)), draw(st.integers(1, 2000))
        shape = (draw(st.integers(1, 3)), draw(st.integers(2, 9)))
        unit = draw(hnp.arrays(np.float64, (*shape, 2), elements=st.floats(0, 1)))
        tracks = np.minimum(unit * [width, height] - 0.5, [width - 0.5, height - 0.5])
        visible = draw(hnp.arrays(np.bool_, shape))
        fps = draw(st.none() | st.floats(0.1, 240))
        names = tuple(draw(st.lists(text, min_size=shape[0], max_size=shape[0])))
        trajectories = Trajectories(tracks, visible, (width, height), fps, "", names)
        camera = draw(st.none() | st.just(trajectories))
        cases.append(NativeCase(identifier, trajectories, draw(text), camera=camera))
    return cases


@settings(max_examples=20)
@given(native_cases())
def test_round_trip_is_exact(tmp_path_factory: pytest.TempPathFactory, cases: list[NativeCase]) -> None:
    path = write_native(tmp_path_factory.mktemp("native") / "cases.json", cases)
    again = read_native(path)
    assert [(case.id, case.prompt) for case in again] == [(case.id, case.prompt) for case in cases]
    for ours, theirs in zip(again, cases, strict=True):
        np.testing.assert_array_equal(ours.trajectories.tracks_NT2, theirs.trajectories.tracks_NT2)
        np.testing.assert_array_equal(ours.trajectories.visible_NT, theirs.trajectories.visible_NT)
        assert ours.trajectories.canvas == theirs.trajectories.canvas
        assert ours.trajectories.fps == theirs.trajectories.fps
        assert ours.trajectories.names == theirs.trajectories.names
        assert (ours.camera is None) == (theirs.camera is None)
        if ours.camera is not None and theirs.camera is not None:
            np.testing.assert_array_equal(ours.camera.tracks_NT2, theirs.camera.tracks_NT2)
            np.testing.assert_array_equal(ours.camera.visible_NT, theirs.camera.visible_NT)
    assert dump_native(again) == dump_native(cases)


def test_single_case_defaults(tmp_path: Path) -> None:
    path = save(tmp_path, minimal(), "fox.json")
    (case,) = read_native(path)
    assert is_native(path)
    assert (case.id, case.prompt, case.first_frame) == ("fox", "", None)
    assert case.trajectories.canvas == (64, 48)
    assert case.trajectories.visible_NT.all()
    assert case.trajectories.source == str(path)
    np.testing.assert_array_equal(load(path).tracks_NT2, case.trajectories.tracks_NT2)


def test_null_is_hidden_and_filled_between_neighbours(tmp_path: Path) -> None:
    points = [[None, [2, 2], None, [6, 10], None]]
    (case,) = read_native(save(tmp_path, minimal(points=points)))
    assert case.trajectories.tracks_NT2.tolist() == [[[2, 2], [2, 2], [4, 6], [6, 10], [6, 10]]]
    assert case.trajectories.visible_NT.tolist() == [[False, True, False, True, False]]


def test_hidden_points_may_lie_outside(tmp_path: Path) -> None:
    data = minimal(points=[[[0, 0], [-30, 5]]], visible=[[True, False]])
    (case,) = read_native(save(tmp_path, data))
    assert case.trajectories.tracks_NT2[0, 1].tolist() == [-30, 5]


def test_cases_share_canvas_and_fps(tmp_path: Path) -> None:
    (tmp_path / "fox.png").touch()
    points = [[[0, 0], [1, 1]]]
    entries = [
        {"id": "a", "points": points, "first_frame": "fox.png"},
        {"id": "b", "points": points, "canvas": [8, 8]},
    ]
    data = {
        "format": "toraeval-trajectories",
        "version": 1,
        "canvas": [64, 48],
        "fps": 12,
        "cases": entries,
    }
    path = save(tmp_path, data)
    first, second = read_native(path)
    assert first.trajectories.canvas == (64, 48)
    assert second.trajectories.canvas == (8, 8)
    assert first.trajectories.fps == second.trajectories.fps == 12.0
    assert first.first_frame == tmp_path / "fox.png"
    assert first.trajectories.source == f"{path}#a"
    with pytest.raises(UserError, match=r"one case is needed here; got 2 cases \(a, b\)"):
        load(path)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ("", "the file is empty"),
        ('{"format": ', ":1: not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ([], r"must be a JSON object; got an empty list"),
        (minimal(format="x"), r":2: format: unknown format; got 'x'|:2: format: unknown format; got x"),
        (minimal(version=2), "unknown format version; got 2"),
        (minimal(canvas="absent"), "wrong canvas; got None"),
        (minimal(canvas=[64.5, 48]), "wrong canvas"),
        (minimal(canvas=[0, 48]), "wrong canvas"),
        (minimal(fps=-1), "fps must be positive"),
        (minimal(fps="8"), "fps: not a number"),
        (minimal(points="absent"), "no paths; got None"),
        (minimal(points=[]), "no paths"),
        (minimal(points=[[[1, 1]]]), r"points\[0\]: too few points; got 1; allowed: 2 or more"),
        (minimal(points=[[]]), "too few points; got 0"),
        (minimal(points=[[1, 2]]), r"points\[0\]\[0\]: a point must be a pair; got 1"),
        (minimal(points=[[[1, 2], [1, 2, 3]]]), r"points\[0\]\[1\]: a point must be a pair"),
        (minimal(points=[[[1, 2], ["a", 2]]]), r"points\[0\]\[1\]\[0\]: not a number; got a"),
        (minimal(points=[[[1, 2], [True, 2]]]), "not a number; got True"),
        (minimal(points=[[[1, 2], [float("nan"), 2]]]), "not a finite number; got nan"),
        (minimal(points=[[[1, 2], [10**400, 2]]]), "not a finite number; got inf"),
        (minimal(points=[[[1, 2], [64, 2]]]), r"outside the canvas; got \[64, 2\]; allowed: x in -0.5..63.5"),
        (minimal(points=[[[1, 2], [-3, 2]]]), r"outside the canvas; got \[-3, 2\]"),
        (minimal(points=[[[1, 2], [3, 2]], [[1, 2]] * 3]), "share their moments; got 3 points after 2"),
        (minimal(points=[[None, None]]), "a known point"),
        (minimal(visible=[[True]]), "wrong visibility"),
        (minimal(visible=[[1, 0, 1]]), "wrong visibility"),
        (minimal(visible=[]), "one visibility list per object"),
        (minimal(points=[[None, [1, 1]]], visible=[[True, True]]), "null means hidden"),
        (minimal(names=["a", "b"]), "one name per object; got 2 names"),
        (minimal(names="fox"), "names must be strings"),
        (minimal(prompt=3), "prompt: not a string"),
        (minimal(first_frame="fox.png"), r"no such image; got fox\.png"),
        (minimal(colour="red"), "unknown field; got colour"),
        ({"format": "toraeval-trajectories", "version": 1, "cases": []}, "no cases"),
        ({"format": "toraeval-trajectories", "version": 1, "cases": [3]}, "a case must be an object"),
        ({"format": "toraeval-trajectories", "version": 1, "cases": [{"points": []}]}, "a case needs an id"),
    ],
)
def test_broken_rules_are_one_line_with_file(tmp_path: Path, data: Any, match: str) -> None:
    path = save(tmp_path, data)
    with pytest.raises(UserError, match=match) as caught:
        read_native(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert "; got " in str(caught.value)
    assert "allowed: " in str(caught.value)


def test_error_names_the_line_of_the_value(tmp_path: Path) -> None:
    text = (
        '{"format": "toraeval-trajectories", "version": 1, "canvas": [64, 48],\n'
        ' "prompt": "a \\"quoted\\" {fox]",\n'
        ' "points": [\n  [[0, 0], [1, 1]],\n  [[0, 0],\n   [99, 1]]\n ]}\n'
    )
    path = save(tmp_path, text)
    with pytest.raises(UserError, match=r"case\.json:6: points\[1\]\[1\]"):
        read_native(path)
    file = JsonFile(path)
    assert [file.line_of(where) for where in ([], ["points"], ["points", 0], ["points", 1, 1, 0])] == [
        1,
        3,
        4,
        6,
    ]
    assert file.line_of(["absent", 3]) == 1


def test_duplicate_ids_are_refused(tmp_path: Path) -> None:
    entry = {"id": "a", "canvas": [8, 8], "points": [[[0, 0], [1, 1]]]}
    path = save(tmp_path, {"format": "toraeval-trajectories", "version": 1, "cases": [entry, entry]})
    with pytest.raises(UserError, match="the id occurs twice; got a"):
        read_native(path)


def test_writing_to_a_bad_place_leaves_nothing(tmp_path: Path) -> None:
    (case,) = read_native(save(tmp_path, minimal()))
    with pytest.raises(UserError, match="cannot be written"):
        write_native(tmp_path / "case.json" / "a.json", [case])
    with pytest.raises(UserError, match="no case to write"):
        write_native(tmp_path / "a.json", [])
    assert [item.name for item in tmp_path.iterdir()] == ["case.json"]


def test_documented_examples_load(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "trajectories.md").read_text(encoding="utf-8")
    examples = [block.split("```")[0] for block in text.split("```json\n")[1:]]
    loaded = [read_native(save(tmp_path, example)) for example in examples]
    assert [[case.id for case in cases] for cases in loaded] == [["case"], ["rise", "hold"]]
    fox = loaded[0][0].trajectories
    assert fox.names == ("fox", "ball")
    assert fox.tracks_NT2[1, 1].tolist() == [84, 114]
    assert fox.visible_NT[1].tolist() == [True, False, True]
