"""The votes of a blind comparison: what the page sends, and the CSV files in which they travel."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from toraeval.inputs.text_files import csv_rows, is_file, shown
from toraeval.pages.rate.session import SIDES, BlindSession
from toraeval.store.sealed import write_text
from toraeval.types import UserError

VOTES = "votes.csv"
QUESTIONS = {
    "path": "Which video follows the drawn path better?",
    "looks": "Which video looks better?",
}
NEITHER = "same"
MOST_SECONDS = 86_400.0


@dataclass(frozen=True)
class Vote:
    """One answer of one person; nothing in it says which model is meant.

    Attributes:
        session, pair: as in the key.
        rater: the name that the person gave.
        question: a name of `QUESTIONS`.
        answer: `x`, `y` or `same`.
        left: the letter of the clip that was shown on the left.
        seconds: from showing the pair to the answer.
    """

    session: str
    rater: str
    pair: str
    question: str
    answer: str
    left: str
    seconds: float

    @property
    def asked(self) -> tuple[str, str, str]:
        """What one person is asked once."""
        return self.rater, self.pair, self.question


COLUMNS_OF_VOTES = tuple(field.name for field in fields(Vote))


def vote_of(cells: Mapping[str, Any], session: BlindSession) -> Vote:
    """Check one answer.

    Raises:
        UserError: a cell is missing or none of those allowed.
    """
    given = {name: str(cells.get(name, "")).strip() for name in COLUMNS_OF_VOTES}
    allowed = {
        "session": (session.session,),
        "pair": tuple(pair.pair for pair in session.pairs),
        "question": tuple(QUESTIONS),
        "answer": (*SIDES, NEITHER),
        "left": SIDES,
    }
    for name, values in allowed.items():
        if given[name] not in values:
            few = ", ".join(values[:4]) + (", ..." if len(values) > 4 else "")
            raise UserError(f"{name} {shown(given[name]) or 'is empty'}; allowed: {few}")
    try:
        seconds = min(max(float(given["seconds"] or 0), 0.0), MOST_SECONDS)
    except ValueError:
        raise UserError(f"seconds {shown(given['seconds'])}; allowed: a number") from None
    rater = rater_name(given["rater"])
    if not rater:
        raise UserError(
            f"rater {shown(given['rater']) or 'is empty'}; allowed: a name with a letter or digit"
        )
    took = round(seconds, 1) if math.isfinite(seconds) else 0.0
    return Vote(
        given["session"], rater, given["pair"], given["question"], given["answer"], given["left"], took
    )


def rater_name(text: str) -> str:
    """Return a person's name without what a table or a spreadsheet would take for something else."""
    return re.sub(r"[^\w .-]", "_", " ".join(text.split()))[:60].strip(" .-_")


def read_votes(path: Path, session: BlindSession) -> list[Vote]:
    """Read a file of votes.

    Raises:
        UserError: no such file, or a line that is no vote of this session.
    """
    votes = []
    for line, cells in csv_rows(path):
        try:
            votes.append(vote_of(cells, session))
        except UserError as error:
            raise UserError(f"{path}:{line}: {error}") from error
    return votes


def session_name(path: Path) -> str:
    """Return the session that the first vote of a file names.

    Raises:
        UserError: no such file, or no vote in it.
    """
    if not is_file(path):
        raise UserError(f"{path}: no such file of votes")
    for _, cells in csv_rows(path):
        if cells.get("session"):
            return cells["session"]
        break
    raise UserError(f"{path}: no votes; allowed: a CSV file with the columns {', '.join(COLUMNS_OF_VOTES)}")


def add_votes(folder: Path, votes: Iterable[Vote], session: BlindSession) -> list[Vote]:
    """Merge votes into the folder's file and return all of it; a later answer to a question replaces the former."""
    path = folder / VOTES
    known = {vote.asked: vote for vote in (read_votes(path, session) if is_file(path) else [])}
    known |= {vote.asked: vote for vote in votes}
    merged = [known[asked] for asked in sorted(known)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerows([COLUMNS_OF_VOTES, *(astuple(vote) for vote in merged)])
    write_text(path, text.getvalue())
    return merged
