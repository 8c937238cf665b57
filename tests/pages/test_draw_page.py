"""The draw page in a browser: drawing with the mouse, timing, saving, reloading, running what was kept."""

from __future__ import annotations

import base64
import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser import accessibility_problems, serving
from toraeval import geometry
from toraeval.__main__ import main
from toraeval.pages.draw.page import draw_page, served_page
from toraeval.pages.loopback import Loopback
from toraeval.trajectories import PathReading, load, read_native
from toraeval.types import UserError

pytestmark = pytest.mark.long  # a browser starts

HOSTILE = '</script><img src=x onerror=alert(1)> "שלום" 🦊 {{ 7*7 }}'
ZIGZAG = [(0.1, 0.2), (0.5, 0.8), (0.9, 0.3)]


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (96, 64), (30, 90, 60)).save(tmp_path / "fox.png")
    return tmp_path / "fox.png"


@pytest.fixture
def served(picture, tmp_path):
    out = tmp_path / "drawn"
    html, _ = draw_page([picture], None, out, PathReading())
    with serving(Loopback(served_page(html, out))) as url:
        yield url


@pytest.fixture
def static(tmp_path):
    assert main(["draw", f"page={tmp_path / 'draw.html'}", "size=[96,64]"]) == 0
    return (tmp_path / "draw.html").as_uri()


def place(page, u, v):
    box = page.locator("#stage").bounding_box()
    return box["x"] + u * box["width"], box["y"] + v * box["height"]


def click_points(page, points):
    page.click("#new-object")
    for u, v in points:
        page.mouse.click(*place(page, u, v))


def drag(page, points):
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for start, stop in pairwise(points):
        for step in range(1, 13):
            at = [a + step / 12 * (b - a) for a, b in zip(start, stop, strict=True)]
            page.mouse.move(*place(page, *at))
    page.mouse.up()


def saved(page, format, count=1, points=""):
    page.select_option("#format", format)
    page.fill("#points", points)
    files = []

    def take(file):
        files.append(file)

    page.on("download", take)
    page.click("#save")
    page.get_by_text("saved:").wait_for()
    for _ in range(100):
        if len(files) >= count:
            break
        page.wait_for_timeout(20)
    page.remove_listener("download", take)
    return {file.suggested_filename: Path(file.path()).read_bytes() for file in files}


def pixels(points, size=(96, 64)):
    return np.array(points) * size - 0.5


def test_draw_save_reload_keep_and_run(page, served, tmp_path):
    page.goto(served)
    drag(page, ZIGZAG)
    click_points(page, ZIGZAG[:2])
    page.fill("#prompt", HOSTILE)
    page.fill("#id", "two foxes")
    page.locator("#objects input").first.fill(HOSTILE)
    page.locator("#objects input").first.blur()
    files = saved(page, "native", count=2)
    drawn = json.loads(next(content for name, content in files.items() if name.endswith(".json")))
    assert {name.rpartition(".")[0] for name in files} == {next(iter(files)).rpartition(".")[0]}
    assert drawn["prompt"] == drawn["names"][0] == HOSTILE
    stroke, line = np.array(drawn["points"])
    assert np.abs(stroke[[0, -1]] - pixels(ZIGZAG)[[0, 2]]).max() < 0.5
    assert np.abs(stroke - pixels(ZIGZAG[1])).sum(1).min() < 1.5  # the corner is on the way
    speed = np.linalg.norm(np.diff(stroke, axis=0), axis=1)
    assert speed.std() / speed.mean() < 0.15  # even speed
    assert np.abs(line - np.linspace(*pixels(ZIGZAG[:2]), 128)).max() < 0.5

    page.reload()
    assert page.input_value("#prompt") == HOSTILE
    assert page.locator("#objects .object").count() == 2
    page.click("#keep")
    page.get_by_text("kept:").wait_for()
    page.click("#keep")
    page.click("#replace-yes")
    page.get_by_text("kept:").wait_for()
    assert accessibility_problems(page) == []
    out = tmp_path / "drawn"
    assert len(read_native(next(out.glob("*.json")))) == 1
    options = ["frames=6", "height=32", "width=48", "metric=traj_error", "tracker=lucas_kanade"]
    command = ["run", "model=static", "suite=folder", f"suite.path={out}", *options]
    assert main([*command, f"results={tmp_path / 'results'}"]) == 0


def test_timing_points_and_preview_agree_with_the_benchmark(page, served):
    page.goto(served)
    click_points(page, ZIGZAG)
    page.get_by_label("moment of point 2").fill("100")
    page.get_by_label("x of point 3").fill("20.25")
    page.get_by_label("point 3 hidden until the next").check()
    drawn = json.loads(next(iter(saved(page, "native", 2).values())))
    (path,) = np.array(drawn["points"])
    assert np.abs(path[100] - pixels(ZIGZAG[1])).max() < 0.1
    assert path[127][0] == 20.25
    assert drawn["visible"][0] == [True] * 127 + [False]
    for frames in (16, 64, 128):
        page.select_option("#frames", str(frames))
        page.locator("#frame").fill(str(frames // 2))
        now = page.locator("#stage circle.now")
        shown = [float(now.get_attribute(axis)) for axis in ("cx", "cy")]
        wanted = geometry.resample_points(path, frames)[0][frames // 2]
        assert np.abs(np.array(shown) - wanted).max() < 1e-3
        assert f"frame {frames // 2 + 1} of {frames}" in page.inner_text("#frame-said")
    page.click("#undo")
    assert not page.get_by_label("point 3 hidden until the next").is_checked()
    page.click("#redo")
    assert page.get_by_label("point 3 hidden until the next").is_checked()


def test_points_move_by_mouse_and_keyboard_and_on_the_timeline(page, served):
    page.goto(served)
    click_points(page, ZIGZAG)
    page.click("#tool-edit")
    drag(page, [ZIGZAG[1], (0.5, 0.5)])
    x, y = (page.get_by_label(f"{axis} of point 2") for axis in "xy")
    assert float(y.input_value()) == pytest.approx(31.5, abs=0.2)
    before = float(x.input_value())
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert float(x.input_value()) == pytest.approx(before + 1, abs=0.01)
    assert float(y.input_value()) == pytest.approx(21.5, abs=0.2)
    moment = page.get_by_label("moment of point 2")
    old = int(moment.input_value())
    diamonds = page.locator("#timeline path")
    box = diamonds.nth(1).bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1], steps=4)
    page.mouse.up()
    assert int(moment.input_value()) > old + 5
    page.mouse.click(
        *place(page, 0.3, (0.2 + 21.5 / 64) / 2)
    )  # on the way from the first point to the second
    assert page.locator("#rows tr").count() == 4
    page.keyboard.press("Delete")
    assert page.locator("#rows tr").count() == 3


@pytest.mark.parametrize("format", ["tora", "dragnuwa", "comfyui", "wan_move", "ati"])
def test_formats_through_the_server(page, served, format, tmp_path):
    page.goto(served)
    click_points(page, ZIGZAG[:2])
    files = saved(
        page, format, count=2 if format == "wan_move" else 1, points="" if format == "ati" else "33"
    )
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    first = sorted(files)[0]
    paths = load(tmp_path / first, canvas=None if format in ("tora", "dragnuwa") else (96, 64))
    assert paths.num_frames == (121 if format == "ati" else 33)
    ends = geometry.to_canvas(paths, 96, 64).tracks_NT2[0, [0, -1]]
    assert np.abs(ends - pixels(ZIGZAG[:2])).max() < 0.6
    page.click("#clear")
    page.locator("#open").set_input_files([tmp_path / name for name in files])
    page.get_by_text("1 path of").wait_for()
    shown = [float(page.get_by_label(f"{axis} of point 1", exact=True).input_value()) for axis in "xy"]
    assert np.abs(np.array(shown) - pixels(ZIGZAG[0])).max() < 0.6


def test_one_file_without_a_server(page, static, tmp_path):
    page.goto(static)
    assert not page.locator("#keep").is_visible()
    click_points(page, ZIGZAG)
    click_points(page, ZIGZAG[:2])
    page.locator("summary").click()
    page.click("#add-camera")
    files = saved(page, "native")
    (tmp_path / "case.json").write_bytes(files["case.json"])
    (case,) = read_native(tmp_path / "case.json")
    assert case.trajectories.num_objects == 2
    assert case.camera.num_objects == 5
    for format in ("tora", "dragnuwa", "comfyui"):  # each is opened again, on the canvas of its format
        found = saved(page, format, count=2 if format == "tora" else 1, points="40")
        for name, content in found.items():
            (tmp_path / name).write_bytes(content)
        paths = load([tmp_path / name for name in sorted(found)], (576, 320) if format == "comfyui" else None)
        wanted = geometry.resample(case.trajectories, 40)
        assert np.abs(geometry.to_canvas(paths, 96, 64).tracks_NT2 - wanted.tracks_NT2).max() < 0.01  # px
        page.click("#clear")
        page.locator("#open").set_input_files([tmp_path / name for name in found])
        page.get_by_text("2 paths of 40").wait_for()
    page.locator("#open").set_input_files({"name": "x.json", "mimeType": "", "buffer": b"{]"})
    page.locator("#notes .bad").wait_for()
    assert accessibility_problems(page) == []


def test_dark_and_narrow(chromium, served):
    from tests.browser import watched_page

    with watched_page(chromium, viewport={"width": 390, "height": 844}, color_scheme="dark") as page:
        page.goto(served)
        click_points(page, ZIGZAG)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert accessibility_problems(page) == []


def test_hostile_files_are_only_text(page, served, tmp_path):
    case = {
        "format": "toraeval-trajectories",
        "version": 1,
        "id": HOSTILE,
        "canvas": [96, 64],
        "prompt": HOSTILE,
    }
    case |= {"points": [[[5, 5], [50, 50]]], "names": [HOSTILE]}
    page.goto(served)
    page.locator("#open").set_input_files(
        {"name": "a<b>.json", "mimeType": "", "buffer": json.dumps(case).encode()}
    )
    page.get_by_text("1 path of 2 moments").wait_for()
    assert page.input_value("#id") == HOSTILE
    assert page.locator("img").count() == 0
    assert page.locator("#stage text").text_content() == HOSTILE[:40]
    assert all(not set(name) & set("/\\<>:") for name in saved(page, "native", 2))


def test_the_page_starts_from_files(tmp_path, picture, page):
    (tmp_path / "p.txt").write_text("0,0\n255,255\n")
    html, notes = draw_page([picture, tmp_path / "p.txt"], None, None, PathReading())
    assert any("96x64" in note for note in notes)
    (tmp_path / "start.html").write_text(html)
    page.goto((tmp_path / "start.html").as_uri())
    assert page.input_value("#moments") == "2"
    assert float(page.get_by_label("x of point 2").input_value()) == pytest.approx(95.31, abs=0.1)
    assert page.locator("#stage image").count() == 1


def test_what_cannot_be_a_page_is_refused(picture, tmp_path, capsys):
    with pytest.raises(UserError, match="2 pictures"):
        draw_page([picture, picture], None, None, PathReading())
    assert main(["draw", str(picture), "size=[10,10]", f"page={tmp_path / 'a.html'}"]) == 2
    assert main(["draw", f"page={tmp_path / 'a.txt'}"]) == 2
    assert main(["draw", "port=99999"]) == 2
    assert main(["draw", str(tmp_path / "none.png")]) == 2
    assert "error: " in capsys.readouterr().err
    html, _ = draw_page([picture], None, None, PathReading())
    assert base64.b64encode(b"\x89PNG").decode()[:5] in html


def test_the_hand_s_timing_and_the_buttons_of_time(page, served):
    page.goto(served)
    page.select_option("#drawn-timing", "hand")
    page.mouse.move(*place(page, 0.1, 0.5))
    page.mouse.down()
    for step in range(1, 11):  # the first half slowly, the second in one go
        page.mouse.move(*place(page, 0.1 + 0.04 * step, 0.5))
        page.wait_for_timeout(100)
    page.mouse.move(*place(page, 0.9, 0.5), steps=3)
    page.mouse.up()
    page.select_option("#frames", "128")
    page.locator("#frame").fill("63")
    now = page.locator("#stage circle.now")
    assert float(now.get_attribute("cx")) < 96 * 0.5 - 4
    page.click("#even")
    assert float(now.get_attribute("cx")) == pytest.approx(96 * 0.5 - 0.5, abs=3)
    page.click("#add-point")
    page.click("#equal")
    count = page.locator("#rows tr").count()
    page.click("#pause")
    assert page.locator("#rows tr").count() == count + 1
    xs = [page.get_by_label(f"x of point {n}", exact=True).input_value() for n in (count, count + 1)]
    assert xs[0] == xs[1]
    moments = [int(box.input_value()) for box in page.locator("#rows td:nth-child(2) input").all()]
    assert moments == sorted(set(moments))
    assert (moments[0], moments[-1]) == (0, 127)


def test_fewer_moments_than_points_keep_both_ends(page, static):
    page.goto(static)
    click_points(page, [*ZIGZAG, (0.2, 0.9), (0.4, 0.1)])
    page.fill("#moments", "3")
    found = json.loads(saved(page, "native")["case.json"])
    assert np.abs(np.array(found["points"][0])[[0, -1]] - pixels([ZIGZAG[0], (0.4, 0.1)])).max() < 0.5
    page.click("#undo")
    assert page.input_value("#moments") == "128"
    assert page.locator("#rows tr").count() == 5


def test_drawing_without_a_mouse(page, static):
    page.goto(static)
    page.focus("#stage")
    page.keyboard.press("Insert")
    page.keyboard.press("Insert")
    page.keyboard.press("Shift+ArrowDown")
    found = json.loads(saved(page, "native")["case.json"])
    start, end = found["points"][0][0], found["points"][0][-1]
    assert start == [48, 32]
    assert end == pytest.approx([57.6, 42], abs=0.1)
    page.keyboard.press("Control+z")


def test_a_picture_and_a_file_of_several_cases_are_opened(page, static, picture, tmp_path):
    case = {"canvas": [48, 32], "points": [[[5, 5], [40, 20]]]}
    cases = [{"id": "one", **case}, {"id": "two", **case, "prompt": "second"}]
    text = json.dumps({"format": "toraeval-trajectories", "version": 1, "cases": cases})
    (tmp_path / "cases.json").write_text(text)
    page.goto(static)
    page.locator("#open").set_input_files([picture, tmp_path / "cases.json"])
    page.get_by_text("2 cases in the file").wait_for()
    assert page.locator("#stage image").count() == 1
    assert float(page.get_by_label("x of point 2").input_value()) == pytest.approx(80.5, abs=0.1)
    page.select_option("#cases", "two")
    assert page.input_value("#prompt") == "second"
    files = saved(page, "native", 2)
    assert sorted(files) == ["two.json", "two.png"]
    with Image.open(io.BytesIO(files["two.png"])) as shown:
        assert shown.size == (96, 64)
    page.locator("#open").set_input_files(
        {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    page.get_by_text("The picture cannot be read.").wait_for()
