"""`train`: train the embedded model, or go on where training stopped."""

from __future__ import annotations

from typing import Any

from toraeval.cli.app import launch

HELP = """Train the embedded model, or go on where training stopped: same command, same folder.

  python -m toraeval train model=tora size=nano
  python -m toraeval train minutes=30 device=cuda
  python -m toraeval train start=shipped folder=finetuning
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    return launch("train", HELP, argv, execute)


def execute(config: dict[str, Any], command: str) -> int:
    """Hand the options to the training package."""
    from toraeval.training import train

    return int(train.main(config))
