"""Templates: every text escaped, nothing fetched, and nested data as rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toraeval.store.tables.run import length_words

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def filled(template: str, autoescape: bool, **content: Any) -> str:
    """Return a template of this package with its content; a name that is missing is an error."""
    return _environment(autoescape).get_template(template).render(**content)


@cache
def _environment(autoescape: bool) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["length_words"] = length_words
    return environment


def script(name: str, content: Any) -> str:
    """Return a script that hands data to the page, in ASCII and with nothing in it that HTML could read as markup."""
    from jinja2.utils import htmlsafe_json_dumps

    return f"toraeval.{name}({htmlsafe_json_dumps(content)});\n"


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested data as dotted name -> text, in a stable order, for showing as rows."""
    found: dict[str, str] = {}
    for name in sorted(value):
        item, where = value[name], f"{prefix}{name}"
        if isinstance(item, Mapping):
            found |= flat(item, f"{where}.")
        elif isinstance(item, (list, tuple)):
            found[where] = "; ".join(str(part) for part in item)
        else:
            found[where] = "" if item is None else str(item)
    return found
