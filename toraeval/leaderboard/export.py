"""Copy finished runs into a folder that can be shared: what `check-submission` allows, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from toraeval.leaderboard.contents import OF_RUN, OF_SAMPLE, is_folder_name
from toraeval.store.sealed import atomic
from toraeval.store.tables.run import RunResult
from toraeval.types import UserError


def copy_runs(runs: Iterable[RunResult], folder: Path) -> int:
    """Copy tables, records, tracks, scores and previews of runs to `folder/runs/<suite>/<model>/<key>`.

    Returns:
        Bytes of all files.

    Raises:
        UserError: the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"export: {folder} is not empty; give a new folder with out=DIR")
    total = 0
    for run in runs:
        place = folder.joinpath("runs", *run.run_dir.resolve().parts[-3:])
        samples = sorted({str(name) for name in run.cases["sample"]})
        if wrong := [name for name in samples if not is_folder_name(name)]:
            raise UserError(f"export: {run.run_dir}: {wrong[0]!r} is not the name of a sample's folder")
        files = [run.run_dir / name for name in OF_RUN]
        files += [run.run_dir / "cases" / sample / name for sample in samples for name in OF_SAMPLE]
        for file in files:
            if file.is_file() and not file.is_symlink():
                atomic(place / file.relative_to(run.run_dir), partial(shutil.copyfile, file))
                total += file.stat().st_size
    return total
