"""One HTML file from a page's template, styles and scripts: nothing is loaded, and only its own script may run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def one_file(folder: Path, scripts: Sequence[str], data: Mapping[str, Any]) -> str:
    """Return a page as one HTML text.

    The page's content security policy names the hash of its script, so that text that came into the page, whatever it
    holds, is never run.

    Args:
        folder: has `page.html.j2` and `page.css`.
        scripts: files of that folder, run in this order.
        data: what the script finds as JSON in the element `data`; any text is allowed.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = "".join((place / "page.css").read_text(encoding="utf-8") for place in (HERE, folder))
    body = "\n".join((folder / name).read_text(encoding="utf-8") for name in scripts)
    script = f'"use strict";\n(() => {{\n{body}\n}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "media-src 'self' file: blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html.j2").render(
        policy=policy, style=Markup(style), script=Markup(script), data=data
    )
