"""A headless Chromium for tests of pages: what it complains about, and what axe-core finds."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
LOCAL = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:")


@contextmanager
def chromium_browser() -> Iterator[Any]:
    """Yield the installed Chromium (or TORAEVAL_CHROMIUM) as Playwright drives it; skip where either is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="pages are tested with the extra `browser`"
    )
    program = os.environ.get("TORAEVAL_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium: install the system's package `chromium`, or set TORAEVAL_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def watched_page(browser: Any, **options: Any) -> Iterator[Any]:
    """Yield a page of its own context; on leaving, nothing may have been logged as an error or asked of the network."""
    context = browser.new_context(accept_downloads=True, **options)
    page = context.new_page()
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda box: (complaints.append(f"{box.type}: {box.message}"), box.dismiss()))
    page.on(
        "request", lambda asked: asked.url.startswith(LOCAL) or complaints.append(f"request: {asked.url}")
    )
    yield page
    context.close()
    assert complaints == []


@contextmanager
def serving(server: Any) -> Iterator[str]:
    """Serve a page from a thread while the context lasts; gives its address."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def accessibility_problems(page: Any) -> list[str]:
    """Return what axe-core finds wrong with a page as it stands, one line per rule and element."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core comes with the extra `browser`")
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text())
    # style sheets of a page opened from a file cannot be read again by script, which axe-core would try
    found = page.evaluate("axe.run({ preload: !location.href.startsWith('file:') })")["violations"]
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]
