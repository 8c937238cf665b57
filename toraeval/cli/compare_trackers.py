"""`compare-trackers`: the order of the models under every tracker that followed the same videos."""

from __future__ import annotations

from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError

HELP = """Rank the models under each tracker, on the cases that all have; nothing is generated, tracked or scored.

  python -m toraeval run model=tora tracker=shapes_tracker      follow the videos of a model by a second tracker
  python -m toraeval compare-trackers                           everything in results/
  python -m toraeval compare-trackers results=DIR

Kendall's tau is 1 where two trackers put the models in the same order and -1 where one reverses the other's.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("compare-trackers", argv, {"results": "results"})
    if words:
        raise UserError(f"compare-trackers: {words[0]} is not an option; write results={words[0]}")
    from toraeval.report.tracker_ranking import compare_trackers

    print("\n\n".join(found.text() for found in compare_trackers(Path(values["results"]))))
    return 0
