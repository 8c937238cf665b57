"""`import-ratings`: what people's votes say, and which metrics agree with them."""

from __future__ import annotations

from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError

HELP = """Say from the votes of `rate` what people prefer, how far they agree, and which metrics agree with them.

  python -m toraeval import-ratings                       the votes that are kept in results/ratings
  python -m toraeval import-ratings votes-ann.csv ...     files that raters sent, added to those votes first

  results=DIR       folder of the results; by default results
  out=DIR           the folder of one comparison, where `rate` was given out=DIR

Writes ratings.csv, preferences.csv and metrics_and_people.csv beside the votes; `report` shows them.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("import-ratings", argv, {"results": "results", "out": ""})
    from toraeval.pages.rate.people import write_people
    from toraeval.pages.rate.session import find_sessions
    from toraeval.pages.rate.votes import add_votes, read_votes, session_name
    from toraeval.report.people import sentences

    root = Path(values["results"]) / "ratings"
    sessions = find_sessions([Path(values["out"])] if values["out"] else sorted(root.glob("*")))
    sent = {file: session_name(file) for file in map(Path, words)}
    for file, name in sent.items():
        if name not in sessions:
            raise UserError(
                f"{file} belongs to a comparison that is not in {values['out'] or root}; "
                "give the folder of its key with out=DIR"
            )
    read = {file: read_votes(file, sessions[name][1]) for file, name in sent.items()}
    done = 0
    for name, (folder, session) in sessions.items():
        new = [vote for file, votes in read.items() if sent[file] == name for vote in votes]
        votes = add_votes(folder, new, session)
        if not votes:
            continue
        done += 1
        written = write_people(folder, votes, session)
        for line in sentences(folder):
            print(line)
        for file in written:
            print(file)
    if not done:
        raise UserError(
            f"import-ratings: no votes in {values['out'] or root}; run: python -m toraeval rate RUN_A RUN_B"
        )
    return 0
