"""`requeue`: another try for samples that failed."""

from __future__ import annotations

from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError, be, counted

HELP = """Take failed samples back: a command that is running takes them up before it ends, else the next one does.

  python -m toraeval requeue results                                          all of them
  python -m toraeval requeue results/runs/<suite>/<model>/<key> 03_wave_1obj   one of them
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, _ = split("requeue", argv, {})
    if not words:
        raise UserError("requeue: give a results or run folder, e.g. python -m toraeval requeue results")
    from toraeval.run.status import requeue
    from toraeval.store.sealed import read_json
    from toraeval.store.tables.run import RECORD

    taken = requeue(Path(words[0]), words[1:])
    for run, sample in taken:
        print(f"{run / 'cases' / sample}")
    print(
        f"{counted(len(taken), 'failed sample')} {be(len(taken))} tried again by the command that runs, or by the "
        "next one"
    )
    records = [read_json(run / RECORD) or {} for run in dict.fromkeys(run for run, _ in taken)]
    for command in dict.fromkeys(record["command"] for record in records if "command" in record):
        print(f"command: {command}")
    return 0
