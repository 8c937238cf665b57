"""`merge`: join results folders and write the tables of what several of them have a part of."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toraeval.run.bench import RECORD as BENCH_RECORD
from toraeval.run.ending import write
from toraeval.run.plan import Plan, plan_by
from toraeval.run.sample import open_samples
from toraeval.store import merge, record
from toraeval.store.sealed import read_json, write_json
from toraeval.store.tables.run import RECORD
from toraeval.types import UserError

PLANNERS = {"videos": "toraeval.run.own_videos:plan_score", "model": "toraeval.run.plan:plan_run"}
"""What makes a plan of a recorded config that has this key."""


def join(sources: Sequence[Path], out: Path, say: Callable[[str], None]) -> list[Path]:
    """Join results folders into a new one and return its run folders.

    The record of the last bench holds the runs of all. Tables of a run that several folders have a part of are written
    anew, which needs the parts of that run; without them `say` is told the command that writes the tables later.

    Raises:
        UserError: see `toraeval.store.merge.join`.
    """
    joined = merge.join(sources, out)
    benches = [found for source in sources if (found := read_json(source / BENCH_RECORD)) is not None]
    if benches:
        samples = sorted({sample for one in benches for sample in one["samples"]})
        runs = {name: facts for one in benches for name, facts in one["runs"].items()}
        write_json(out / BENCH_RECORD, {**benches[-1], "samples": samples, "runs": runs})
    for run, folders in joined:
        if len(folders) > 1:
            _close(run, folders, out, say)
    return [run for run, _ in joined]


def _close(run: Path, folders: Sequence[Path], out: Path, say: Callable[[str], None]) -> None:
    records = [found for folder in folders if (found := read_json(folder / RECORD)) is not None]
    if not records:
        say(f"{run}: no record in any of its parts; run their command again with results={out}")
        return
    try:
        plan = _plan(records, out)
        if plan.run_dir != run:
            raise UserError("its parts are of another version")
        write(plan, [], record.command_line(), time.perf_counter(), not open_samples(plan))
    except UserError as error:
        say(
            f"{run}: its tables are those of {folders[0]} ({error}); {_into(out, records[0]['command'])} writes them"
        )


def _into(out: Path, command: str) -> str:
    """Return a recorded command with another results folder."""
    kept = [word for word in shlex.split(command) if not word.startswith("results=")]
    return shlex.join([*kept, f"results={out}"])


def _plan(records: Sequence[Mapping[str, Any]], out: Path) -> Plan:
    """Return the plan of everything that the parts of a run were asked for."""
    config = {**records[0]["config"], "results": str(out), "executor": "local"}
    if "seeds" in config:
        asked = [each["config"] for each in records]
        config["seeds"] = sorted({seed for each in asked for seed in each["seeds"]})
        whole = any(each["limit"] is None and each["samples"] is None for each in asked)
        named = sorted({sample.partition(".seed")[0] for each in records for sample in each["samples"]})
        config |= {"limit": None, "samples": None if whole else named}
    planner = next(place for key, place in PLANNERS.items() if key in config)
    return plan_by(planner, config)
