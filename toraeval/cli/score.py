"""`score`: the user's own videos against trajectory files."""

from __future__ import annotations

from typing import Any

from toraeval.cli.app import launch
from toraeval.cli.jobs import Done

HELP = """Track and score your own videos against trajectories; no model code is loaded.

  python -m toraeval score videos=clips/ trajectories=paths/
  python -m toraeval score videos=clip.mp4 trajectories=path.json
  python -m toraeval score videos=clips/ trajectories=paths/ tracker=cotracker3_offline label=my_method

Videos and trajectory files pair by name without extension; if no name matches and there are equally many, they
pair in sorted order. A single trajectory file serves all videos.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    return launch("score", HELP, argv, execute)


def execute(config: dict[str, Any], command: str) -> Done:
    """Pair, track, score, print."""
    from toraeval.cli.run import carry_out
    from toraeval.scoring import plan_score

    return carry_out(plan_score, config, command)
