"""The draw page's HTML, with the picture and the paths it starts from."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from toraeval.pages.draw import exchange
from toraeval.pages.loopback import Served
from toraeval.pages.one_file import one_file
from toraeval.trajectories import PathReading
from toraeval.trajectories.draw import PATH_COLOURS
from toraeval.trajectories.reading import Canvas
from toraeval.types import UserError
from toraeval.video import has_picture_suffix, read_picture

SCRIPTS = ("model.js", "files.js", "stage.js", "panel.js", "main.js")
MAX_SIDE = 4096
IN_BROWSER = ("native", "tora", "motionctrl", "dragnuwa", "comfyui")
"""Formats that the page reads and writes without a server."""


def draw_page(
    files: Sequence[Path], size: Canvas | None, out: Path | None, reading: PathReading
) -> tuple[str, list[str]]:
    """Return the page as HTML, and notes on the files it starts with.

    Args:
        files: at most one picture, and path files of one case.
        size: `(width, height)` of the canvas; by default the picture's, or what a path file states, or 512 x 320.
        out: folder in which the page keeps drawings through its server; None for a page without one.
        reading: how the path files are read.

    Raises:
        UserError: several pictures, one that is too large, or a file that cannot be read.
    """
    pictures = [file for file in files if has_picture_suffix(file)]
    if len(pictures) > 1:
        raise UserError(f"draw: {len(pictures)} pictures; allowed: one")
    data: dict[str, Any] = {
        "server": out is not None,
        "out": str(out or ""),
        "formats": list(IN_BROWSER if out is None else exchange.OFFERED),
        "colours": [f"rgb({red}, {green}, {blue})" for red, green, blue in PATH_COLOURS],
        "canvas": list(size or (512, 320)),
        "picture": None,
        "cases": [],
    }
    if pictures:
        data |= _picture(pictures[0])
        if size is not None:
            raise UserError(
                "draw: size= with a picture; allowed: one of them, the canvas is the picture's size"
            )
    paths = [file for file in files if not has_picture_suffix(file)]
    notes: list[str] = []
    if paths:
        width, height = data["canvas"]
        found = exchange.opened(paths, (width, height), bool(pictures or size), reading)
        data["cases"], notes = found["cases"], found["notes"]
    data["stamp"] = hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]
    return one_file(Path(__file__).parent, SCRIPTS, data), notes


def served_page(html: str, out: Path) -> Served:
    """Return page and actions for the server; drawings are kept in the folder `out`."""
    actions: dict[str, Callable[[Any], Any]] = {
        "open": exchange.opened_uploads,
        "save": exchange.saved,
        "keep": partial(exchange.kept, out=out),
    }
    return Served(html, actions)


def _picture(file: Path) -> Mapping[str, Any]:
    from PIL import Image

    image = Image.fromarray(read_picture(file))
    if max(image.size) > MAX_SIDE:
        raise UserError(f"{file}: {image.width}x{image.height}; allowed: sides of at most {MAX_SIDE} pixels")
    memory = io.BytesIO()
    image.save(memory, "PNG")
    encoded = base64.b64encode(memory.getvalue()).decode()
    return {"picture": f"data:image/png;base64,{encoded}", "canvas": list(image.size), "id": file.stem}
