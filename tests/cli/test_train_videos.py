"""`train` on a folder of videos and captions, with an autoencoder and a text encoder from folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.models.tora.full_size import picture, write_t5, write_vae
from toraeval.models.tora.checkpoints.importers import load_stdit
from toraeval.training.data.flow_estimation import FlowCache
from toraeval.training.engine import log
from toraeval.types import Video
from toraeval.video import write_lossless

Cli = Callable[..., Any]
FRAMES, HEIGHT, WIDTH = 12, 48, 72
CAPTIONS = {"ball": "A red ball moves left", "sea": "the sea", "motion": "motion left."}


def moving(seed: int) -> Video:
    """A grainy picture that slides two pixels a frame."""
    rng = np.random.default_rng(seed)
    wide = picture(HEIGHT, WIDTH + 2 * FRAMES, seed) // 2 + rng.integers(
        0, 100, (HEIGHT, WIDTH + 2 * FRAMES, 3), np.uint8
    )
    return Video.from_thwc(np.stack([wide[:, 2 * t : 2 * t + WIDTH] for t in range(FRAMES)]), 24.0)


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Options of a run on three videos, one of them without a caption of known words."""
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data" / "labels").mkdir(parents=True)
    for seed, (name, caption) in enumerate(CAPTIONS.items()):
        write_lossless(moving(seed), tmp_path / "data" / "videos" / f"{name}.mkv")
        (tmp_path / "data" / "labels" / f"{name}.txt").write_text(caption + "\n")
    return (
        "model=tora", "size=tiny", "start=random", "precision=fp32", "seed=3", "lr=1e-3", "warmup_steps=1",
        f"data={tmp_path / 'data'}", f"vae={write_vae(tmp_path / 'vae')}",
        f"text_encoder={write_t5(tmp_path / 't5')}",
        "buckets={32x48: {9: [0.6, 2], 5: [1.0, 1]}}", "batches_per_step=2",
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(120)
def test_both_stages_on_videos_and_resumed(
    options: tuple[str, ...], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows: list[np.ndarray] = []
    estimate = FlowCache.flow

    def watched(self: FlowCache, clip: Video) -> np.ndarray:
        flows.append(estimate(self, clip))
        return flows[-1]

    monkeypatch.setattr(FlowCache, "flow", watched)
    first = cli("train", *options, "folder=run", "stage_steps=[2,1]")
    assert (first.code, first.out) == (0, "")
    assert "steps 0 to 3" in first.err
    run = tmp_path / "run"
    rows = log.read_rows(run / "log.csv")
    assert [row["stage"] for row in rows] == ["dense", "dense", "sparse"]
    assert all(np.isfinite(float(row["loss"])) and float(row["grad_norm"]) > 0 for row in rows)
    assert {row["size"] for row in rows} <= {"2x9x32x48", "1x5x32x48"}
    # at 32 of 48 rows two pixels are four thirds
    assert np.median(np.stack([f.mean((0, 1, 2)) for f in flows]), axis=0) == pytest.approx(
        [-4 / 3, 0], abs=0.1
    )
    assert len(list((run / "captions").glob("*.safetensors"))) == len(CAPTIONS)
    assert list((run / "flow").rglob("*.npy"))
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000003"]

    weights = load_stdit(run / "weights").state_dict()
    again = cli("train", *options, "folder=run", "stage_steps=[2,2]")
    assert again.code == 0
    assert "steps 3 to 4" in again.err
    longer = load_stdit(run / "weights").state_dict()
    assert {n.split(".")[0] for n in weights if not torch.equal(weights[n], longer[n])} == {
        "traj_extractor",
        "fuser",
    }

    with safe_open(str(run / "weights" / "model.safetensors"), "pt") as file:
        card = json.loads(file.metadata()["card"])
    assert (card["steps"], card["data"]["videos"], card["data"]["flow"]) == (4, 3, "dis")
    assert len(card["autoencoder"]["vae"]) == 64
    assert len(card["captions"]["encoder_sha256"]) == 64
    assert str(tmp_path) not in json.dumps(card)


def test_parts_that_do_not_fit_are_refused_before_training(
    options: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "t5" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "d_model": 16}))
    ran = cli("train", *options, "folder=run", "stage_steps=[1,0]")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "gives 16 numbers per token, the network takes 32" in ran.err
    assert not (tmp_path / "run" / "log.csv").exists()
