"""`report`: redraw tables, figures and contact sheets from stored runs; nothing is computed."""

from __future__ import annotations

from pathlib import Path

from toraeval.cli.arguments import split

HELP = """Redraw tables, figures and contact sheets from stored runs; nothing is generated, tracked or scored.

  python -m toraeval report                                  the last bench, into results/
  python -m toraeval report results=DIR                      the last bench in another folder
  python -m toraeval report RUN_FOLDER... out=DIR            chosen runs (results/runs/<suite>/<model>/<key>)
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("report", argv, {"results": "results", "out": ""})
    from toraeval.cli.bench import draw
    from toraeval.run import bench

    results = Path(values["results"])
    if words:
        draw([Path(word) for word in words], Path(values["out"] or results / "report"), None)
    else:
        run_dirs, samples = bench.recorded(results)
        draw(run_dirs, Path(values["out"] or results), samples)
    return 0
