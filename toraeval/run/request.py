"""What is asked of a run, besides its parts: length, size, cases and options; each of them is checked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from toraeval import registry
from toraeval.allowed import check_once
from toraeval.config.verbs import KEEP, STAGES, ClusterConfig
from toraeval.models.shared.base import MAX_FRAMES
from toraeval.store.keys import safe_id
from toraeval.store.slot import sample_id
from toraeval.types import Case, UserError

MAX_SIDE = 4096
MAX_WORKERS = 64
MAX_OVERLAP = 8
AUTO, OFF = "auto", "off"
LOCAL, SLURM, RAY = EXECUTORS = ("local", "slurm", "ray")


class Sample(NamedTuple):
    """One clip that is asked for.

    Attributes:
        order: place of its case in the suite.
        case: what is requested from the generator.
        seed: sampling seed.
    """

    order: int
    case: Case
    seed: int

    @property
    def id(self) -> str:
        """Its name in tables and folders."""
        return sample_id(self.case.id, self.seed)


@dataclass(frozen=True)
class RunOptions:
    """The checked options of a plan that are not parts; `toraeval.config.verbs` says what each one is."""

    seeds: tuple[int, ...]
    stages: tuple[str, ...]
    keep: str
    workers: int | str
    fail_fast: bool
    floor: bool
    results: Path
    executor: str = LOCAL
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    overlap: int | str = AUTO


def options_of(config: Mapping[str, Any]) -> RunOptions:
    """Return the options of a resolved config; own videos have one seed and no floor.

    Raises:
        UserError: an option that cannot be.
    """
    seeds, stages, keep, workers = (
        config.get("seeds", [0]),
        config["stages"],
        config["keep"],
        config["workers"],
    )
    if not seeds or any(not isinstance(s, int) or s < 0 for s in seeds) or len(set(seeds)) < len(seeds):
        raise UserError(f"seeds={list(seeds)}: allowed are different whole numbers >= 0, e.g. 'seeds=[0,1]'")
    if not stages:
        raise UserError("stages=[]: name at least one stage")
    check_once("stages", stages)
    for stage in stages:
        if stage not in STAGES:
            raise UserError(registry.unknown("stage", stage, STAGES))
    if keep not in KEEP:
        raise UserError(registry.unknown("value of keep", str(keep), KEEP))
    if workers != AUTO and (type(workers) is not int or not 1 <= workers <= MAX_WORKERS):
        raise UserError(f"workers={workers}: allowed are {AUTO} and 1 to {MAX_WORKERS}")
    overlap = config.get("overlap", AUTO)
    overlap = OFF if overlap is False else overlap  # as YAML reads it
    if overlap not in (AUTO, OFF) and (type(overlap) is not int or not 1 <= overlap <= MAX_OVERLAP):
        raise UserError(f"overlap={overlap}: allowed are {AUTO}, {OFF} and 1 to {MAX_OVERLAP}")
    floor, results = config.get("floor", False), Path(config["results"])
    executor, cluster = config.get("executor", LOCAL), ClusterConfig(**(config.get("cluster") or {}))
    if executor not in EXECUTORS:
        raise UserError(registry.unknown("executor", str(executor), EXECUTORS))
    fail_fast = config["fail_fast"]
    return RunOptions(
        tuple(seeds), tuple(stages), keep, workers, fail_fast, floor, results, executor, cluster, overlap
    )


def check_request(frames: int, height: int, width: int) -> None:
    """Refuse lengths and sizes that no suite can have.

    Raises:
        UserError: frames outside 2..1024 or a side outside 16..4096.
    """
    if not 2 <= frames <= MAX_FRAMES:
        raise UserError(f"frames={frames}: allowed are 2 to {MAX_FRAMES}, e.g. frames=16")
    for name, side in (("height", height), ("width", width)):
        if not 16 <= side <= MAX_SIDE:
            raise UserError(f"{name}={side}: allowed are 16 to {MAX_SIDE} pixels, e.g. {name}=512")


def choose(
    cases: Sequence[Case], samples: list[str] | None, limit: int | None
) -> tuple[tuple[int, Case], ...]:
    """Return the asked-for cases with their places in the suite.

    Raises:
        UserError: an unknown id, or nothing left.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit={limit}: allowed are whole numbers >= 1")
    numbered = list(enumerate(cases))
    if samples is not None:
        check_once("samples", samples)
        known = [case.id for case in cases]
        for sample in samples:
            if sample not in known:
                raise UserError(registry.unknown("case", sample, known))
        numbered = [(i, case) for i, case in numbered if case.id in samples]
    numbered = numbered[:limit]
    if not numbered:
        raise UserError("no case left to run; see samples= and limit=, and: python -m toraeval list suites")
    return tuple(numbered)


def check_ids(cases: Sequence[Case]) -> None:
    """Refuse case ids that are not valid folder names: a sample's files lie in a folder of that name.

    Raises:
        UserError: an id with other characters than letters, digits, `.`, `_` and `-`, or one that is there twice.
    """
    seen: set[str] = set()
    for case in cases:
        if case.id != safe_id(case.id) or case.id.lower() in seen:
            raise UserError(
                f"suite {case.suite}: case id {case.id!r}; allowed: up to 80 letters, digits, '.', '_' and '-', "
                "each once (upper and lower case count as equal)"
            )
        seen.add(case.id.lower())


def path_notes(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return what the readers of these cases' paths assumed, each sentence once with the cases it holds for."""
    holds: dict[str, list[str]] = {}
    for case in cases:
        for note in case.trajectories.notes:
            holds.setdefault(note, []).append(case.id)
    return tuple(
        f"paths of {ids[0] if len(ids) == 1 else f'{len(ids)} cases ({ids[0]}, ...)'}: {note}"
        for note, ids in holds.items()
    )
