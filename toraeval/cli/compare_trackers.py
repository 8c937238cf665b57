"""`compare-trackers`: the order of the models under every tracker that followed the same videos."""

from __future__ import annotations

from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError

HELP = """Rank the models under each tracker, on the cases that all have; nothing is generated, tracked or scored.

  python -m toraeval run model=tora tracker=shapes_tracker      follow the videos of a model by a second tracker
  python -m toraeval compare-trackers                           everything in results/
  python -m toraeval compare-trackers results=DIR
  python -m toraeval compare-trackers RUN_FOLDER ...            the suite, length and size of these runs only

Kendall's tau is 1 where two trackers put the models in the same order and -1 where one reverses the other's.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("compare-trackers", argv, {"results": "results"})
    if words and any(word.startswith("results=") for word in argv):
        raise UserError(f"compare-trackers: {words[0]} and results= at once; allowed: one of them")
    from toraeval.report.tracker_ranking import compare_trackers, compare_trackers_of

    folders = [Path(word) for word in words]
    found = compare_trackers_of(folders) if folders else compare_trackers(Path(values["results"]))
    print("\n\n".join(one.text() for one in found))
    return 0
