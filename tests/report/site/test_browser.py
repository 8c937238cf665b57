"""The page in a real browser, opened from its file."""

import pytest

from tests.browser import accessibility_problems, watched_page
from tests.report.site.conftest import CASES, written
from toraeval.report.collect import collect
from toraeval.report.findings import Findings
from toraeval.report.site.write import write

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]  # a browser starts, on a busy machine
FRAMES = "toraeval.player.frames()"


def wait_for_tiles(page, count):
    """Wait until the page that a link led to has made its videos; its script may not have begun."""
    made = "typeof toraeval !== 'undefined' && toraeval.player"
    page.wait_for_function(f"{made} && toraeval.player.tiles.length {count}")


def opened(page, folder, name="index.html"):
    page.goto((folder / name).as_uri())
    wait_for_tiles(page, "> 0")
    page.wait_for_function("toraeval.player.tiles.every((tile) => !tile.video || tile.video.readyState >= 2)")


def models(page):
    return page.eval_on_selector_all(
        "#results tbody tr:not([hidden])", "rows => rows.map(r => r.dataset.model)"
    )


def test_table_sorts_and_filters(page, pages):
    opened(page, pages)
    assert len(models(page)) == 8
    page.select_option("#table-filters [name=frames]", "12")
    assert len(models(page)) == 4
    head = page.locator("#results thead th", has_text="traj_error").first
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert models(page)[0] == "ground_truth"
    head.get_by_role("button").click()
    assert models(page)[-1] == "ground_truth"
    page.select_option("#table-filters [name=model]", "tora")
    assert models(page) == ["tora"]


def test_a_family_has_its_own_means(page, pages):
    opened(page, pages)
    cell = page.locator("#results tr[data-model=tora][data-frames='12'] td[data-key=traj_error]")
    before = cell.inner_text()
    page.select_option("#table-filters [name=family]", "line")
    assert "n = 4" in cell.inner_text()
    page.select_option("#table-filters [name=family]", "")
    assert cell.inner_text() == before


def test_hidden_columns_are_one_click_away(page, pages):
    opened(page, pages)
    hidden = page.locator("#results td[data-key=traj_error_l2]").first
    assert not hidden.is_visible()
    page.get_by_label("single readings").check()
    assert hidden.is_visible()


def test_a_row_leads_to_its_cases_worst_first(page, pages):
    opened(page, pages)
    page.get_by_role("button", name="Cases of dragnuwa at 12 frames").click()
    assert page.locator("#cases li").count() == len(CASES)
    values = [
        float(text.split()[0]) for text in page.locator("#cases .num").all_inner_texts() if text[0].isdigit()
    ]
    assert len(values) == len(CASES) - 1, "one case failed"
    assert values == sorted(values, reverse=True)


def test_keys_and_search_go_through_the_cases(page, pages):
    opened(page, pages)
    name = page.locator("#stage .name")
    first = name.inner_text()
    page.keyboard.press("n")
    page.wait_for_function("location.hash.startsWith('#case=')")
    assert name.inner_text() != first
    page.keyboard.press("p")
    assert name.inner_text() == first
    page.keyboard.press("/")
    page.keyboard.type("case-07")
    assert page.locator("#cases li").count() == 2
    page.reload()
    wait_for_tiles(page, "> 0")
    assert name.inner_text() == first, "the address names the case"


def test_scrubbing_keeps_all_videos_on_one_frame(page, pages):
    opened(page, pages)
    page.evaluate("toraeval.player.range.value = 4; toraeval.player.range.dispatchEvent(new Event('input'))")
    page.wait_for_function(f"{FRAMES}.every((frame) => frame === 4)")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{FRAMES}.every((frame) => frame === 5)")
    for _ in range(3):  # faster than a video can follow: the last one counts
        page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"{FRAMES}.every((frame) => frame === 2)")
    page.keyboard.press("End")
    page.wait_for_function(f"{FRAMES}.every((frame) => frame === toraeval.player.last)")


def test_playing_stays_together_and_pausing_stops_on_one_frame(page, pages):
    opened(page, pages)
    page.keyboard.press("Space")
    page.wait_for_function("toraeval.player.playing && toraeval.player.frame >= 2")
    frames = page.evaluate(FRAMES)
    assert max(frames) - min(frames) <= 1
    page.keyboard.press("Space")
    page.wait_for_function(
        f"{FRAMES}.every((frame) => frame === toraeval.player.frame) && !toraeval.player.playing"
    )


def test_paths_are_drawn_and_can_be_taken_away(page, pages):
    opened(page, pages)
    painted = "toraeval.player.tiles[0].canvas.toDataURL().length"
    drawn = page.evaluate(painted)
    page.keyboard.press("o")
    assert page.evaluate(painted) < drawn
    assert not page.get_by_label("Paths").is_checked()


def test_curves_can_be_switched_and_read(page, pages):
    opened(page, pages)
    assert page.locator(".panel").count() == 2
    curves = page.locator(".panel").first.locator("path.curve")
    before = curves.count()
    page.locator(".legend").get_by_role("button", name="tora").click()
    assert curves.count() == before - 1
    page.locator(".panel svg").first.hover()
    assert "dragnuwa" in page.locator(".readout").first.inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])  # widths change no colour
def test_pages_are_accessible_and_fit(chromium, pages, scheme, width):
    with watched_page(chromium, viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
        for name in ("index.html", "cases/case-03_006f.html"):
            opened(page, pages, name)
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert accessibility_problems(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_pages_of_few_runs_and_of_several_groups_are_accessible_and_lead_to_each_other(
    chromium, make_run, tmp_path, scheme, width
):
    runs = [make_run(tmp_path, "tora", 6), make_run(tmp_path, "static", 6, suite="another-v1")]
    folder = write([Findings.of(group) for run in runs for group in collect([run])], tmp_path / "page").parent
    with watched_page(chromium, viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
        page.goto((folder / "index.html").as_uri())
        assert page.locator("main h2").all_inner_texts() == ["test-v1", "another-v1"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert accessibility_problems(page) == []
        page.locator(".suites a").first.click()
        wait_for_tiles(page, "=== 1")
        page.get_by_text("Other suites").click()
        assert accessibility_problems(page) == []
        page.get_by_role("link", name="another-v1").click()
        wait_for_tiles(page, "=== 1")
        assert "another-v1" in page.locator(".lead").inner_text()
        page.get_by_role("link", name="All suites").click()
        assert page.locator("h1").inner_text() == "All suites"


def test_dark_is_remembered(page, pages):
    opened(page, pages)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_hostile_names_do_nothing(page, make_run, tmp_path):
    bad = "<img src=x onerror=alert(1)>"
    case = f"{bad}& ‮كتاب 🎬 'q'"
    tags = {case: {"family": bad}, "other": {"family": '"onclick=alert(1) '}}
    runs = [
        make_run(tmp_path, model, 6, (case, "other"), suite=bad, tracker=bad, tags=tags, failed=failed)
        for model, failed in (
            (bad, ()),
            ("</script><svg onload=alert(1)>".replace("/", "\N{DIVISION SLASH}"), ("other",)),
        )
    ]
    folder = written(runs, tmp_path / "page").parent
    opened(page, folder)
    assert page.locator("#cases li").count() == 2
    page.locator("#cases button", has_text="q").click()
    page.select_option("#table-filters [name=family]", bad)
    page.select_option("#table-filters [name=model]", bad)
    assert models(page) == [bad]
    assert page.locator("main img, main [onclick], main [onload]").count() == 0
    page.locator(".panel svg").first.hover()
    page.get_by_role("link", name="Page of this case").click()
    wait_for_tiles(page, "=== 2")
    assert page.locator("main img").count() == 0
    assert page.locator("h1").inner_text().startswith(bad)
    assert {path.name for path in tmp_path.iterdir()} == {"page", "runs"}
