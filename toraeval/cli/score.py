"""`score`: the user's own videos against trajectory files."""

from __future__ import annotations

from typing import Any

from toraeval.cli.app import launch


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    return launch("score", argv, execute)


def execute(config: dict[str, Any], command: str) -> int:
    """Pair, track, score, print."""
    from toraeval.cli.run import carry_out
    from toraeval.scoring import plan_score

    return carry_out(plan_score(config), command)
