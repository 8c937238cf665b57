"""What the draw page sends and gets: every format there and back, and folders that run."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from PIL import Image

from toraeval.pages.draw.exchange import OFFERED, file_stem, kept, opened_uploads, saved
from toraeval.suites.folder.scan import scan
from toraeval.trajectories import PathReading
from toraeval.types import UserError

HOSTILE = '</script><img src=x onerror=alert(1)> "שלום" 🦊 ../../etc; \u202e'


def drawing(**fields):
    line = [[10 + step, 20 + 0.5 * step] for step in range(33)]
    rest = [[100.0, 50.0]] * 33
    base = {"format": "toraeval-trajectories", "version": 1, "id": "fox", "canvas": [256, 192]}
    return {**base, "units": "pixels", "points": [line, rest], **fields}


def upload(files, canvas=(256, 192), onto=True):
    return opened_uploads({"files": files, "canvas": canvas, "onto": onto})


@pytest.mark.parametrize("format", OFFERED)
def test_every_format_comes_back(format):
    sent = saved({"case": drawing(), "format": format, "frames": None})
    found = upload(sent["files"])
    (case,) = found["cases"]
    points = np.array(case["points"])
    wanted = np.array(drawing()["points"])
    if format == "ati":  # always 121 samples
        points = points[:, np.linspace(0, 120, 33).round().astype(int)]
    assert points.shape == wanted.shape
    assert np.abs(points - wanted).max() < (0.6 if format == "ati" else 1e-4)
    assert case["canvas"] == [256, 192]


def test_native_keeps_what_the_others_lose():
    full = drawing(
        prompt=HOSTILE, names=["a", HOSTILE], fps=12.0, camera={"points": [drawing()["points"][0]]}
    )
    full["visible"] = [[True] * 33, [True] * 20 + [False] * 13]
    (case,) = upload(saved({"case": full, "format": "native"})["files"])["cases"]
    for key in ("prompt", "names", "fps", "camera", "visible", "points", "id"):
        assert case[key] == full[key]
    notes = saved({"case": full, "format": "tora"})["notes"]
    assert any("hidden" in note for note in notes)
    assert any("camera" in note for note in notes)


def test_moved_onto_the_picture_or_read_as_it_stands():
    file = {"name": "fox.txt", "data": base64.b64encode(b"0,0\n255,255\n").decode()}
    moved = upload([file], canvas=(512, 512))
    assert moved["cases"][0]["points"] == [[[0.5, 0.5], [510.5, 510.5]]]
    assert any("512x512" in note for note in moved["notes"])
    assert upload([file], canvas=(512, 512), onto=False)["cases"][0]["canvas"] == [256, 256]


def test_a_picture_that_a_file_names_is_left_where_it_is():
    text = json.dumps(drawing(first_frame="/etc/passwd")).encode()
    found = upload([{"name": "fox.json", "data": base64.b64encode(text).decode()}])
    assert any("picture" in note for note in found["notes"])
    assert "first_frame" not in found["cases"][0]


@pytest.mark.parametrize(
    "name", ["../../evil.json", "/abs/evil.json", ".json", HOSTILE + ".json", "a\0b.json"]
)
def test_names_of_uploads_stay_in_their_folder(name):
    text = base64.b64encode(json.dumps(drawing()).encode()).decode()
    assert len(upload([{"name": name, "data": text}])["cases"]) == 1


def test_errors_name_the_file_and_no_folder():
    with pytest.raises(UserError, match=r"^fox.txt:2: ") as error:
        upload([{"name": "fox.txt", "data": base64.b64encode(b"1,2\nx,y\n").decode()}])
    assert "/tmp" not in str(error.value)
    with pytest.raises(UserError, match="outside the canvas"):
        saved({"case": drawing(points=[[[1, 2], [999, 2]]]), "format": "native"})
    with pytest.raises(UserError, match="without pictures"):
        saved({"case": drawing(first_frame="/etc/passwd"), "format": "native"})
    with pytest.raises(UserError, match="format to write"):
        saved({"case": drawing(), "format": "nonsense"})


def png(size=(256, 192)):
    import io

    memory = io.BytesIO()
    Image.new("RGB", size, (10, 90, 40)).save(memory, "PNG")
    return base64.b64encode(memory.getvalue()).decode()


def test_a_kept_drawing_is_a_case_of_the_folder(tmp_path):
    out = tmp_path / "drawn here"
    first = kept({"case": drawing(prompt="a fox"), "picture": png()}, out)
    assert "'suite.path=" in first["command"]
    assert kept({"case": drawing(id=HOSTILE), "picture": None}, out)["notes"] != []
    found = scan(out, PathReading())
    assert found["fox"].prompt == "a fox"
    assert found["fox"].first_frame == out / "fox.png"
    assert len(found) == 2
    assert {path.parent for path in out.rglob("*")} == {out}


def test_a_case_is_replaced_only_when_asked(tmp_path):
    kept({"case": drawing(prompt="old"), "picture": png()}, tmp_path)
    again = {"case": drawing(prompt="new"), "picture": None}
    assert kept(again, tmp_path) == {"exists": True, "name": "fox.json"}
    assert scan(tmp_path, PathReading())["fox"].prompt == "old"
    kept({**again, "replace": True}, tmp_path)
    assert scan(tmp_path, PathReading())["fox"].prompt == "new"
    assert scan(tmp_path, PathReading())["fox"].first_frame is None


def test_only_png_is_kept(tmp_path):
    with pytest.raises(UserError, match="not a PNG"):
        kept({"case": drawing(), "picture": base64.b64encode(b"<svg/>").decode()}, tmp_path)
    assert not (tmp_path / "fox.json").exists()


@pytest.mark.parametrize(
    "name", ["cases", "README", "prompts", "fox.camera", "fox.obj1", "fox.last", "  ", "a/b", "CON\0"]
)
def test_no_case_takes_a_name_that_the_folder_reads_otherwise(name, tmp_path):
    stem = file_stem(name)
    assert not set(stem) & set("./\0")
    kept({"case": drawing(id=stem), "picture": None}, tmp_path)
    assert list(scan(tmp_path, PathReading())) == [stem]
