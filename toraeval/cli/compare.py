"""`compare`: two models case by case, with a verdict in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toraeval.cli.arguments import split
from toraeval.types import UserError

HELP = """Compare two models on the cases that both have; nothing is generated, tracked or scored.

  python -m toraeval compare tora static                        every length that both have in results/
  python -m toraeval compare tora static frames=128             one length; also suite=NAME tracker=NAME results=DIR
  python -m toraeval compare RUN_FOLDER RUN_FOLDER out=DIR      two runs; writes compare.csv and compare.md into DIR
  python -m toraeval compare RUN_FOLDER RUN_FOLDER force=true   runs that measure different things; the output says so
"""
BELOW = (
    "Interval: 95 % BCa bootstrap over cases, from 8 cases on. p: two-sided sign-flip permutation test; "
    "p_holm: after Holm's correction over this table. effect: mean difference / its standard deviation over cases. "
    "detectable: the smallest difference that a test at 5 % finds in these cases with 80 % power; cases_needed: "
    "how many cases find this difference with that power (both for one paired test)."
)
"""How to read the table."""
SHOWN = (
    "frames", "column", "a", "b", "difference", "interval", "p", "p_holm", "effect", "cases", "detectable",
    "cases_needed", "verdict",
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    keys = {"frames": "", "suite": "", "tracker": "", "results": "results", "out": "", "force": "false"}
    words, values = split("compare", argv, keys, flags=("force",))
    if len(words) != 2:
        raise UserError(
            "compare: give two models or run folders, e.g. python -m toraeval compare tora static"
        )
    if values["force"] not in ("true", "false"):
        raise UserError(f"compare: force={values['force']}; allowed: true, false")
    from toraeval.cli.output import partial_lines
    from toraeval.report.compare import compare, find_pairs
    from toraeval.report.tables import to_csv
    from toraeval.store.sealed import write_text

    wanted = {name: values[name] for name in ("frames", "suite", "tracker")}
    pairs = find_pairs(words[0], words[1], Path(values["results"]), wanted)
    wrong = list(dict.fromkeys(problem for pair in pairs for problem in pair.problems))
    if wrong and values["force"] != "true":
        raise UserError(
            f"compare: these runs measure different things: {'; '.join(wrong)}; "
            "repeat one of them with the settings of the other, or add force=true and read the output as marked"
        )
    rows = compare(pairs)
    if rows.empty:
        raise UserError(
            f"compare: {words[0]} and {words[1]} have no case that the same metric scored on both sides"
        )
    print(printed(rows, wrong))
    for line in dict.fromkeys(line for pair in pairs for line in partial_lines([pair.a, pair.b])):
        print(line)
    if values["out"]:
        text = markdown(rows, wrong)
        folder = Path(values["out"])
        for name, content in (("compare.csv", to_csv(rows)), ("compare.md", text + "\n")):
            write_text(folder / name, content)
            print(folder / name)
    return 0


def printed(rows: Any, wrong: list[str]) -> str:
    """Return the comparison for a terminal: a table as wide as it, and every verdict in a line below."""
    import textwrap

    from toraeval.cli.terminal import fitted, width
    from toraeval.report.texts import printable
    from toraeval.store.tables.run import length_words

    first = ("frames", "column", "a", "b", "difference", "interval", "p_holm", "cases")
    names = list(dict.fromkeys([*first, *(name for name in SHOWN if name != "verdict")]))
    table, left_out = fitted(names, [[_cell(row, name) for name in names] for row in rows.to_dict("records")])
    said = [
        f"{length_words(row['frames'])}, {row['column']}: {row['verdict']}" for row in rows.to_dict("records")
    ]
    more = [f"no room for: {', '.join(left_out)}; out=DIR writes all columns"] if left_out else []
    lines = [*_head(rows, wrong), *more, "", *said, "", BELOW]
    wrapped = [
        "\n".join(textwrap.wrap(printable(line, None), width(), break_on_hyphens=False)) if line else ""
        for line in lines
    ]
    place = len(_head(rows, wrong))
    return "\n".join([*wrapped[:place], "", table, *wrapped[place:]])


def markdown(rows: Any, wrong: list[str]) -> str:
    """Return the comparison as Markdown: what is compared, the table, how to read it."""
    from tabulate import tabulate

    from toraeval.report.texts import markdown_sentence, markdown_text

    cells = [[_cell(row, name) for name in SHOWN] for row in rows.to_dict("records")]
    cells = [
        [
            markdown_text(cell, 400) if name == "verdict" else cell
            for name, cell in zip(SHOWN, row, strict=True)
        ]
        for row in cells
    ]
    head = [markdown_sentence(line) for line in _head(rows, wrong)]
    table = tabulate(cells, headers=list(SHOWN), tablefmt="pipe", disable_numparse=True)
    return "\n".join([*head, "", table, "", BELOW])


def _head(rows: Any, wrong: list[str]) -> list[str]:
    first = rows.iloc[0]
    head = [
        f"a = {first['name_a']}, b = {first['name_b']}; difference = a - b over the cases that both have."
    ]
    if wrong:
        head.insert(0, f"**FORCED: these runs measure different things: {'; '.join(wrong)}.**")
    return head


def _cell(row: dict[str, Any], name: str) -> str:
    import numpy as np

    from toraeval.stats import without_interval

    if name == "interval":
        if np.isfinite([row["low"], row["high"]]).all():
            return f"[{row['low']:.3g}, {row['high']:.3g}]"
        return without_interval(int(row["cases"]))
    value = row[name]
    if isinstance(value, float):
        digits = ".0f" if name == "cases_needed" else ".3g"
        return "" if np.isnan(value) else format(value, digits)
    return str(value)
