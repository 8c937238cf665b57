"""`rate`: a page on which people compare two runs without knowing which is which."""

from __future__ import annotations

import sys
from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.cli.values import whole
from toraeval.types import UserError, be, counted

HELP = """Let people compare the clips of two runs, pair by pair, without knowing which run made which.

  python -m toraeval rate RUN_A RUN_B                 a page on this machine; votes are kept as people vote
  python -m toraeval rate RUN_A RUN_B page=FOLDER     a folder to send to people; they send back a file of votes
  python -m toraeval import-ratings                   then: preferences, agreement, and which metric agrees with people

RUN_A and RUN_B are folders of runs of the same cases, results/runs/<suite>/<model>/<key>, made with keep=preview.

  pairs=N           number of pairs, drawn at random; by default every sample that both runs have
  out=DIR           folder of the votes and of the key, which raters must not see; by default one in results/ratings
  results=DIR       folder of the results; by default results
  port=N            of the server on this machine; by default any that is free
  --browser         open the page in the browser as well
"""
KEYS = {"page": "", "pairs": "", "out": "", "results": "results", "port": "0"}


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("rate", argv, KEYS, flags=("browser",))
    if len(words) != 2:
        raise UserError(
            "rate: give the folders of two runs, e.g. python -m toraeval rate results/runs/... results/runs/..."
        )
    from toraeval.pages.loopback import Loopback
    from toraeval.pages.rate.page import served_votes, write_static
    from toraeval.pages.rate.session import find_clips, folder_name, session_of

    limit = whole("rate", "pairs", values["pairs"], 1, 100_000)
    port = whole("rate", "port", values["port"], 0, 65535) or 0
    clips = find_clips(Path(words[0]), Path(words[1]))
    folder = Path(values["out"] or Path(values["results"]) / "ratings" / folder_name(clips.runs))
    place = Path(values["page"])
    if values["page"] and place.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise UserError(f"rate: page={place} would hold the key in {folder}; allowed: a folder apart from it")
    session = session_of(clips, folder, limit)
    for sample, why in list(clips.left_out.items())[:5]:
        print(f"note: {sample} is left out: {why}", file=sys.stderr)
    if (more := len(clips.left_out) - 5) > 0:
        print(f"note: {counted(more, 'more sample')} {be(more)} left out", file=sys.stderr)
    if values["page"]:
        print(write_static(session, clips, place))
        print(
            f"{counted(len(session.pairs), 'pair')}; the key stays in {folder}/; then: python -m toraeval "
            "import-ratings FILES"
        )
        return 0
    server = Loopback(served_votes(session, clips, folder), port)
    print(f"rate at {server.url} (only from this machine; Ctrl-C ends it)", flush=True)
    print(
        f"{counted(len(session.pairs), 'pair')}; votes are kept in {folder}/; then: python -m toraeval import-ratings",
        flush=True,
    )
    server.until_interrupted(bool(values.get("browser")))
    return 0
