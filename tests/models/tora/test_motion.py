"""Extractor inputs: drawn in chunks as in one piece, lined up with the latents, as the two stages draw them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toraeval.models.shared.flow_colour import flow_video
from toraeval.models.shared.network.config import tiny
from toraeval.models.shared.trajectory import blur_flow, sparse_flow
from toraeval.models.tora.autoencoder.spatial import SpatialVAEConfig
from toraeval.models.tora.autoencoder.temporal import TemporalVAEConfig
from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig
from toraeval.models.tora.conditions.compression import FLOW_SCALE, latent_intervals
from toraeval.models.tora.conditions.motion import motion_facts, motion_input
from toraeval.types import UserError

HEIGHT, WIDTH = 34, 43  # no multiple of a latent cell
RNG = np.random.default_rng(0)
FLOW = np.concatenate([np.zeros((1, HEIGHT, WIDTH, 2)), RNG.normal(0, 6, (20, HEIGHT, WIDTH, 2))]).astype(
    np.float32
)


@pytest.fixture(scope="module")
def vae() -> OpenSoraVAE:
    torch.manual_seed(0)
    return OpenSoraVAE(
        OpenSoraVAEConfig(
            spatial=SpatialVAEConfig(block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2),
            temporal=TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2),
        )
    ).eval()


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    steps = np.random.default_rng(1).integers(-6, 7, (3, 21, 2))
    return np.clip(16 + steps.cumsum(1), 0, 33)


def encoded(vae: OpenSoraVAE, video_THWC: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(video_THWC).permute(3, 0, 1, 2)[None].float()
    return vae.encode(pixels / 127.5 - 1)


def test_intervals_are_those_of_the_autoencoder(vae: OpenSoraVAE) -> None:
    assert latent_intervals(9) == [(0, 1), (1, 5), (5, 9)]
    assert latent_intervals(23, 17) == [(0, 1), (1, 5), (5, 9), (9, 13), (13, 17), (17, 19), (19, 23)]
    for frames in range(1, 60):
        assert len(latent_intervals(frames, 17)) == vae.latent_size(frames, 64, 64)[0]


def test_flow_of_training_is_coloured_per_pair(vae: OpenSoraVAE) -> None:
    ours = motion_input(tiny(), vae, flow_THW2=FLOW, stage="training")
    assert ours.shape == (1, tiny().motion_in_channels, 6, HEIGHT // 8, WIDTH // 8)
    torch.testing.assert_close(ours, encoded(vae, flow_video(FLOW, 2)), rtol=0, atol=1e-5)
    clip = motion_input(tiny(), vae, flow_THW2=FLOW)
    torch.testing.assert_close(clip, encoded(vae, flow_video(FLOW)), rtol=0, atol=1e-5)
    assert (clip - ours).abs().max() > 0.01


@pytest.mark.parametrize(
    ("stage", "border", "group"), [("inference", "mirror", None), ("training", "zero", 2)]
)
def test_points_are_drawn_as_the_stage_draws_them(
    vae: OpenSoraVAE, points: np.ndarray, stage: str, border: str, group: int | None
) -> None:
    flow = blur_flow(sparse_flow(points, WIDTH, HEIGHT), border)
    ours = motion_input(tiny(), vae, points_NT2=points, size=(HEIGHT, WIDTH), stage=stage)
    expected = encoded(vae, flow_video(flow, group))
    # the fast route of inference flips single pixels where the colour wheel jumps
    torch.testing.assert_close(ours, expected, rtol=0, atol=0.05 if stage == "inference" else 1e-5)


@pytest.mark.parametrize("compression", ["key_frame", "average"])
def test_compressions_line_up_with_the_latents(vae: OpenSoraVAE, compression: str) -> None:
    config = tiny(compression=compression)
    ours = motion_input(config, vae, flow_THW2=FLOW, stage="training")
    assert ours.shape == (1, config.motion_in_channels, *vae.latent_size(21, HEIGHT, WIDTH))
    frames = {0: [0], 2: [5, 6, 7, 8], 5: [17, 18, 19, 20]}
    if compression == "key_frame":
        frames = {0: [0], 2: [7], 5: [19]}
    for t, picks in frames.items():
        v_of_last_pixel = FLOW[picks, 8 * 3 + 7, 8 * 4 + 7, 1].mean() / FLOW_SCALE
        assert float(ours[0, 127, t, 3, 4]) == pytest.approx(v_of_last_pixel, rel=1e-5)


def test_first_frame_of_a_later_chunk_is_its_own_latent(vae: OpenSoraVAE) -> None:
    flow = np.zeros((19, 16, 16, 2), np.float32)
    flow[17] = 8.0
    for compression, value in (("key_frame", 0.0), ("average", 0.5)):
        out = motion_input(tiny(compression=compression), vae, flow_THW2=flow)
        assert out[0, 0, :, 0, 0].tolist() == [
            0,
            0,
            0,
            0,
            0,
            value,
        ]  # frames 17 and 18 share the sixth latent
    out = motion_input(tiny(compression="key_frame"), vae, flow_THW2=flow[:18])
    assert out[0, 0, :, 0, 0].tolist() == [0, 0, 0, 0, 0, 1]


def test_points_and_their_flow_compress_alike(vae: OpenSoraVAE, points: np.ndarray) -> None:
    config = tiny(compression="average")
    flow = blur_flow(sparse_flow(points, WIDTH, HEIGHT))
    ours = motion_input(config, vae, points_NT2=points, size=(HEIGHT, WIDTH))
    torch.testing.assert_close(ours, motion_input(config, vae, flow_THW2=flow), rtol=0, atol=1e-4)


def test_posterior_is_sampled_from_the_generator_only(vae: OpenSoraVAE) -> None:
    draw = [
        motion_input(tiny(), vae, flow_THW2=FLOW, generator=torch.Generator().manual_seed(s))
        for s in (1, 1, 2)
    ]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])


def test_a_clip_without_trajectories_is_white(vae: OpenSoraVAE) -> None:
    none = np.zeros((0, 5, 2), np.int64)
    for stage in ("inference", "training"):
        ours = motion_input(tiny(), vae, points_NT2=none, size=(16, 16), stage=stage)
        torch.testing.assert_close(ours, encoded(vae, np.full((5, 16, 16, 3), 255, np.uint8)))


def test_facts_name_what_was_used() -> None:
    assert motion_facts(tiny(), "training") == {
        "compression": "vae", "stage": "training", "blur_border": "zero", "colour_normaliser_frames": 2,
    }  # fmt: skip
    assert motion_facts(tiny(compression="average"), "inference")["flow_scale_px"] == FLOW_SCALE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flow_THW2": FLOW, "stage": "dense"}, "stage=dense; allowed: inference, training"),
        ({}, "either points_NT2 with size, or flow_THW2"),
        ({"points_NT2": np.zeros((1, 2, 2), int)}, "either points_NT2 with size, or flow_THW2"),
        ({"flow_THW2": np.where(FLOW, np.inf, FLOW)}, "NaN"),
        ({"flow_THW2": FLOW[..., :1]}, "shape"),
        ({"points_NT2": np.full((1, 3, 2), 90), "size": (64, 64)}, "object 0 at frame 0 lies outside"),
        ({"flow_THW2": FLOW[:, :4]}, "allowed: at least 1 frame"),
    ],
)
def test_refusals(vae: OpenSoraVAE, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        motion_input(tiny(), vae, **options)
