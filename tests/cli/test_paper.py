"""`preset=paper` on a machine that has none of it: one message with everything, before anything runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toraeval import registry
from toraeval.types import MissingAsset

pytestmark = pytest.mark.timeout(300)  # a busy machine

Cli = Callable[..., Any]
EXPECTED = (
    "weights opensora_stdit_v3, 4.8 GB for model tora; licence: Apache-2.0",
    "weights t5_v1_1_xxl, 19.0 GB for model tora",
    "weights tora_cogvideox_t2v, 22.0 GB for model tora_cogvideox; licence: CogVideoX License",
    "checkout for model rival",
    "weights cotracker3_offline, 0.1 GB for tracker cotracker3_offline; licence: CC BY-NC 4.0",
    "a CUDA GPU for model tora, model tora_cogvideox, tracker cotracker3_offline",
    "weights fvd_i3d, 0.1 GB for metric fvd",
    "weights clip_vit_b32, 0.6 GB for metric clipsim",
    "weights lpips_alex, 0.2 GB for metric lpips",
)


class Upstream:
    """Stands for a wrapper of the authors' code, whose checkout is absent."""

    name = "rival"

    def __init__(self, size: str = "nano") -> None:
        self.size = size

    def requirements(self) -> list[Any]:
        from toraeval.types import Requirement

        return [Requirement("checkout", "model rival", self.size != "upstream", "git clone RIVAL")]

    def fingerprint(self) -> dict[str, Any]:
        return {"model": self.name}


@pytest.fixture(autouse=True)
def without_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)


@pytest.mark.parametrize("dry_run", [True, False])
def test_bench_lists_everything_that_is_missing_at_once(cli: Cli, dry_run: bool, tmp_path: Path) -> None:
    for name in ("motionctrl", "dragnuwa"):
        registry.register("model", name, "tests.cli.test_paper:Upstream")
    ran = cli("bench", "preset=paper", f"dry_run={str(dry_run).lower()}")
    assert ran.code == 3, ran.err
    said = ran.out if dry_run else ran.err
    for words in EXPECTED:
        assert f"missing: {words}" in said, words
    assert "run: git clone RIVAL" in said
    assert "cost: model tora_cogvideox: 26 GB of GPU memory" in said
    assert "GB free" in said
    assert not (tmp_path / "results" / "runs" / "shapes-v2").exists()


def test_a_metric_asked_for_by_name_is_missed_before_anything_is_generated(cli: Cli, tmp_path: Path) -> None:
    ran = cli(
        "run",
        "model=static",
        "metric=[traj_error,clipsim]",
        "metrics.clipsim.backbone=clip_vit_b32",
        "limit=1",
    )
    assert ran.code == 3
    assert "missing: weights clip_vit_b32" in ran.err
    assert not (tmp_path / "results" / "runs" / "shapes-v2").exists()


def test_every_model_of_the_preset_takes_the_sizes_it_is_asked_for() -> None:
    from omegaconf import OmegaConf

    from toraeval.config import conf_dir
    from toraeval.run.bench import chosen_models

    preset = OmegaConf.to_container(OmegaConf.load(conf_dir() / "preset" / "paper.yaml"))
    assert isinstance(preset, dict)
    config = preset["bench"]
    asked = 0
    for entry in chosen_models({str(key): value for key, value in config.items()}):
        here = {key: "cpu" if key == "device" else value for key, value in entry.options.items()}
        with contextlib.suppress(MissingAsset):  # what xl2 allows stands in its autoencoder
            generator = registry.build("model", here)
            for frames in config["frames"]:
                if entry.runs_at(frames) and hasattr(generator, "check"):
                    generator.check(frames, 512, 512)
                    asked += 1
    assert asked >= 7
