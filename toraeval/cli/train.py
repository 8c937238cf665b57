"""`train`: train the embedded model, or go on where training stopped."""

from __future__ import annotations

from typing import Any

from toraeval.cli.app import launch


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    return launch("train", argv, execute)


def execute(config: dict[str, Any], command: str) -> int:
    """Hand the options to the training package."""
    from toraeval.training import train

    return int(train.main(config))
