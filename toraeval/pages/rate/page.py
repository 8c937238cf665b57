"""The comparison page's HTML and what its server does with votes; neither holds the name of a model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toraeval.pages.loopback import Served
from toraeval.pages.one_file import one_file
from toraeval.pages.rate.session import BlindSession, Clips
from toraeval.pages.rate.votes import COLUMNS_OF_VOTES, QUESTIONS, add_votes, vote_of
from toraeval.store.sealed import write_text
from toraeval.trajectories.draw import PATH_COLOURS

SCRIPTS = ("ballot.js", "player.js", "main.js")


def rate_page(session: BlindSession, clips: Clips, server: bool) -> str:
    """Return the page as HTML; clips are fetched as `clips/<pair>-<letter>.mp4` beside it."""
    data = {
        "server": server,
        "session": session.session,
        "columns": COLUMNS_OF_VOTES,
        "questions": list(QUESTIONS.items()),
        "colours": [f"rgb({red}, {green}, {blue})" for red, green, blue in PATH_COLOURS],
        "pairs": [_shown(pair.pair, clips, pair.sample) for pair in session.pairs],
    }
    return one_file(Path(__file__).parent, SCRIPTS, data)


def _shown(name: str, clips: Clips, sample: str) -> dict[str, Any]:
    asked = clips.asked(sample)
    row = clips.runs[0].cases.set_index("sample").loc[sample]
    prompt = clips.prompt(sample)
    seen = asked.target_visible_NT
    return {
        "pair": name,
        "prompt": prompt,
        "fps": float(row["fps"]),
        "points": asked.target_NT2.round(1).tolist(),
        "visible": None if seen.all() else seen.tolist(),
    }


def clip_files(session: BlindSession, clips: Clips) -> dict[str, Path]:
    """Return the files of a session's clips by the names under which the page knows them."""
    return {
        f"{pair.pair}-{session.side(pair, run)}.mp4": clips.file(pair.sample, run)
        for pair in session.pairs
        for run in (0, 1)
    }


def served_votes(session: BlindSession, clips: Clips, folder: Path) -> Served:
    """Return page, clips and the action `vote` for the server, which keeps votes in the session's folder."""

    def vote(sent: list[Mapping[str, Any]]) -> dict[str, int]:
        votes = [vote_of(cells, session) for cells in sent]
        add_votes(folder, votes, session)
        return {"kept": len(votes)}

    html = rate_page(session, clips, True)
    return Served(html, {"vote": vote}, clip_files(session, clips))


def write_static(session: BlindSession, clips: Clips, place: Path) -> Path:
    """Write the page and its clips into a folder that can be sent to people, and return the page's file."""
    write_text(place / "index.html", rate_page(session, clips, False))
    (place / "clips").mkdir(exist_ok=True)
    for name, file in clip_files(session, clips).items():
        shutil.copyfile(file, place / "clips" / name)
    return place / "index.html"
