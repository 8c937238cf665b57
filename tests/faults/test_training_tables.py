"""Captions of training folders: read whole, or refused with the line and the cure; never cut."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from toraeval.training.data.video_folder import CutRules, VideoFolder
from toraeval.types import UserError


@pytest.fixture
def handed(data_dir: Path) -> Path:
    return data_dir / "faults" / "training"


@pytest.fixture
def folder(handed: Path, tmp_path: Path) -> Path:
    """One video without captions."""
    shutil.copy(handed / "csv_bom" / "a.mp4", tmp_path / "a.mp4")
    return tmp_path


def captions(folder: Path) -> list[str]:
    return VideoFolder(folder, None).captions


@pytest.mark.parametrize(
    ("name", "caption"), [("csv_bom", "a duck"), ("lab_bom", "a duck"), ("jsonl_u2028", "a duck")]
)
def test_marks_and_separators_are_read(handed: Path, name: str, caption: str) -> None:
    assert captions(handed / name) == [caption]


def test_a_surplus_cell_names_line_and_cure(handed: Path) -> None:
    with pytest.raises(
        UserError, match=r"metadata\.csv:2: 4 cells under 2 columns .*in double quotes"
    ) as caught:
        captions(handed / "csv_comma")
    assert "a duck" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_with_a_mark_and_line_ends(folder: Path, encoding: str, end: str) -> None:
    text = f'path,caption{end}a.mp4,"eine Ente, größer als ""sonst"", 鸭子"{end}'
    (folder / "metadata.csv").write_bytes(text.encode(encoding))
    assert captions(folder) == ['eine Ente, größer als "sonst", 鸭子']


@pytest.mark.parametrize(
    ("encoding", "told"), [("gbk", "GBK"), ("utf-16-le", "UTF-16 without a byte order mark")]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "label"])
def test_other_encodings_are_refused_with_the_line(folder: Path, encoding: str, told: str, kind: str) -> None:
    texts = {
        "csv": ("metadata.csv", "path,caption\na.mp4,一只鸭子\n", 2),
        "jsonl": ("metadata.jsonl", '{"path": "a.mp4", "caption": "一只鸭子"}\n', 1),
        "label": ("labels/a.txt", "一只鸭子\n", 1),
    }
    name, text, line = texts[kind]
    if kind == "label":
        (folder / "labels").mkdir()
        (folder / "videos").mkdir()
        (folder / "a.mp4").rename(folder / "videos" / "a.mp4")
    (folder / name).write_bytes(text.encode(encoding))
    with pytest.raises(
        UserError, match=rf"{name}:\d+: not readable as text.*{told}.*save the file as UTF-8"
    ) as caught:
        captions(folder)
    if encoding == "gbk":
        assert f"{name}:{line}:" in str(caught.value)


def test_a_caption_is_one_line_whatever_it_holds(folder: Path) -> None:
    for separator in ("\u2028", "\u0085", "\x0b", "\n", "\x1c"):
        row = {"path": "a.mp4", "caption": f"a{separator}duck"}
        (folder / "metadata.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
        assert captions(folder) == ["a duck"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.csv", 'path,caption\na.mp4,"a duck" swims\n', r"metadata\.csv:2: not readable as CSV"),
        ("metadata.csv", 'path,caption\na.mp4,"a duck\n', r"metadata\.csv:\d: not readable as CSV"),
        ("metadata.csv", "path,path\na.mp4,a\n", "a column stands twice"),
        ("metadata.csv", "path,caption\na.mp4\n", r"metadata\.csv:2: has no path and caption"),
        ("metadata.csv", "file,text\na.mp4,a\n", r"metadata\.csv:2: has no path and caption"),
        ("metadata.jsonl", '{"path": "a.mp4"}\n', r"metadata\.jsonl:1: has no path and caption"),
        ("metadata.jsonl", "\n[" + "[" * 5000 + "\n", r"metadata\.jsonl:2: not JSON"),
        (
            "metadata.jsonl",
            '{"path": "a.mp4", "path": "b.mp4", "caption": "a"}\n',
            "the key path stands twice",
        ),
        ("metadata.jsonl", json.dumps({"path": "x" * 5000, "caption": "a"}), "no such video"),
        ("metadata.jsonl", json.dumps({"path": "a\0b", "caption": "a"}), "no such video"),
        ("metadata.jsonl", json.dumps({"path": "/absent/a.mp4", "caption": "a"}), "no such video"),
    ],
)
def test_tables_that_cannot_be_read_are_one_line(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        captions(folder)
    assert "\n" not in str(caught.value)


def test_two_tables_are_refused(handed: Path, folder: Path) -> None:
    shutil.copy(handed / "csv_bom" / "metadata.csv", folder)
    shutil.copy(handed / "jsonl_u2028" / "metadata.jsonl", folder)
    with pytest.raises(UserError, match=r"metadata\.csv and metadata\.jsonl; keep one"):
        captions(folder)


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_wanted_rate_is_a_number(fps: float) -> None:
    with pytest.raises(UserError, match="videos: fps="):
        CutRules(fps=fps)
