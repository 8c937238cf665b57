"""`convert` as a user calls it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from toraeval.__main__ import main
from toraeval.trajectories import load


@pytest.fixture
def fox(tmp_path):
    (tmp_path / "fox.txt").write_text("10,20\n200,30\n120,250\n")
    return tmp_path / "fox.txt"


def test_text_to_native_and_back(fox, tmp_path, capsys):
    assert main(["convert", str(fox), str(tmp_path / "fox.json")]) == 0
    assert json.loads((tmp_path / "fox.json").read_text())["canvas"] == [256, 256]
    assert main(["convert", str(tmp_path / "fox.json"), str(tmp_path / "again.txt")]) == 0
    assert (tmp_path / "again.txt").read_text() == fox.read_text()
    assert "again.txt" in capsys.readouterr().out


def test_two_files_are_two_objects(fox, tmp_path):
    out = tmp_path / "pair"
    assert main(["convert", str(fox), str(fox), str(out), "to=wan_move", "size=[832,480]", "frames=81"]) == 0
    assert np.load(tmp_path / "pair_tracks.npy").shape == (1, 81, 2, 2)
    assert np.load(tmp_path / "pair_visibility.npy").all()


def test_a_folder_keeps_its_prompts_in_one_native_file(fox, tmp_path):
    folder = tmp_path / "cases"
    folder.mkdir()
    fox.rename(folder / "fox.txt")
    (folder / "fox.prompt.txt").write_text("a fox")
    (folder / "hen.txt").write_text("1,2\n3,4\n")
    (folder / "hen.prompt.txt").write_text("a hen")
    assert main(["convert", str(folder), str(tmp_path / "all.json")]) == 0
    written = json.loads((tmp_path / "all.json").read_text())
    assert [case["prompt"] for case in written["cases"]] == ["a fox", "a hen"]
    assert main(["convert", str(folder), str(tmp_path / "npz"), "to=numpy"]) == 0
    assert load(tmp_path / "npz" / "hen.npz").num_frames == 2


def test_no_file_that_is_read_is_written(fox, tmp_path, capsys):
    pair = [tmp_path / f"fox.obj{number}.txt" for number in (1, 2)]
    for file in pair:
        file.write_text("10,20\n200,30\n")
    assert main(["convert", *map(str, pair), str(fox)]) == 2
    assert "fox.obj1.txt is read and written" in capsys.readouterr().err
    assert main(["convert", str(fox), str(tmp_path / "fox.npy"), "to=wan_move"]) == 0
    tracks = tmp_path / "fox_tracks.npy"
    assert main(["convert", str(tracks), str(tmp_path / "fox.npy"), "to=wan_move", "canvas=[256,256]"]) == 2
    assert "fox_tracks.npy is read and written" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_and_a_link_to_itself_are_one_line(fox, tmp_path, capsys):
    folder = tmp_path / "cases"
    folder.mkdir()
    (folder / "fox.txt").write_text("1,2\n3,4\n")
    for source in (fox, folder):
        assert main(["convert", str(source), str(fox / "below" / "x.json")]) == 2
        assert "x.json: cannot" in capsys.readouterr().err
    assert main(["convert", str(folder), str(tmp_path / "new" / "x.json")]) == 0
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    assert main(["convert", str(loop), str(tmp_path / "x.json")]) == 2
    assert "loop.json: no such trajectory file" in capsys.readouterr().err
    assert main(["convert", "a" * 300 + ".json", str(tmp_path / "x.json")]) == 2
    assert "no such trajectory file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fox.txt"], "the file to read and the file to write"),
        (["fox.txt", "fox.xyz"], "to=FORMAT"),
        (["fox.txt", "a.json", "size=[1]"], "two whole numbers"),
        (["fox.txt", "a.json", "frames=1"], "from 2"),
        (["fox.txt", "fox.txt"], "another name"),
        (["fox.txt", "a.json", "form=x"], "format"),
    ],
)
def test_wrong_use_is_one_line(arguments, told, fox, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
