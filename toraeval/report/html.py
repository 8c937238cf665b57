"""One self-contained page: table, error over time, contact sheets worst first, definitions, provenance."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from toraeval.report.collect import Group
from toraeval.report.sheets import Sheet
from toraeval.report.tables import caption, columns_of, group_tables, short
from toraeval.store.main_metric import MAIN_METRIC

TEMPLATES = Path(__file__).parent / "templates"


def render(
    group: Group,
    rows: pd.DataFrame,
    further: pd.DataFrame,
    said: Mapping[str, list[str]],
    figure: Path | None,
    sheets: list[Sheet],
) -> str:
    """Return the page as HTML; every text is escaped, every picture embedded.

    Args:
        group: what is reported.
        rows: the result table.
        further: the rows of `measures.table`.
        said: heading -> sentences below the tables.
        figure: PNG of the error over time, or None.
        sheets: contact sheets; shown worst first.
    """
    headers, cells = short(rows, group)
    ordered = sorted(sheets, key=lambda sheet: (sheet.frames, sheet.rank))
    return filled(
        "report.html.j2",
        autoescape=True,
        group=group,
        headers=[(name, columns_of(group)[name]) for name in headers],
        about="" if group.main_metric == MAIN_METRIC else caption(group),
        cells=cells,
        further=group_tables(further, group),
        said={heading: sentences for heading, sentences in said.items() if sentences},
        figure=None if figure is None else embedded(figure),
        sheets=[(sheet, embedded(sheet.path)) for sheet in ordered],
        definitions={name: flat(value) for name, value in group.definitions().items()},
        licences=group.licences(),
        records={name: flat(record) for name, record in group.records().items()},
    )


def filled(template: str, autoescape: bool, **content: Any) -> str:
    """Return a template of this package with its content; a name that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)


def embedded(path: Path) -> str:
    """Return a PNG or WebP file as a data URI."""
    return f"data:image/{path.suffix[1:]};base64," + base64.b64encode(path.read_bytes()).decode("ascii")


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
