"""The embedded Wan-Move: latents land where the path goes, the network reads them, weights and options."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.wan_move import checkpoint
from baselines.wan_move.copies import EXTRA, copied_latents
from baselines.wan_move.generator import WanMove
from baselines.wan_move.network import WanMoveNetwork, wan_move_nano
from toraeval import registry
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.config import nano
from toraeval.training.recipes.learners import learner
from toraeval.types import Case, MissingAsset, Trajectories, UserError


def line(start: tuple[float, float], end: tuple[float, float], frames: int = 17) -> np.ndarray:
    return np.linspace(start, end, frames)[None]


def grid(rows: int = 16, columns: int = 16) -> torch.Tensor:
    return torch.arange(rows * columns, dtype=torch.float32).view(rows, columns, 1) + 1


def test_cells_around_the_start_are_put_down_along_the_path() -> None:
    first = grid()
    copies = copied_latents(first, line((143.5, 143.5), (271.5, 143.5)))  # 4 cells to the right in 16 frames
    assert copies.shape == (5, 16, 16, 1 + EXTRA)
    assert not copies[0].any()
    # the last four frames have moved by 3.25, 3.5, 3.75 and 4 cells: 4 whole ones on the mean
    assert copies[4, 4, 8, 0] == first[4, 4, 0]
    assert copies[4, 2:7, 6:11, 1].sum() == copies[4, ..., 1].sum() == 21  # cells within 2.4 of the centre
    torch.testing.assert_close(copies[4, 4, 8, 2:6], torch.tensor([-0.75, -0.5, -0.25, 0.0]))
    assert not copies[4, 4, 8, 6:].any()  # nothing moves along y
    assert not copies[4, 12, 12].any()


def test_a_cell_that_two_objects_reach_shows_the_nearer_one() -> None:
    tracks = np.concatenate([line((111.5, 255.5), (239.5, 255.5)), line((400.0, 255.5), (272.0, 255.5))])
    copies, alone = copied_latents(grid(), tracks), copied_latents(grid(), tracks[:1])
    assert copies[4, 7, 6, 0] == alone[4, 7, 6, 0]
    assert copies[4, 7, 10, 0] == copied_latents(grid(), tracks[1:])[4, 7, 10, 0]
    torch.testing.assert_close(copies, copied_latents(grid(), tracks[::-1].copy()))


def test_paths_that_leave_the_picture_copy_nothing_outside() -> None:
    copies = copied_latents(grid(4, 4), line((20.0, 20.0), (-300.0, 500.0)))
    assert not copies[4].any()
    assert copies[1].any()


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


def test_a_network_with_fusers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs fuser 'none' and 329 cond_channels"):
        WanMoveNetwork(nano())


def test_training_reads_the_same_copies_as_generation() -> None:
    kind, tracks = learner("wan_move"), line((100.0, 100.0), (200.0, 150.0))
    first = torch.randn(16, 16, 64)
    vae = LinearPatchAutoencoder(64)
    torch.testing.assert_close(kind.motion(None, vae, tracks, first), copied_latents(first, tracks))
