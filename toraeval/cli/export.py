"""`export`: finished runs as a folder to share, or their values as the YAML of a model card."""

from __future__ import annotations

from pathlib import Path

from toraeval.cli.arguments import split
from toraeval.types import UserError

HELP = """Take finished runs out of a results folder; nothing is computed.

  python -m toraeval export results out=my_submission              a folder for check-submission and leaderboard
  python -m toraeval export RUN_FOLDER... out=my_submission        chosen runs
  python -m toraeval export RUN_FOLDER... --eval-results           the YAML for a model card (model-index), on stdout
  python -m toraeval export results --eval-results out=values.yaml source=https://example.org/my_results

References (ground_truth, static) are copied, but have no place in a model card.
"""


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("export", argv, {"out": "", "source": ""}, flags=("eval-results",))
    if not words:
        raise UserError(
            "export: give run folders or a results folder, e.g. python -m toraeval export results out=my_submission"
        )
    from toraeval.store.tables.tidy import load_results

    runs = [run for word in words for run in load_results(word).loaded]
    out = Path(values["out"]) if values["out"] else None
    if values.get("eval-results"):
        from toraeval.leaderboard.eval_results import model_index, to_yaml
        from toraeval.store.sealed import write_text

        text = to_yaml(model_index(runs, values["source"]))
        if out is None:
            print(text, end="")
        else:
            write_text(out, text)
            print(out)
        return 0
    if out is None:
        raise UserError("export: give the folder of the submission as out=DIR, or --eval-results for YAML")
    from toraeval.leaderboard.export import copy_runs
    from toraeval.store.disk import megabytes

    total = copy_runs(runs, out)
    print(f"{out}/: {len(runs)} runs, {megabytes(total)}; now: python -m toraeval check-submission {out}")
    return 0
