"""The command line: one module per verb."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """A verb's module in this package, what it does, and an example of its arguments."""

    module: str
    summary: str
    example: str


VERBS: dict[str, Verb] = {
    "run": Verb("run", "generate, track and score one model at one length", "run model=tora frames=128"),
    "bench": Verb("bench", "every model and length of a preset, then tables and figures", "bench"),
    "score": Verb("score", "score your own videos; no model code", "score videos=DIR trajectories=FILE"),
    "report": Verb("report", "redraw tables, figures and the page of all suites from stored runs", "report"),
    "figures": Verb("figures", "tables and figures of the paper from stored CSV files", "figures"),
    "compare": Verb(
        "compare",
        "two models case by case: difference, interval, p, verdict",
        "compare tora static frames=128",
    ),
    "compare-trackers": Verb(
        "compare_trackers", "whether the order of the models depends on the tracker", "compare-trackers"
    ),
    "leaderboard": Verb(
        "leaderboard", "rank the runs of several people", "leaderboard submissions/ann submissions/bob"
    ),
    "check-submission": Verb(
        "check_submission", "whether a folder of runs may be ranked with others", "check-submission DIR"
    ),
    "export": Verb(
        "export", "runs as a folder to share, or as a model card's YAML", "export results out=DIR"
    ),
    "show": Verb("show", "print the table or the record of a stored run", "show results/runs/... --record"),
    "status": Verb("status", "how far a command is: done, running, failed, time left", "status results"),
    "requeue": Verb("requeue", "try failed samples again", "requeue results"),
    "merge": Verb("merge", "join results folders of several machines", "merge a b out=both"),
    "list": Verb("listing", "what exists, its status and licence", "list models|trackers|metrics|suites"),
    "doctor": Verb("doctor", "what is installed, what is missing, how to get it", "doctor"),
    "fetch": Verb(
        "fetch", "download weights, with their hash checked", "fetch cotracker3_offline sha256=HASH"
    ),
    "calibrate": Verb(
        "calibrate", "measure trackers on videos with exact tracks", "calibrate tracker=lucas_kanade"
    ),
    "convert": Verb("convert", "path files from one format to another", "convert fox.json fox.txt"),
    "draw": Verb("draw", "draw paths over a picture in the browser", "draw fox.png"),
    "rate": Verb("rate", "people compare two runs without knowing which is which", "rate RUN_A RUN_B"),
    "import-ratings": Verb(
        "import_ratings", "what people's votes say, and which metrics agree", "import-ratings votes.csv"
    ),
    "validate": Verb(
        "validate", "what is missing or odd in a suite on the disk", "validate suite=movebench suite.path=DIR"
    ),
    "train": Verb("train", "train an embedded model, or resume", "train model=tora size=nano"),
}


def help_text() -> str:
    """Return every verb with an example."""
    width = max(len(verb.example) for verb in VERBS.values())
    lines = [f"  python -m toraeval {verb.example:<{width}}  {verb.summary}" for verb in VERBS.values()]
    return "\n".join(
        [
            "toraeval: does a generated video follow the trajectory it was given?",
            "",
            *lines,
            "",
            "python -m toraeval VERB --help explains a verb and lists its options.",
        ]
    )


def error_text(error: Exception) -> str:
    """Return an error as one line; where several things are missing, one line for each of them below it."""
    line = f"error: {' '.join(str(error).split())}"
    report = getattr(error, "report", "")
    return f"{line}\n{report}" if report else line
