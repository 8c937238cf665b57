"""Two small runs of the same cases, with previews, for the comparison page."""

from __future__ import annotations

from pathlib import Path

import pytest

from toraeval.__main__ import main


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a run of `cut_and_drag` and one of `static` on eight cases."""
    results = tmp_path_factory.mktemp("rated") / "results"
    options = [
        "frames=6",
        "height=64",
        "width=96",
        "limit=8",
        "metric=[traj_error,ssim]",
        "tracker=lucas_kanade",
    ]
    for model in ("cut_and_drag", "static"):
        assert main(["run", f"model={model}", *options, "keep=preview", f"results={results}"]) == 0
    found = [next((results / "runs" / "shapes-v2" / model).glob("*")) for model in ("cut_and_drag", "static")]
    return found[0], found[1]
