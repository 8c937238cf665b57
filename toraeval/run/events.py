"""What a run tells while it works, and what it did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from toraeval.run.sample import Outcome
from toraeval.store.tables import RunResult


class Progress:
    """Receives run events and does nothing with them; the command line draws a bar."""

    def start(self, label: str, samples: int, frames: int, cached: int) -> None:
        """A run begins: its name, the samples and frames to be done, the samples that need nothing."""

    def advance(self, outcome: Outcome) -> None:
        """A sample is done."""

    def note(self, message: str) -> None:
        """Something that a reader should know."""


@dataclass
class Report:
    """What `run` did.

    Attributes:
        result: rows of the samples that were asked for.
        outcomes: one per sample that was processed.
        cached: samples that needed nothing.
        floor: what the ground-truth run did, or None.
        disk_bytes: size of the run folder.
        wall_s: seconds.
        scores: whether scoring was asked for.
    """

    result: RunResult
    outcomes: list[Outcome] = field(default_factory=list)
    cached: int = 0
    floor: Report | None = None
    disk_bytes: int = 0
    wall_s: float = 0.0
    scores: bool = True

    @property
    def exit_code(self) -> int:
        """0; 1 if some samples failed or nothing was scored; 2 or 3 if none worked and the user can fix it."""
        failed = [outcome for outcome in self.outcomes if outcome.failed]
        if not failed:
            nothing_scored = self.scores and not (self.result.cases["status"] == "ok").any()
            return 1 if nothing_scored else self.floor.exit_code if self.floor else 0
        codes = {outcome.exit_code for outcome in failed}
        nothing_worked = self.cached == 0 and len(failed) == len(self.outcomes)
        return codes.pop() if nothing_worked and len(codes) == 1 else 1

    @property
    def computed(self) -> int:
        """Samples for which any stage ran, the floor's included."""
        own = sum(1 for outcome in self.outcomes if outcome.computed or outcome.failed)
        return own + (self.floor.computed if self.floor else 0)


def readings(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return what reading the video files assumed or changed, by sample."""
    return {row["sample"]: row["reading"] for row in rows if row.get("reading")}


def announce(progress: Progress, told: dict[str, str]) -> None:
    """Give each of these sentences once, with the samples it holds for."""
    for text in dict.fromkeys(told.values()):
        samples = [sample for sample, said in told.items() if said == text]
        named = samples[0] if len(samples) == 1 else f"{len(samples)} clips ({samples[0]}, ...)"
        progress.note(f"{named}: {text}")
