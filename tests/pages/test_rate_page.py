"""The comparison page in a browser: clips in step, votes by mouse and keys, stored by the server or downloaded."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.browser import accessibility_problems, serving, watched_page
from toraeval.__main__ import main
from toraeval.pages.loopback import Loopback
from toraeval.pages.rate.page import served_votes, write_static
from toraeval.pages.rate.session import Clips, find_clips, session_of
from toraeval.pages.rate.votes import read_votes

pytestmark = pytest.mark.long  # a browser starts

HOSTILE = '</script><img src=x onerror=alert(1)> "שלום" 🦊'


@pytest.fixture
def clips(two_runs, monkeypatch):
    monkeypatch.setattr(Clips, "prompt", lambda self, sample: HOSTILE)
    return find_clips(*two_runs)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "rated"


@pytest.fixture
def session(clips, folder):
    return session_of(clips, folder, 3)


@pytest.fixture
def served(session, clips, folder):
    with serving(Loopback(served_votes(session, clips, folder))) as url:
        yield url


@pytest.fixture
def static(session, clips, tmp_path):
    return write_static(session, clips, tmp_path / "page").as_uri()


def begin(page, url, name="Ann"):
    page.goto(url)
    page.fill("#rater", name)
    page.click("#begin")
    page.get_by_text("of 6", exact=False).first.wait_for()


def times(page):
    return page.evaluate("[...document.querySelectorAll('video')].map((video) => video.currentTime)")


def test_votes_are_kept_and_survive_a_reload(page, served, session, folder):
    begin(page, served)
    assert page.inner_text("#prompt") == HOSTILE
    assert page.locator("img").count() == 0
    assert accessibility_problems(page) == []
    assert page.locator("#next").is_disabled()
    page.get_by_role("radio", name="Left").first.check()
    page.get_by_role("radio", name="Same").nth(1).check()
    page.click("#next")
    page.get_by_text("pair 2 of 3, 1 answered").wait_for()
    begin(page, served)
    assert "pair 2 of 3, 1 answered" in page.inner_text("#progress")
    for _ in range(2):
        page.keyboard.press("3")
        page.keyboard.press("4")
        page.click("#next")
    page.get_by_text("Your votes are stored.").wait_for()
    assert accessibility_problems(page) == []
    votes = read_votes(folder / "votes.csv", session)
    assert len(votes) == 6
    assert sum(vote.answer == "same" for vote in votes) == 1
    for vote in votes:  # what was voted for is what was shown there
        if vote.answer != "same":
            left = vote.question == "looks" or len(
                [v for v in votes if v.pair == vote.pair and v.answer == "same"]
            )
            assert (vote.answer == vote.left) == bool(left)
    assert main(["import-ratings", f"out={folder}"]) == 0


@pytest.mark.parametrize("form", ["served", "static"])
def test_both_clips_show_the_same_frame(page, form, request):
    begin(page, request.getfixturevalue(form))
    page.locator("#time").fill("3")
    assert "frame 4 of 6" in page.inner_text("#frame")
    fps = 8
    for _ in range(50):
        if all(3 <= time * fps < 4 for time in times(page)):
            break
        page.wait_for_timeout(20)
    left, right = times(page)
    assert left == right
    assert 3 <= left * fps < 4
    page.keyboard.press(".")
    assert "frame 5 of 6" in page.inner_text("#frame")
    page.click("#back")
    page.select_option("#speed", "0.25")
    page.click("#play")
    page.wait_for_timeout(150)
    left, right = times(page)
    assert abs(left - right) < 1 / fps
    dot = page.locator(".screen svg circle").first
    assert dot.is_visible()
    page.locator("#overlay").uncheck()
    assert not dot.is_visible()


def test_a_folder_without_a_server_gives_a_file_of_votes(page, static, folder, tmp_path):
    begin(page, static, f"B {HOSTILE}")
    for _ in range(3):
        page.keyboard.press("1")
        page.keyboard.press("6")
        page.click("#next")
    page.get_by_text("Download your votes below").wait_for()
    with page.expect_download() as download:
        page.click("#csv")
    assert not set(download.value.suggested_filename) & set("<>/\\:")
    file = tmp_path / "sent.csv"
    file.write_bytes(Path(download.value.path()).read_bytes())
    assert len(list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))) == 6
    assert main(["import-ratings", str(file), f"out={folder}"]) == 0


def test_people_see_other_orders_and_sides(chromium, static, session, clips, tmp_path):
    seen = set()
    # orders hang on the session's random name: twelve people see the same first clip once in 6**11 sessions
    for name in ("Ann", "Bob", "Cem", "Dee", "Eve", "Fay", "Gus", "Hal", "Ida", "Jan", "Kim", "Lea"):
        with watched_page(chromium, viewport={"width": 390, "height": 800}, color_scheme="dark") as page:
            begin(page, static, name)
            seen.add(page.locator("#left").get_attribute("src"))
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            if name == "Ann":
                assert accessibility_problems(page) == []
        if len(seen) > 1:
            return
    pytest.fail(f"all of them see {seen} first")


def test_a_name_is_needed(page, static):
    page.goto(static)
    page.fill("#rater", " =+ ")
    page.click("#begin")
    assert "at least one letter" in page.inner_text("#start-said")
    assert page.locator("#pair").is_hidden()
