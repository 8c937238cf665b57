"""Manifests of clips: whatever they hold ends in the clips or in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toraeval.inputs.clip_listing import list_clips
from toraeval.suites.folder.suite import Folder
from toraeval.types import UserError


def refused(place: Path) -> str:
    with pytest.raises(UserError) as caught:
        list_clips(place)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1500
    return text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.json", "[" * 5000, "nested too deeply"),
        ("manifest.json", '{"a":' * 5000, "nested too deeply"),
        ("manifest.jsonl", '{"case": ' * 5000, "manifest.jsonl:1: not JSON"),
        (
            "manifest.json",
            json.dumps({"a": "/absent/folder/a.mp4"}),
            "1 of 1 file is not there: /absent/folder/a.mp4",
        ),
        ("manifest.json", json.dumps({"a": "x" * 5000}), "file is not there: xxx"),
        ("manifest.json", json.dumps({"y" * 5000: "a.mp4"}), "file is not there: a.mp4"),
        ("manifest.json", json.dumps({"a": "a\0b"}), "file is not there"),
        ("manifest.json", json.dumps({"a": ["a.mp4"]}), "file=['a.mp4']; allowed: text"),
        ("manifest.json", '{"a": "a.mp4", "a": "b.mp4"}', "the key a stands twice"),
        ("manifest.json", "3", "expected an object {case id: file name}, got int"),
        ("manifest.csv", "case,file\na,a.mp4,and more\n", "manifest.csv:2: 3 cells under 2 columns"),
        ("manifest.csv", "case,file,colour\na,a.mp4,red\n", "manifest.csv:2: unknown column colour"),
        ("manifest.csv", "case,file,seed\na,a.mp4,1e3\n", "manifest.csv:2: seed=1e3"),
        (
            "manifest.jsonl",
            '{"case": "a", "file": "a.mp4", "seed": 1' + "0" * 400 + "}",
            "manifest.jsonl:1: seed=1000",
        ),
        ("manifest.jsonl", '{"case": "a", "file": "a.mp4", "seed": 1.5}', "seed=1.5"),
        ("manifest.jsonl", '{"case": "a", "file": "a.mp4", "seed": true}', "seed=True"),
    ],
)
def test_one_line_with_the_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    for place in (tmp_path, tmp_path / name):
        assert message in refused(place)


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for place in (Path("x" * 5000), tmp_path / "a\0b", tmp_path / "none.json"):
        assert "neither folder nor manifest" in refused(place)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["manifest.csv", "manifest.jsonl", "manifest.json"])
def test_marks_and_separators_are_read(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / "a.mp4").touch()
    note = "seen\u2028twice"
    texts = {
        "manifest.csv": f'case,file,notes\nÄ,a.mp4,"{note}"\n',
        "manifest.jsonl": json.dumps({"case": "Ä", "file": "a.mp4", "notes": note}, ensure_ascii=False),
        "manifest.json": json.dumps({"Ä": "a.mp4"}, ensure_ascii=False),
    }
    (tmp_path / name).write_bytes(texts[name].encode(encoding))
    found = list_clips(tmp_path)
    assert [file.name for file in found.files.values()] == ["a.mp4"]
    assert list(found.notes.values()) == ([] if name == "manifest.json" else [note])


def test_a_prompt_in_another_encoding_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("20,30\n60,90\n")
    (tmp_path / "a.prompt.txt").write_bytes("一只鸭子".encode("gbk"))
    with pytest.raises(UserError, match=r"a\.prompt\.txt:1: not readable as text.*perhaps GBK"):
        Folder(tmp_path)
