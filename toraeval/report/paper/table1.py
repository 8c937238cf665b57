"""Table 1 as the paper lays it out: a row per model, a group of columns per length; as CSV, Markdown and LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from toraeval.report.measures import arrow
from toraeval.report.paper.published import Published
from toraeval.report.paper.stored import in_order, is_reference
from toraeval.report.texts import csv_text, latex_text, markdown_text
from toraeval.stats import with_interval

METRICS = ("fvd", "clipsim")
"""Metrics of the paper beside the main one."""
NEEDED = ("model", "frames", "metric", "column", "main", "value", "low", "high", "cases", "direction")


@dataclass(frozen=True)
class PaperCell:
    """One value of the table."""

    value: float
    low: float
    high: float
    cases: int
    best: bool = False

    @property
    def text(self) -> str:
        """The value with its interval, or how few cases it rests on."""
        return with_interval(self.value, self.low, self.high, self.cases)


@dataclass(frozen=True)
class PaperTable:
    """The table.

    Attributes:
        models: rows.
        lengths: groups of columns.
        columns: name -> direction, the main value first.
        cells: by model, length and column.
        setting: suite, size, tracker in words.
    """

    models: tuple[str, ...]
    lengths: tuple[int, ...]
    columns: dict[str, str]
    cells: dict[tuple[str, int, str], PaperCell]
    setting: str

    def cell(self, model: str, frames: int, column: str) -> PaperCell | None:
        """Return one value, None where the model has none at this length."""
        return self.cells.get((model, frames, column))


def paper_table(values: pd.DataFrame, rows: pd.DataFrame) -> PaperTable:
    """Return the table from `metrics.csv` and `table1.csv`; the best model of a column is marked."""
    main = next((name for name in rows.columns[4:5]), "traj_error")
    shown = values[(values["main"] == "yes") & (values["metric"].isin(METRICS) | (values["column"] == main))]
    shown = shown.sort_values("column", key=lambda names: names != main, kind="stable")
    columns = {str(row.column): str(row.direction) for row in shown.itertuples()}
    cells = {
        (str(row.model), int(row.frames), str(row.column)): PaperCell(
            row.value, row.low, row.high, int(row.cases)
        )
        for row in shown.itertuples()
    }
    first = rows.iloc[0]
    size = f"{first['width']}x{first['height']}" if first["width"] else "each clip's own size"
    setting = f"suite {first['suite']}, {size}, tracker {first['tracker']}"
    lengths = tuple(sorted({frames for _, frames, _ in cells}))
    models = tuple(in_order(model for model, _, _ in cells))
    return PaperTable(models, lengths, columns, _with_best(cells, columns), setting)


def _with_best(
    cells: dict[tuple[str, int, str], PaperCell], columns: dict[str, str]
) -> dict[tuple[str, int, str], PaperCell]:
    best: dict[tuple[int, str], float] = {}
    for (model, frames, column), cell in cells.items():
        if is_reference(model) or np.isnan(cell.value) or columns[column] not in ("lower", "higher"):
            continue
        pick = max if columns[column] == "higher" else min
        best[frames, column] = pick(best.get((frames, column), cell.value), cell.value)
    return {
        key: PaperCell(
            cell.value, cell.low, cell.high, cell.cases,
            best=not is_reference(key[0]) and cell.value == best.get(key[1:]),
        )
        for key, cell in cells.items()
    }  # fmt: skip


def to_csv(table: PaperTable) -> str:
    """Return one row per model; columns are `<value>_<frames>` with `_low` and `_high`, six significant digits."""
    rows = []
    for model in table.models:
        row: dict[str, object] = {"model": csv_text(model)}
        for frames in table.lengths:
            for column in table.columns:
                cell = table.cell(model, frames, column)
                name = f"{column}_{frames}"
                row[name] = cell.value if cell else np.nan
                row[f"{name}_low"] = cell.low if cell else np.nan
                row[f"{name}_high"] = cell.high if cell else np.nan
        rows.append(row)
    return str(pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def to_markdown(table: PaperTable, published: Published) -> str:
    """Return the measured table, and below it, apart, what the paper states."""
    from tabulate import tabulate

    heads = [
        "model",
        *(f"{column} {arrow(way)} at {n}" for n in table.lengths for column, way in table.columns.items()),
    ]
    cells = [
        [markdown_text(model), *(_marked(cell, "**{}**") for cell in _row(table, model))]
        for model in table.models
    ]
    below = [
        [
            value.model,
            str(value.frames),
            f"{value.metric} {arrow(value.direction)}",
            f"{value.value:g}",
            f"[page]({value.source})",
        ]
        for value in published.values
    ]
    measured = tabulate(cells, headers=heads, tablefmt="pipe", disable_numparse=True)
    stated = tabulate(
        below,
        headers=["model", "frames", "metric", "value", "read on"],
        tablefmt="pipe",
        disable_numparse=True,
    )
    return "\n".join([
        f"# Table 1\n\nMeasured here: {markdown_text(table.setting, 400)}. Means over cases with 95 % intervals; the "
        "best model of a column is bold, `ground_truth` and `static` are references.\n",
        f"{measured}\n",
        f"## Published, not measured here\n\n{published.title}, arXiv {published.arxiv}: {published.setting}. "
        "Do not compare these numbers with those above.\n",
        f"{stated}\n",
        *(f"- At {claim.frames} frames: {claim.text} ([page]({claim.source}))." for claim in published.claims),
        f"\n{published.missing}\n",
    ])  # fmt: skip


def to_latex(table: PaperTable, published: Published) -> str:
    """Return two tables for a LaTeX document that loads `booktabs`: measured, and published."""
    groups = len(table.columns)
    spans = " & ".join(rf"\multicolumn{{{groups}}}{{c}}{{{frames} frames}}" for frames in table.lengths)
    rules = " ".join(
        rf"\cmidrule(lr){{{2 + i * groups}-{1 + (i + 1) * groups}}}" for i in range(len(table.lengths))
    )
    names = " & ".join(latex_text(name) + _latex_arrow(way) for name, way in table.columns.items())
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{tabular}{l" + "r" * (groups * len(table.lengths)) + "}",
        r"\toprule",
        f" & {spans} \\\\",
        rules,
        "model & " + " & ".join([names] * len(table.lengths)) + r" \\",
        r"\midrule",
        *(
            f"{latex_text(model)} & "
            + " & ".join(_marked(cell, r"\textbf{{{}}}") for cell in _row(table, model))
            + r" \\"
            for model in table.models
        ),
        r"\bottomrule",
        r"\end{tabular}",
        "",
        f"% published, not measured here: arXiv {published.arxiv}; never in one table with the values above",
        r"\begin{tabular}{lrlr}",
        r"\toprule",
        r"model & frames & metric & value \\",
        r"\midrule",
        *(
            f"{latex_text(value.model)} & {value.frames} & {latex_text(value.metric)} & {value.value:g} \\\\"
            for value in published.values
        ),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(table: PaperTable, model: str) -> list[PaperCell | None]:
    return [table.cell(model, frames, column) for frames in table.lengths for column in table.columns]


def _marked(cell: PaperCell | None, bold: str) -> str:
    if cell is None or not cell.text:
        return ""
    return bold.format(cell.text) if cell.best else cell.text


def _latex_arrow(direction: str) -> str:
    return {"lower": r" $\downarrow$", "higher": r" $\uparrow$"}.get(direction, "")
