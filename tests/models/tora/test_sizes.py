"""Named sizes against the tables and grids recorded from Open-Sora v1.2.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toraeval.models.tora.sampling import sizes


@pytest.fixture(scope="module")
def buckets(data_dir: Path) -> dict[str, Any]:
    return dict(json.loads((data_dir / "open_sora" / "buckets.json").read_text()))


def test_every_size_of_every_table(buckets: dict[str, Any]) -> None:
    assert set(buckets["buckets"]) == set(sizes.RESOLUTIONS)
    for resolution, table in buckets["buckets"].items():
        expected = {key: tuple(size) for key, size in table["sizes"].items()}
        assert sizes.size_table(resolution) == expected


def test_grids(data_dir: Path) -> None:
    recorded = json.loads((data_dir / "open_sora" / "latent_sizes.json").read_text())
    for row in recorded["frames"]:
        assert sizes.latent_frames(row["num_frames"]) == row["latent_frames"]
    for row in recorded["sizes"]:
        assert list(sizes.latent_size(51, row["height"], row["width"])) == [15, *row["latent"]]
        assert list(sizes.token_size(51, row["height"], row["width"])) == [15, *row["token_grid"]]
