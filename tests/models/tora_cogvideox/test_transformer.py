"""The transformer against numbers recorded from Tora's release, and against diffusers' own without trajectories."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.parity_data import allowance
from toraeval.models.tora_cogvideox.config import TransformerConfig, published_5b
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer, rotary_positions
from toraeval.types import UserError

diffusers = pytest.importorskip("diffusers")
MANIFEST = Path(__file__).parents[2] / "data" / "tora" / "manifest_5b.json"
Tiny = Callable[..., ToraCogVideoXTransformer]
Published = Callable[[str], dict[str, tuple[int, ...]]]


def run(model: ToraCogVideoXTransformer, x: dict[str, Tensor], flow: bool = True) -> Tensor:
    _, t, _, h, w = x["latents"].shape
    motion = model.encode_motion(x["flow"]) if flow else None
    with torch.no_grad():
        return model(x["latents"], x["text"], x["timestep"], motion, rotary_positions(model.config, t, h, w))


@pytest.mark.parametrize("name", ["tora_cogvideox_tiny_a", "tora_cogvideox_exact128_a"])
def test_outputs_are_those_of_the_release(recorded: Callable[[str], Any], name: str) -> None:
    golden = recorded(name)
    model = ToraCogVideoXTransformer(golden.config()).eval()
    model.load_state_dict(golden.state())
    cases = sorted({key.split("/")[0] for key in golden.arrays if key.startswith("case")})
    assert cases
    for case in cases:
        x = {k: golden[f"{case}/{k}"] for k in ("latents", "text", "timestep")}
        cos, sin = rotary_positions(model.config, *(x["latents"].shape[i] for i in (1, 3, 4)))
        torch.testing.assert_close(cos, golden[f"{case}/rope_cos"], rtol=0, atol=1e-5)
        torch.testing.assert_close(sin, golden[f"{case}/rope_sin"], rtol=0, atol=1e-5)
        moved = f"{case}/flow_latents" in golden
        if moved:
            x["flow"] = golden[f"{case}/flow_latents"]
        expected = golden[f"{case}/out"]
        torch.testing.assert_close(run(model, x, moved), expected, rtol=0, atol=allowance(expected))
        if f"{case}/out_without_flow" in golden:
            still = golden[f"{case}/out_without_flow"]
            assert (still - golden[f"{case}/out"]).abs().max() > 0.1
            torch.testing.assert_close(run(model, x, False), still, rtol=0, atol=allowance(still))


@pytest.mark.parametrize("variant", ["t2v", "i2v"])
def test_names_and_shapes_are_those_of_the_released_weights(published: Published, variant: str) -> None:
    manifest = json.loads(MANIFEST.read_text())
    expected = {}
    for name, shape in manifest["shapes"].items():
        part = name.partition(".*.")[0]
        for index in range(manifest["repeats"].get(part, 1)):
            expected[name.replace("*", str(index))] = tuple(shape)
    if variant == "i2v":
        expected |= {name: tuple(shape) for name, shape in manifest["i2v_differences"].items()}
    assert len(expected) == (2622 if variant == "t2v" else 2623)
    assert published(variant) == {"": (manifest["parameters"][variant],), **expected}


def test_published_configuration_is_the_recorded_one() -> None:
    expected = json.loads(MANIFEST.read_text())["t2v_config"]
    assert published_5b("t2v").backbone_options() == expected


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"in_channels": 32, "use_learned_positional_embeddings": True},
        {"use_rotary_positional_embeddings": False},
    ],
    ids=["rotary", "learned", "sine"],
)
def test_without_trajectory_it_is_the_model_of_diffusers(
    tiny: Tiny, inputs: dict[str, Tensor], changes: dict[str, Any]
) -> None:
    model = tiny(**changes)
    stock = diffusers.CogVideoXTransformer3DModel(**model.config.backbone_options()).eval()
    stock.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith(("fuser.", "traj_extractor."))}
    )
    if model.config.takes_first_frame:
        inputs["latents"] = torch.cat((inputs["latents"], inputs["flow"]), 2)
    with torch.no_grad():
        expected = stock(
            inputs["latents"],
            inputs["text"],
            inputs["timestep"],
            image_rotary_emb=rotary_positions(model.config, 3, 4, 6),
        ).sample
    torch.testing.assert_close(run(model, inputs, flow=False), expected, rtol=0, atol=1e-6)


def test_untrained_fusers_leave_the_backbone_bit_identical(tiny: Tiny, inputs: dict[str, Tensor]) -> None:
    model = tiny()
    for fuser in model.fuser:
        for layer in (fuser.flow_gamma_temporal, fuser.flow_beta_temporal):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    assert torch.equal(run(model, inputs), run(model, inputs, flow=False))


def test_one_trajectory_serves_a_batch(tiny: Tiny, inputs: dict[str, Tensor]) -> None:
    model = tiny()
    motion = model.encode_motion(inputs["flow"])
    rotary = rotary_positions(model.config, 3, 4, 6)
    two = [inputs[k].repeat(2, *[1] * (inputs[k].ndim - 1)) for k in ("latents", "text", "timestep")]
    shared = model(*two, motion, rotary)
    own = model(*two, [feature.repeat(2, 1, 1, 1) for feature in motion], rotary)
    torch.testing.assert_close(shared, own, rtol=0, atol=1e-6)


def test_learned_positions_can_be_left_out(tiny: Tiny, inputs: dict[str, Tensor]) -> None:
    model = tiny(in_channels=32, use_learned_positional_embeddings=True)
    inputs["latents"] = torch.cat((inputs["latents"], inputs["flow"]), 2)
    added = run(model, inputs)
    model.learned_positions = False
    left_out = run(model, inputs)
    assert (added - left_out).abs().max() > 0.01
    model.patch_embed.pos_embedding.zero_()
    model.learned_positions = True
    torch.testing.assert_close(run(model, inputs), left_out, rtol=0, atol=1e-6)


def test_learned_positions_need_a_table(tiny: Tiny) -> None:
    with pytest.raises(UserError, match="hold no learned positions; leave learned_positions=off"):
        tiny().learned_positions = True


def test_sine_positions_are_computed_for_a_network_from_the_meta_device(tiny: Tiny) -> None:
    model = tiny(use_rotary_positional_embeddings=False)
    with torch.device("meta"):
        empty = ToraCogVideoXTransformer(model.config)
    empty.restore_positions("cpu")
    assert torch.equal(empty.patch_embed.pos_embedding, model.patch_embed.pos_embedding)


def test_other_sizes_of_the_rotary_grid_keep_their_aspect_ratio() -> None:
    config = replace(published_5b(), sample_height=8, sample_width=12)
    native, larger = rotary_positions(config, 2, 8, 12), rotary_positions(config, 2, 16, 24)
    assert native is not None
    assert larger is not None
    # every second row and column of the doubled grid stands where the trained grid has one
    grid = larger[0].view(2, 8, 12, -1)[:, ::2, ::2]
    torch.testing.assert_close(grid, native[0].view(2, 4, 6, -1), rtol=0, atol=1e-5)


def test_heads_of_eight_need_no_rotary_positions() -> None:
    """The 2B variant of CogVideoX has sine positions only, which ask nothing of the width of a head."""
    config = TransformerConfig(
        num_attention_heads=4, attention_head_dim=8, use_rotary_positional_embeddings=False
    )
    assert config.width == 32
    with pytest.raises(UserError, match=r"attention_head_dim=8; allowed: multiples of 16 with rotary"):
        TransformerConfig(num_attention_heads=4, attention_head_dim=8)
    with pytest.raises(UserError, match=r"3 heads of 8 are 24 channels; allowed: multiples of 16"):
        TransformerConfig(num_attention_heads=3, attention_head_dim=8, use_rotary_positional_embeddings=False)
