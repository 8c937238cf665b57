"""From two runs over blind votes to preferences, agreement and what the metrics make of them."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from toraeval.__main__ import main
from toraeval.pages.rate.page import clip_files, rate_page, write_static
from toraeval.pages.rate.session import find_clips, read_session, session_of
from toraeval.pages.rate.votes import QUESTIONS, Vote, add_votes, rater_name, read_votes, vote_of
from toraeval.report.collect import collect
from toraeval.report.people import people_lines, sentences
from toraeval.types import UserError

HOSTILE = '=cmd|"/c calc"!A1,</script>\n"שלום" 🦊'


@pytest.fixture
def clips(two_runs):
    return find_clips(*two_runs)


@pytest.fixture
def session(clips, tmp_path):
    return session_of(clips, tmp_path / "rated")


def vote(session, pair, answer, rater="Ann", question="path", **other):
    cells = {"session": session.session, "rater": rater, "pair": pair.pair, "question": question}
    return vote_of({**cells, "answer": answer, "left": "x", "seconds": 2, **other}, session)


def for_first(session, rater, firsts, question="path"):
    """Votes for the first model on the pairs of `firsts`, for the second on the others."""
    return [
        vote(session, pair, session.side(pair, 0 if number in firsts else 1), rater, question)
        for number, pair in enumerate(session.pairs)
    ]


def test_the_page_and_its_clips_name_no_model(clips, session, tmp_path):
    place = write_static(session, clips, tmp_path / "page")
    text = place.read_text() + " ".join(path.name for path in place.parent.rglob("*"))
    for told in ("cut_and_drag", "static/", *(str(run.run_dir) for run in clips.runs), *clips.samples):
        assert told not in text
    assert len(list((place.parent / "clips").glob("*.mp4"))) == 2 * len(session.pairs) == 16
    for name, file in clip_files(session, clips).items():
        assert (place.parent / "clips" / name).read_bytes() == file.read_bytes()
    assert not any("key" in path.name for path in place.parent.rglob("*"))


def test_sides_are_drawn_by_lot_and_kept(clips, tmp_path):
    firsts = {pair.first for n in range(4) for pair in session_of(clips, tmp_path / str(n)).pairs}
    assert firsts == {"x", "y"}
    made = session_of(clips, tmp_path / "0")
    assert session_of(clips, tmp_path / "0") == made == read_session(tmp_path / "0")
    assert len(session_of(clips, tmp_path / "few", 3).pairs) == 3
    with pytest.raises(UserError, match="was begun with 3 pairs"):
        session_of(clips, tmp_path / "few", 5)


def test_runs_that_cannot_be_compared(two_runs, clips, session, tmp_path):
    with pytest.raises(UserError, match="twice"):
        find_clips(two_runs[0], two_runs[0])
    copy = tmp_path / "copy"
    shutil.copytree(two_runs[1], copy)
    for path in copy.rglob("preview.mp4"):
        path.unlink()
    with pytest.raises(UserError, match="keep=preview"):
        find_clips(two_runs[0], copy)
    with pytest.raises(UserError, match="give another folder"):
        session_of(find_clips(two_runs[1], two_runs[0]), tmp_path / "rated")
    (tmp_path / "rated" / "key.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be told apart"):
        read_session(tmp_path / "rated")


def test_a_later_answer_replaces_the_former(session, tmp_path):
    pair = session.pairs[0]
    add_votes(tmp_path, [vote(session, pair, "x"), vote(session, pair, "y", "Bob")], session)
    kept = add_votes(tmp_path, [vote(session, pair, "same")], session)
    assert [(one.rater, one.answer) for one in kept] == [("Ann", "same"), ("Bob", "y")]
    assert read_votes(tmp_path / "votes.csv", session) == kept


@pytest.mark.parametrize(
    "wrong",
    [{"session": "other"}, {"pair": "p999"}, {"question": "?"}, {"answer": "left"}, {"left": ""}, {"rater": "=+"},
     {"seconds": "soon"}],
)  # fmt: skip
def test_a_vote_that_is_none_is_refused(session, wrong):
    cells = {"session": session.session, "rater": "Ann", "pair": "p001", "question": "path", "answer": "x"}
    assert vote_of({**cells, "left": "y", "seconds": "1"}, session).left == "y"
    with pytest.raises(UserError, match=next(iter(wrong))):
        vote_of({**cells, "left": "y", "seconds": "1", **wrong}, session)


def test_hostile_names_become_plain(session, tmp_path):
    kept = add_votes(tmp_path, [vote(session, session.pairs[0], "x", HOSTILE)], session)
    assert not set(kept[0].rater) & set('=,"<>/|\n')
    assert kept[0].rater[0].isalnum()
    assert read_votes(tmp_path / "votes.csv", session) == kept
    assert rater_name("x" * 99) == "x" * 60
    assert vote(session, session.pairs[0], "x", seconds="nan").seconds == 0
    assert isinstance(kept[0], Vote)


def test_preferences_agreement_and_metrics(session, tmp_path, capsys):
    folder = tmp_path / "rated"
    everyone = set(range(8))
    add_votes(
        folder, for_first(session, "Ann", everyone) + for_first(session, "Bob", everyone - {2}), session
    )
    file = tmp_path / "cem.csv"
    lines = [",".join(map(str, vars(one).values())) for one in for_first(session, "Cem", set(), "looks")]
    file.write_text("session,rater,pair,question,answer,left,seconds\n" + "\n".join(lines) + "\n")
    assert main(["import-ratings", str(file), f"out={folder}"]) == 0
    said = capsys.readouterr().out
    path, looks = pd.read_csv(folder / "preferences.csv").to_dict("records")
    assert (path["question"], looks["question"]) == tuple(QUESTIONS)
    assert (path["people"], path["votes"], path["cases"]) == (2, 16, 8)
    assert path["prefer_a"] == pytest.approx(15 / 16)
    assert path["preference"] == pytest.approx(7 / 8)
    assert path["model_a"] == "cut_and_drag"
    assert looks["prefer_b"] == 1
    assert np.isnan(looks["alpha"])
    assert "94% cut_and_drag" in said
    assert "agreement unknown" in said
    against = pd.read_csv(folder / "metrics_and_people.csv")
    assert set(against["metric"]) == {"traj_error", "ssim"}
    rows = pd.read_csv(folder / "ratings.csv")
    assert (rows.loc[rows["question"] == "looks", "better"] == "static").all()
    assert sentences(folder)[0] in said


def test_a_metric_agrees_with_people_who_vote_by_it(session, clips, tmp_path):
    folder = tmp_path / "rated"
    errors = [run.cases.set_index("sample")["traj_error"] for run in clips.runs]
    advantage = (errors[1] - errors[0]).loc[[pair.sample for pair in session.pairs]].to_numpy()
    order = np.argsort(np.argsort(advantage))
    votes = []
    for person in range(7):  # the better the metric finds the first model, the more people prefer it
        votes += for_first(session, f"P{person}", {n for n in range(8) if order[n] > person})
    add_votes(folder, votes, session)
    assert main(["import-ratings", f"out={folder}"]) == 0
    row = pd.read_csv(folder / "metrics_and_people.csv").set_index("metric").loc["traj_error"]
    assert row["spearman"] == pytest.approx(1)
    assert row["low"] > 0.9


def test_the_report_shows_what_people_said_of_its_runs(two_runs, clips, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(two_runs[0].parents[3], results)
    runs = [next((results / "runs" / "shapes-v2" / name).glob("*")) for name in ("cut_and_drag", "static")]
    folder = results / "ratings" / "one"
    session = session_of(find_clips(*runs), folder)
    add_votes(folder, for_first(session, "Ann", set(range(8))), session)
    assert main(["import-ratings", f"results={results}"]) == 0
    (both,) = collect(runs)
    (line,) = [line for line in people_lines(both) if "Which follows" in line]
    assert "100% cut_and_drag" in line
    assert "1 person, 8 cases, 8 votes" in line
    (one,) = collect(runs[:1])
    assert people_lines(one) == []
    assert main(["report", *map(str, runs), f"results={results}", f"out={tmp_path / 'out'}"]) == 0
    pages = [path.read_text() for path in (tmp_path / "out").rglob("*.html")]
    assert any("What people say" in text and "100% cut_and_drag" in text for text in pages)


def test_votes_that_belong_nowhere(tmp_path, session, capsys):
    (tmp_path / "votes.csv").write_text("session,rater\nabc,Ann\n")
    assert main(["import-ratings", str(tmp_path / "votes.csv"), f"results={tmp_path}"]) == 2
    assert "belongs to a comparison that is not in" in capsys.readouterr().err
    assert main(["import-ratings", f"results={tmp_path}"]) == 2
    assert main(["import-ratings", str(tmp_path / "none.csv"), f"results={tmp_path}"]) == 2
    assert main(["rate", "one"]) == 2
    assert main(["rate", "one", "two"]) == 2


def test_the_page_may_not_lie_with_the_key(two_runs, tmp_path, capsys):
    runs = [str(run) for run in two_runs]
    assert main(["rate", *runs, f"out={tmp_path / 'key'}", f"page={tmp_path}"]) == 2
    assert "would hold the key" in capsys.readouterr().err
    assert main(["rate", *runs, f"out={tmp_path / 'key'}", f"page={tmp_path / 'page'}", "pairs=2"]) == 0
    assert (tmp_path / "page" / "index.html").is_file()


def test_the_page_has_no_text_of_a_prompt_as_code(clips, session, monkeypatch):
    monkeypatch.setattr(type(clips), "prompt", lambda self, sample: HOSTILE)
    html = rate_page(session, clips, False)
    assert html.count("</script>") == 2
