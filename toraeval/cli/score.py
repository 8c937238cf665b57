"""`score`: the user's own videos against trajectory files."""

from __future__ import annotations

from typing import Any

from toraeval.cli.jobs import Done

HELP = """Track and score your own videos against trajectories; no model code is loaded.

  python -m toraeval score videos=clips/ trajectories=paths/
  python -m toraeval score videos=clip.mp4 trajectories=path.json
  python -m toraeval score videos=clips/ trajectories=paths/ tracker=cotracker3_offline label=my_method

  python -m toraeval score videos=clips/ trajectories=all:path.json references=real/

Videos and trajectory files pair by name without extension (case aside), else by number (video_1 with traj_01), never by
order. A single file whose name is that of no clip serves all of them, and all:FILE always does.
"""


def execute(config: dict[str, Any], command: str) -> Done:
    """Pair, track, score, print."""
    from toraeval.cli.run import carry_out
    from toraeval.run.own_videos import plan_score

    return carry_out(plan_score, with_reference_metrics(config), command)


def with_reference_metrics(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with the metrics that compare clips, where there are references and no metric was chosen."""
    from toraeval.config import default_metrics
    from toraeval.config.verbs import COMPARING

    metrics = config["metrics"]
    if not config.get("references") or set(metrics) != set(default_metrics("score")):
        return config
    return {
        **config,
        "metrics": {**metrics, **{name: {"name": name, **options} for name, options in COMPARING.items()}},
    }
