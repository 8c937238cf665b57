"""The embedded Wan-Move: the network reads copied latents; weights and options."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.wan_move import checkpoint
from baselines.wan_move.generator import WanMove
from baselines.wan_move.network import WanMoveNetwork, wan_move_nano
from toraeval import registry
from toraeval.models.shared.nano.copies import copied_latents
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.config import nano
from toraeval.training.recipes.learners import learner
from toraeval.types import Case, MissingAsset, Trajectories, UserError


def line(start: tuple[float, float], end: tuple[float, float], frames: int = 17) -> np.ndarray:
    return np.linspace(start, end, frames)[None]


def network() -> WanMoveNetwork:
    torch.manual_seed(0)
    made = WanMoveNetwork(
        wan_move_nano(depth=1, hidden_size=32, num_heads=2, in_channels=8, caption_channels=8)
    )
    torch.nn.init.normal_(made.final_layer.linear.weight, std=0.1)
    return made.eval()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    vae, path = LinearPatchAutoencoder(8), tmp_path / "wan_move.safetensors"
    basis = torch.randn(8, vae.mean.numel(), generator=torch.Generator().manual_seed(0))
    vae.basis.copy_(torch.linalg.qr(basis.T).Q.T)
    vae.mean.fill_(120.0)
    vae.scale.fill_(900.0)
    made = network()
    checkpoint.save(path, made.state_dict(), vae, {"architecture": asdict(made.config)})
    return path


def case(frames: int = 16) -> Case:
    paths = Trajectories(line((12.0, 20.0), (50.0, 40.0), frames), np.ones((1, frames), bool), (64, 64))
    first = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    return Case("a", "test-v1", "a red circle moves", paths, frames, 64, 64, 8.0, 0, first)


def test_it_follows_options_and_says_what_it_made(weights: Path) -> None:
    model = registry.build("model", {"name": "wan_move", "weights": str(weights), "precision": "fp32"})
    assert type(model).__name__ == "EmbeddedWanMove"
    video = model.generate(case(), 0)
    assert video.num_frames == 16
    assert video.info["generated"] == 17
    assert video.info["length_mode"] == "cut"
    assert np.array_equal(video.frames_TCHW, model.generate(case(), 0).frames_TCHW)
    elsewhere = replace(
        case(), trajectories=replace(case().trajectories, tracks_NT2=line((12, 20), (20, 50), 16))
    )
    assert not np.array_equal(video.frames_TCHW, model.generate(elsewhere, 0).frames_TCHW)
    guided = WanMove(weights=str(weights), guidance=2.0, steps=2, precision="fp32").generate(case(9), 0)
    assert guided.num_frames == 9
    assert model.fingerprint()["weights_sha256"] != ""


def test_without_weights_the_message_names_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkpoint, "weights_path", lambda: tmp_path / "none.safetensors")
    with pytest.raises(
        MissingAsset, match=r"no weights at .*python -m toraeval train model=wan_move size=nano"
    ):
        WanMove().fingerprint()
    with pytest.raises(MissingAsset, match="wan_move: no weights"):
        WanMove().generate(case(), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "full"}, "unknown size 'full'"),
        ({"steps": 0}, "steps=0; allowed: 1 to 1000"),
        ({"guidance": 0.5}, "guidance=0.5; allowed: at least 1"),
        ({"precision": "fp8"}, "precision=fp8; allowed: bf16, fp32"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        WanMove(**options)


def test_impossible_requests_are_refused(weights: Path) -> None:
    model = WanMove(weights=str(weights))
    with pytest.raises(UserError, match="frames=1; allowed: 2 to 1024"):
        model.check(1, 64, 64)
    with pytest.raises(UserError, match="size 96x64; allowed: sides divisible by 64"):
        model.check(16, 64, 96)
    with pytest.raises(UserError, match="takes no last frame"):
        model.generate(replace(case(), last_frame_HWC=case().first_frame_HWC), 0)
    with pytest.raises(UserError, match="needs a first frame"):
        model.generate(replace(case(), first_frame_HWC=None), 0)


@pytest.mark.parametrize("changes", [{}, {"fuser": "none", "binding": "none"}])
def test_a_network_with_fusers_or_without_copies_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="needs fuser 'none' and binding 'entity'"):
        WanMoveNetwork(nano(**changes))


def test_training_reads_the_same_copies_as_generation() -> None:
    kind, tracks = learner("wan_move"), line((100.0, 100.0), (200.0, 150.0))
    first = torch.randn(16, 16, 64)
    vae = LinearPatchAutoencoder(64)
    torch.testing.assert_close(kind.motion(None, vae, tracks, first), copied_latents(vae, first, tracks))
