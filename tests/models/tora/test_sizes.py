"""Named sizes against the tables and grids recorded from Open-Sora v1.2.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.parity_tables import latent_sizes
from toraeval.models.tora.autoencoder.video import OpenSoraVAE
from toraeval.models.tora.sampling import sizes


@pytest.fixture(scope="module")
def buckets(data_dir: Path) -> dict[str, Any]:
    return dict(json.loads((data_dir / "open_sora" / "buckets.json").read_text()))


def test_every_size_of_every_table(buckets: dict[str, Any]) -> None:
    assert set(buckets["buckets"]) == set(sizes.RESOLUTIONS)
    for resolution, table in buckets["buckets"].items():
        expected = {key: tuple(size) for key, size in table["sizes"].items()}
        assert sizes.size_table(resolution) == expected


def test_grids_are_those_of_autoencoder_and_transformer(data_dir: Path) -> None:
    recorded = json.loads((data_dir / "open_sora" / "latent_sizes.json").read_text())
    with torch.device("meta"):
        vae = OpenSoraVAE()
    for row in recorded["frames"]:
        assert vae.latent_size(row["num_frames"], 8, 8)[0] == row["latent_frames"]
    for row in recorded["sizes"]:
        assert list(vae.latent_size(51, row["height"], row["width"])) == [15, *row["latent"]]
    assert [row for row in latent_sizes(data_dir / "open_sora" / "latent_sizes.json") if not row.ok] == []
