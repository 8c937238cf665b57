"""Stages, learning rates, draws and the loss of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.full_size import CONFIG, Drawn
from toraeval.models.shared.network.config import tiny
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.training.engine.parts import Counters, draws
from toraeval.training.recipes.full_recipe import FullRecipe, GuidedNetwork, choose_trainable, loss
from toraeval.types import UserError


def test_each_stage_warms_up_anew() -> None:
    recipe = FullRecipe(stage_steps=(3, 4), lr=1.0, warmup_steps=2)
    assert [recipe.stage(step) for step in range(7)] == ["dense"] * 3 + ["sparse"] * 4
    assert [recipe.learning_rate(1.0, Counters(step)) for step in range(7)] == [
        0.5,
        1.0,
        1.0,
        0.5,
        1.0,
        1.0,
        1.0,
    ]
    assert [step for step in range(7) if recipe.stage_begins(step)] == [0, 3]
    assert [FullRecipe(stage_steps=(0, 2)).stage(step) for step in range(2)] == ["sparse"] * 2


def test_draws_depend_on_every_part_of_the_key() -> None:
    keys = [(0, "loss", 1, 0), (0, "loss", 10, 0), (0, "loss", 1, 1), (1, "loss", 1, 0), (0, "clip", 1, 0)]
    seeds = {draws(*key).initial_seed() for key in keys}
    assert len(seeds) == len(keys)
    assert draws(*keys[0]).initial_seed() in seeds


@pytest.mark.parametrize(("which", "place"), [("motion", "temporal"), ("motion", "both"), ("all", "spatial")])
def test_what_is_trained(which: str, place: str) -> None:
    model = ToraNetwork(tiny(depth=1, fuser="extra_channel", fuser_place=place))
    chosen = choose_trainable(model, which)
    assert chosen.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert "rope.freqs" not in chosen
    assert any(name.startswith("fuser_spatial.") for name in chosen) == (place != "temporal")
    assert ("final_layer.linear.weight" in chosen) == (which == "all")


class Recording(torch.nn.Module):
    """Stands in for the network: returns zeros and keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.model = ToraNetwork(CONFIG)
        self.calls: list[dict[str, Any]] = []

    def forward(self, motion: Tensor, **inputs: Any) -> Tensor:
        self.calls.append({"motion": motion, **inputs})
        x = inputs["x"]
        return torch.zeros(x.shape[0], 2 * x.shape[1], *x.shape[2:])


def recorded(recipe: FullRecipe) -> tuple[dict[str, Any], float]:
    network = Recording()
    value = loss(network, Drawn().batch(0, 0), recipe, draws("test"))  # type: ignore[arg-type]
    return network.calls[0], float(value)


def test_loss_is_the_velocity_error_over_noisy_frames() -> None:
    recipe = FullRecipe(frame_masks={"image_head": 1.0}, text_dropout=0.0)
    batch = Drawn().batch(0, 0)
    call, value = recorded(recipe)
    mask = call["x_mask"]
    assert mask.tolist() == [[False, True, True, True, True]] * 2
    u = (call["timestep"] / 1000).view(-1, 1, 1, 1)
    assert torch.equal(call["x"][:, :, 0], batch.latents_BCTHW[:, :, 0])
    noisy, clean = call["x"][:, :, 1:], batch.latents_BCTHW[:, :, 1:]
    noise = (noisy - (1 - u[..., None]) * clean) / u[..., None]
    assert value == pytest.approx(float((clean - noise).square().mean()), rel=1e-3)
    assert torch.equal(call["y"], batch.text)
    assert torch.equal(call["motion"], batch.motion)
    assert (call["height"], call["width"], call["fps"].tolist()) == (32, 48, [8.0, 8.0])


def test_without_given_frames_no_mask_is_passed() -> None:
    assert recorded(FullRecipe(frame_masks={}))[0]["x_mask"] is None


def test_dropped_captions_become_the_null_caption_under_the_same_mask() -> None:
    network = Recording()
    loss(network, Drawn().batch(0, 0), FullRecipe(text_dropout=1.0), draws("test"))  # type: ignore[arg-type]
    call = network.calls[0]
    assert torch.equal(call["y"], network.model.y_embedder.null(2).expand_as(call["y"]))
    assert torch.equal(call["mask"], Drawn().batch(0, 0).text_mask_BL)


def test_motion_reaches_the_transformer_through_the_extractor() -> None:
    torch.manual_seed(1)
    network = GuidedNetwork(ToraNetwork(CONFIG)).eval()
    for fuser in network.model.fuser or ():
        torch.nn.init.normal_(fuser.flow_beta_temporal.weight)
    batch = Drawn().batch(0, 0)
    inputs = {"x": batch.latents_BCTHW, "timestep": torch.tensor([500.0, 900.0])}
    inputs |= {"y": batch.text, "mask": batch.text_mask_BL}
    expected = network.model(**inputs, motion=network.model.encode_motion(batch.motion))
    assert torch.equal(network(batch.motion, **inputs), expected)
    assert not torch.equal(network(0 * batch.motion, **inputs), expected)


def test_wrong_masks_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="image_haed"):
        replace(FullRecipe(), frame_masks={"image_haed": 0.5})
