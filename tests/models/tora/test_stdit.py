"""The diffusion transformer against numbers recorded from Open-Sora v1.2.0, and the parts that are ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from benchmarks.parity_data import allowance, read_arrays
from benchmarks.parity_open_sora import NETWORK
from toraeval.models.shared.network import blocks
from toraeval.models.shared.network.config import STDiTConfig, tiny
from toraeval.models.shared.network.stdit import POSITION_TABLES, STDiT3
from toraeval.optional import MissingDependency

Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "open_sora" / "stdit3_tiny_a.npz")


@pytest.fixture(scope="module")
def model(golden: Golden) -> STDiT3:
    model = STDiT3(STDiTConfig.from_upstream(json.loads(str(golden["config"]))["model"])).eval()
    state = {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith("sd/")}
    model.load_state_dict(state, strict=True)
    return model


@pytest.fixture
def inputs(golden: Golden) -> dict[str, Tensor]:
    return {k.removeprefix("in/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith("in/")}


def close(actual: Tensor, expected: np.ndarray) -> None:
    atol = allowance(expected, NETWORK)
    torch.testing.assert_close(actual, torch.from_numpy(expected), rtol=0, atol=atol)


def randomised(config: STDiTConfig) -> STDiT3:
    """A model none of whose branches is zero."""
    model = STDiT3(config).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@torch.no_grad()
def test_output(golden: Golden, model: STDiT3, inputs: dict[str, Tensor]) -> None:
    close(model(**inputs), golden["out/output"])


@torch.no_grad()
def test_without_text_mask(golden: Golden, model: STDiT3, inputs: dict[str, Tensor]) -> None:
    close(model(**{**inputs, "mask": None}), golden["extra/output_text_mask_none"])


@torch.no_grad()
@pytest.mark.parametrize("precomputed", [False, True])
def test_guidance_batch_cuts_the_null_caption(
    golden: Golden, model: STDiT3, inputs: dict[str, Tensor], precomputed: bool
) -> None:
    y = torch.cat((inputs.pop("y"), model.y_embedder.null(2)))
    mask = inputs.pop("mask")
    inputs["x"], inputs["timestep"] = inputs["x"].repeat(2, 1, 1, 1, 1), inputs["timestep"].repeat(2)
    text: dict[str, Any] = {"text": model.precompute_text(y, mask)} if precomputed else {"y": y, "mask": mask}
    close(model(**inputs, **text), golden["extra/output_cfg_batch"])


@torch.no_grad()
def test_frame_mask(golden: Golden, model: STDiT3, inputs: dict[str, Tensor]) -> None:
    x_mask = torch.from_numpy(golden["extra/x_mask"])
    close(model(**inputs, x_mask=x_mask), golden["extra/output_x_mask"])
    all_noisy = model(**inputs, x_mask=torch.ones_like(x_mask))
    close(all_noisy, golden["out/output"])


@torch.no_grad()
def test_pixel_size_scales_positions(golden: Golden, model: STDiT3, inputs: dict[str, Tensor]) -> None:
    inputs["height"], inputs["width"] = inputs["height"] * 10, inputs["width"] * 8
    close(model(**inputs), golden["extra/output_hw_scaled"])


@torch.no_grad()
def test_single_frame(golden: Golden, model: STDiT3, inputs: dict[str, Tensor]) -> None:
    inputs["x"] = inputs["x"][:, :, :1]
    close(model(**inputs), golden["extra/output_single_frame"])


@torch.no_grad()
@pytest.mark.parametrize("frames", [False, True])
def test_slices_of_one_frame_or_place_give_the_same_numbers(
    golden: Golden, model: STDiT3, inputs: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, frames: bool
) -> None:
    monkeypatch.setitem(blocks.SLICE_BYTES, "cpu", 1)
    x_mask = torch.from_numpy(golden["extra/x_mask"]) if frames else None
    close(model(**inputs, x_mask=x_mask), golden["extra/output_x_mask" if frames else "out/output"])


def test_recorded_numbers_with_gradients(golden: Golden, model: STDiT3, inputs: dict[str, Tensor]) -> None:
    close(model(**inputs).detach(), golden["out/output"])


@torch.no_grad()
def test_weights_loaded_after_a_pass_count(golden: Golden, model: STDiT3, inputs: dict[str, Tensor]) -> None:
    fresh = STDiT3(model.config).eval()
    fresh(**inputs)
    fresh.load_state_dict(model.state_dict())
    close(fresh(**inputs), golden["out/output"])


def test_position_tables_are_kept_within_bounds() -> None:
    model = STDiT3(tiny())
    for side in range(2, 30, 2):
        model._positions((1, side, side), torch.zeros(1, 4, 1, 2 * side, 2 * side), None, None)
    assert len(model._position_cache) == POSITION_TABLES


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_blocks_share_two_graphs_and_give_the_same_numbers() -> None:
    torch._dynamo.reset()
    counters.clear()
    model = randomised(tiny(depth=3))
    x, t, y = torch.randn(1, 4, 3, 4, 4), torch.tensor([500.0]), torch.randn(1, 1, 8, 32)
    plain = model(x, t, y)
    model.compile_blocks()
    close(model(x, t, y), plain.numpy())
    assert counters["stats"]["unique_graphs"] == 2


def test_compiling_hands_every_block_to_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def compiler(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        compiled.append(function)
        return lambda *args: torch.zeros_like(function(*args))

    monkeypatch.setattr(torch, "compile", compiler)
    model = randomised(tiny(depth=3))
    x, t, y = torch.randn(1, 4, 3, 4, 4), torch.tensor([500.0]), torch.randn(1, 1, 8, 32)
    model.compile_blocks()
    with torch.no_grad():
        out = model(x, t, y)
    assert len(compiled) == 6
    assert torch.equal(
        out[:, :, 0], out[:, :, 2]
    )  # what the blocks returned holds no difference between frames


def test_without_a_compiler_compiling_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingDependency, match=r"no-such-compiler.*export CXX"):
        STDiT3(tiny()).compile_blocks()


def test_odd_sizes_are_padded_and_cropped() -> None:
    out = randomised(tiny())(torch.randn(1, 4, 3, 5, 7), torch.tensor([500.0]), torch.randn(1, 1, 8, 32))
    assert out.shape == (1, 8, 3, 5, 7)


@torch.no_grad()
def test_text_mask_with_gaps_equals_the_kept_tokens() -> None:
    model = randomised(tiny())
    x, t, y = torch.randn(2, 4, 2, 4, 4), torch.tensor([300.0, 700.0]), torch.randn(2, 1, 8, 32)
    mask = torch.tensor([[0, 1, 0, 1, 0, 0, 1, 0], [1, 1, 1, 1, 1, 0, 0, 1]])
    out = model(x, t, y, mask)
    for i in range(2):
        alone = model(x[i : i + 1], t[i : i + 1], y[i : i + 1][:, :, mask[i].bool()])
        torch.testing.assert_close(out[i : i + 1], alone, rtol=0, atol=1e-5)


def test_text_mask_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="keeps no token"):
        STDiT3(tiny()).precompute_text(torch.randn(2, 1, 8, 32), torch.tensor([[1] * 8, [0] * 8]))


def test_missing_text_and_wrong_conditions_are_refused() -> None:
    model, x, t = STDiT3(tiny()), torch.randn(1, 4, 2, 4, 4), torch.tensor([500.0])
    y = torch.randn(1, 1, 8, 32)
    with pytest.raises(ValueError, match="caption"):
        model(x, t)
    with pytest.raises(ValueError, match="cond has 3 channels"):
        model(x, t, y, cond=torch.randn(1, 3, 2, 4, 4))
    with pytest.raises(ValueError, match="motion has 2"):
        model(x, t, y, motion=[torch.zeros(1, 2, 4, 16)] * 2)


@torch.no_grad()
def test_extra_condition_channels_reach_every_frame() -> None:
    model = randomised(tiny(cond_channels=4, pred_sigma=False))
    x, t, y = torch.randn(1, 4, 3, 4, 4), torch.tensor([500.0]), torch.randn(1, 1, 8, 32)
    first = torch.randn(1, 4, 1, 4, 4)
    out = model(x, t, y, cond=first)
    torch.testing.assert_close(out, model(x, t, y, cond=first.expand(-1, -1, 3, -1, -1)))
    moved = (model(x, t, y, cond=first + 1) - out).abs().amax(dim=(0, 1, 3, 4))
    assert (moved > 1e-4).all()


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix() -> None:
    model = randomised(tiny())
    x, t, y = torch.randn(2, 4, 3, 4, 4), torch.tensor([100.0, 900.0]), torch.randn(2, 1, 8, 32)
    both = model(x, t, y)
    torch.testing.assert_close(both[1:], model(x[1:], t[1:], y[1:]), rtol=0, atol=1e-5)


def test_window_positions_are_a_slice_of_the_whole_table() -> None:
    model = STDiT3(tiny(input_sq_size=64))
    x = torch.zeros(1, 4, 1, 16, 12)  # 8 x 6 tokens, 64 x 64 pixels: position scale 1
    whole = model._positions((1, 8, 6), x, 64.0, 64.0).view(8, 6, -1)
    origins = torch.tensor([[0, 0], [3, 2], [5, 3]])
    windows = model.window_positions(origins, (3, 2), (8, 6))
    assert windows.shape == (3, 1, 6, 48)
    for window, (row, column) in zip(windows, origins.tolist(), strict=True):
        assert torch.equal(window.view(3, 2, -1), whole[row : row + 3, column : column + 2])


@torch.no_grad()
def test_positions_replace_those_of_the_whole_picture() -> None:
    model = randomised(tiny(input_sq_size=32))
    x, t, y = torch.randn(2, 4, 3, 8, 8), torch.tensor([300.0, 700.0]), torch.randn(2, 1, 8, 32)
    whole = model.window_positions(torch.zeros(1, 2, dtype=torch.long), (4, 4), (4, 4))
    plain = model(x, t, y, height=32.0, width=32.0)
    assert torch.equal(model(x, t, y, positions=whole), plain)
    origins = torch.tensor([[1, 0], [2, 2]])
    places = model.window_positions(origins, (2, 2), (4, 4))
    both = model(x[..., :4, :4], t, y, positions=places)
    for i in range(2):
        alone = model(x[i : i + 1, :, :, :4, :4], t[i : i + 1], y[i : i + 1], positions=places[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], alone, rtol=0, atol=1e-5)
    assert not torch.allclose(both, model(x[..., :4, :4], t, y, positions=places.flip(0)), atol=1e-4)
