"""`draw`: a page on which paths are drawn over a picture."""

from __future__ import annotations

import sys
from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.cli.values import pair, whole
from toraeval.types import UserError

HELP = """Draw paths on a page in the browser: timing, several objects, camera; preview and save in every path format.

  python -m toraeval draw                          a blank canvas; open the address that is printed, Ctrl-C ends it
  python -m toraeval draw fox.png                  paths on a picture, which becomes the first frame
  python -m toraeval draw fox.png fox.txt          ... starting from paths of any format of docs/trajectories.md
  python -m toraeval draw fox.png page=fox.html    one file that works without Python, for someone else to draw on

  out=DIR           folder in which the page keeps cases for `run suite=folder suite.path=DIR`; by default drawn
  size=[W,H]        canvas without a picture; by default 512x320
  port=N            of the server on this machine; by default any that is free
  --browser         open the page in the browser as well
  format= canvas= layout= units=   of path files that are read, as in score
"""
KEYS = {
    "out": "drawn", "page": "", "size": "", "port": "0", "format": "auto", "canvas": "", "layout": "auto",
    "units": "auto",
}  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("draw", argv, KEYS, flags=("browser",))
    from toraeval.pages.draw.page import draw_page, served_page
    from toraeval.pages.loopback import Loopback
    from toraeval.store.sealed import write_text
    from toraeval.trajectories import PathReading

    size = pair("draw", "size", values["size"])
    canvas = pair("draw", "canvas", values["canvas"])
    reading = PathReading(canvas, values["format"], values["layout"], values["units"])
    static, out = values["page"], Path(values["out"])
    html, notes = draw_page([Path(word) for word in words], size, None if static else out, reading)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if static:
        if Path(static).suffix.lower() not in (".html", ".htm"):
            raise UserError(f"draw: page={static}; allowed: a file name that ends in .html")
        write_text(Path(static), html)
        print(static)
        return 0
    server = Loopback(served_page(html, out), whole("draw", "port", values["port"], 0, 65535) or 0)
    print(f"draw at {server.url} (only from this machine; Ctrl-C ends it)", flush=True)
    print(f"drawings are kept in {out}/", flush=True)
    server.until_interrupted(bool(values.get("browser")))
    return 0
