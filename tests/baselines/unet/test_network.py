"""The U-Nets: shapes, what an untrained conditioning does, noise levels, lengths, captions, frame masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from baselines.dragnuwa.network import DragNUWANetwork
from baselines.motionctrl.network import MotionCtrlNetwork
from baselines.unet.config import UNetConfig, dragnuwa_nano, motionctrl_nano, tiny
from baselines.unet.network import UNet
from toraeval.models.shared.network.config import nano as tora_nano
from toraeval.models.tora.network.model import ToraNetwork

Make = Callable[..., UNet]
DESIGNS = ("motionctrl", "dragnuwa")
FPS = torch.tensor([8.0])
CONDITIONING = ("motion_encoder.", "encoder_fusions.", "decoder_fusions.")


def inputs(frames: int = 3, rows: int = 6, columns: int = 5, batch: int = 2) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 8, frames, rows, columns, generator=draw)
    mask = torch.ones(batch, frames, dtype=torch.bool)
    mask[:, 0] = False
    return {"x": x, "timestep": torch.full((batch,), 900.0), "x_mask": mask, "cond": x[:, :, :1]}


def maps(network: UNet, frames: int = 3, rows: int = 6, columns: int = 5, batch: int = 2) -> list[Tensor]:
    draw = torch.Generator().manual_seed(2)
    return network.encode_motion(torch.randn(batch, frames, rows, columns, 128, generator=draw))


def words(batch: int = 2) -> Tensor:
    return torch.arange(batch * 20).view(batch, 20) % 30


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(("frames", "rows", "columns"), [(1, 4, 4), (5, 5, 7), (2, 3, 1)])
@torch.no_grad()
def test_any_length_and_size_gives_latents_of_that_shape(
    make_network: Make, design: str, frames: int, rows: int, columns: int
) -> None:
    network = make_network(design)
    motion = maps(network, frames, rows, columns)
    assert [m.shape[1:4] for m in motion] == [
        (frames, rows, columns),
        (frames, -(-rows // 2), -(-columns // 2)),
    ]
    given = inputs(frames, rows, columns)
    given["x_mask"] = torch.ones_like(given["x_mask"])
    out = network.predict_clean(**given, y=network.encode_words(words()), motion=motion, fps=FPS)
    assert out.shape == given["x"].shape
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_an_untrained_network_copies_the_first_frame(make_network: Make, design: str) -> None:
    network = make_network(design, trained=False)
    given = inputs()
    out = network.predict_clean(**given, y=network.encode_words(words()), motion=maps(network), fps=FPS)
    assert torch.equal(out, given["cond"].expand_as(out))


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_untrained_conditioning_changes_nothing_and_a_trained_one_does(
    make_network: Make, design: str
) -> None:
    trained = make_network(design)
    fresh = make_network(design, trained=False)
    other = {k: v for k, v in trained.state_dict().items() if not k.startswith(CONDITIONING)}
    missing = fresh.load_state_dict(other, strict=False).missing_keys
    assert missing
    for network, changes in ((fresh, False), (trained, True)):
        given, y = inputs(), network.encode_words(words())
        without = network.predict_clean(**given, y=y, motion=None, fps=FPS)
        with_path = network.predict_clean(**given, y=y, motion=maps(network), fps=FPS)
        assert torch.equal(without, with_path) != changes


@torch.no_grad()
def test_motionctrl_paths_act_per_sample_from_a_noise_level_on(make_network: Make) -> None:
    network = make_network("motionctrl", guided_above=0.8)
    given, y = inputs(), network.encode_words(words())
    given["timestep"] = torch.tensor([799.0, 800.0])
    without = network.predict_clean(**given, y=y, motion=None, fps=FPS)
    with_path = network.predict_clean(**given, y=y, motion=maps(network), fps=FPS)
    assert torch.equal(without[0], with_path[0])
    assert (without[1] - with_path[1]).abs().max() > 1e-4


@torch.no_grad()
def test_dragnuwa_paths_act_at_every_noise_level(make_network: Make) -> None:
    network = make_network("dragnuwa")
    given, y = inputs(), network.encode_words(words())
    given["timestep"] = torch.tensor([1.0, 999.0])
    without = network.predict_clean(**given, y=y, motion=None, fps=FPS)
    with_path = network.predict_clean(**given, y=y, motion=maps(network), fps=FPS)
    assert ((without - with_path).abs().amax((1, 2, 3, 4)) > 1e-4).all()


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_samples_of_a_batch_do_not_see_each_other(make_network: Make, design: str) -> None:
    network = make_network(design)
    given, y = inputs(), network.encode_words(words())
    given["timestep"] = torch.tensor([300.0, 950.0])
    together = network.predict_clean(**given, y=y, motion=maps(network), fps=FPS)
    for b in range(2):
        motion = [m[b : b + 1] for m in maps(network)]
        alone = network.predict_clean(
            **{k: v[b : b + 1] for k, v in given.items()}, y=y[b : b + 1], motion=motion, fps=FPS
        )
        torch.testing.assert_close(alone, together[b : b + 1], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_given_frames_count_as_clean_and_captions_and_frame_rate_matter(
    make_network: Make, design: str
) -> None:
    network = make_network(design)
    given, y = inputs(), network.encode_words(words())
    base = network.predict_clean(**given, y=y, motion=None, fps=FPS)
    other = network.encode_words(words() + 3)
    assert not torch.equal(base, network.predict_clean(**given, y=other, motion=None, fps=FPS))
    assert not torch.equal(base, network.predict_clean(**given, y=y, motion=None, fps=FPS * 3))
    unmasked = network.predict_clean(**{**given, "x_mask": None}, y=y, motion=None, fps=FPS)
    assert not torch.equal(base, unmasked)
    everything_given = {**given, "x_mask": torch.zeros_like(given["x_mask"])}
    clean = network.predict_clean(**everything_given, y=y, motion=None, fps=FPS)
    level_zero = {**given, "x_mask": None, "timestep": torch.zeros(2)}
    torch.testing.assert_close(clean, network.predict_clean(**level_zero, y=y, motion=None, fps=FPS))


@torch.no_grad()
def test_dropped_captions_become_the_null_caption(make_network: Make) -> None:
    network = make_network("motionctrl")
    y = network.encode_words(words())
    dropped = network.drop_text(y, torch.tensor([True, False]))
    assert torch.equal(dropped[0, 0], network.null_caption)
    assert torch.equal(dropped[1], y[1])


@pytest.mark.parametrize("design", DESIGNS)
def test_every_parameter_learns(make_network: Make, design: str) -> None:
    network = make_network(design)
    y = network.drop_text(network.encode_words(words()), torch.tensor([True, False]))
    network.predict_clean(**inputs(), y=y, motion=maps(network), fps=FPS).square().mean().backward()
    still = [
        n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert still == []


@pytest.mark.parametrize("design", DESIGNS)
def test_matrices_of_the_blocks_are_most_of_the_network(design: str) -> None:
    with torch.device("meta"):
        network = nano(design)
    counts = {name: p.numel() for name, p in network.named_parameters()}
    inside = sum(p.numel() for n, p in network.named_parameters() if "_blocks." in n and p.ndim == 2)
    assert inside > 0.8 * sum(counts.values())


CLASSES: dict[str, type[UNet]] = {"motionctrl": MotionCtrlNetwork, "dragnuwa": DragNUWANetwork}


def nano(design: str) -> UNet:
    return CLASSES[design]({"motionctrl": motionctrl_nano, "dragnuwa": dragnuwa_nano}[design]())


@pytest.mark.parametrize("design", DESIGNS)
def test_size_is_that_of_tora_nano(design: str) -> None:
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in made.parameters()) for made in (nano(design), ToraNetwork(tora_nano()))
        ]
    assert abs(sizes[0] / sizes[1] - 1) < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"design": "tora"}, "design 'tora' is not one of motionctrl, dragnuwa"),
        ({"blocks": (1,)}, "one entry per level"),
        ({"widths": (18, 32)}, "width 18 is not a multiple of groups 4"),
        ({"blocks": (0, 1)}, "needs at least one"),
        ({"guided_above": 1.5}, "guided_above 1.5; allowed"),
    ],
)
def test_impossible_configurations_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNetConfig(**{**asdict(tiny("motionctrl")), **change})


def test_a_network_refuses_the_other_design() -> None:
    with pytest.raises(ValueError, match="MotionCtrlNetwork needs design 'motionctrl'"):
        MotionCtrlNetwork(tiny("dragnuwa"))
