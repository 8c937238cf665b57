"""The page: self-contained, escaped, complete."""

import re
from html.parser import HTMLParser

import pytest

from toraeval.report.html import flat

# Whichever test comes first pays for the imports of SciPy and matplotlib, which crawl on a busy machine.
pytestmark = pytest.mark.timeout(180)


class Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


def test_page_is_self_contained_and_escaped(built):
    page = (built / "report.html").read_text(encoding="utf-8")
    seen = Seen()
    seen.feed(page)
    assert seen.links
    assert all(link.startswith(("data:image/png;base64,", "data:image/webp;base64,")) for link in seen.links)
    assert "script" not in seen.tags
    assert "<red>" not in page
    assert "a &lt;red&gt; disc &amp; a blue disc" in page
    assert "run &lt;x&gt;" in page
    assert not re.search(r"https?://", page)


def test_page_shows_table_definitions_and_licences(built):
    page = (built / "report.html").read_text(encoding="utf-8")
    for words in (
        "traj_error_low",
        "ground_truth",
        "static",
        "Error over time",
        "worst first",
        "Apache-2.0",
        "query frame",
    ):
        assert words in page


def test_nested_records_become_rows_in_a_stable_order():
    assert list(flat({"b": {"y": 1, "x": [1, 2]}, "a": None}).items()) == [
        ("a", ""),
        ("b.x", "1; 2"),
        ("b.y", "1"),
    ]
