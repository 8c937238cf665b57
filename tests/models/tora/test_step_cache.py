"""What a sampling run takes from its earlier steps: when, how much, and that it is off unless asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from toraeval.models.shared.network import blocks
from toraeval.models.shared.network.config import tiny
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.network.step_cache import PAB_STEPS, StepCache, joint_facts
from toraeval.models.tora.options import ToraOptions
from toraeval.types import UserError

TIMES = (1000.0, 900.0, 800.0, 700.0, 600.0, 300.0)


@pytest.fixture(scope="module")
def model() -> STDiT3:
    torch.manual_seed(0)
    network = STDiT3(tiny()).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


@torch.no_grad()
def outputs(model: STDiT3, cache: StepCache | None, times: tuple[float, ...] = TIMES) -> list[Tensor]:
    """The network's outputs at each of the time steps, on one input."""
    config = model.config
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(2, config.in_channels, 3, 8, 8, generator=draw)
    y = torch.randn(2, 1, 5, config.caption_channels, generator=draw)
    model.step_cache = cache
    try:
        return [model(x, torch.full((2,), time), y) for time in times]
    finally:
        model.step_cache = None


def test_a_threshold_never_reached_changes_nothing(model: STDiT3) -> None:
    cache = StepCache("teacache", len(TIMES), threshold=1e-9)
    for cached, plain in zip(outputs(model, cache), outputs(model, None), strict=True):
        torch.testing.assert_close(cached, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))
    assert joint_facts([cache]) == {"cache": "teacache", "steps_computed": len(TIMES), "steps_reused": 0}


def test_a_large_threshold_computes_the_first_and_the_last_step(model: STDiT3) -> None:
    cache = StepCache("teacache", len(TIMES), threshold=1e9)
    cached, plain = outputs(model, cache), outputs(model, None)
    assert (cache.computed, cache.reused) == (2, len(TIMES) - 2)
    for step in (0, len(TIMES) - 1):
        torch.testing.assert_close(
            cached[step], plain[step], rtol=1e-5, atol=1e-5 * float(plain[step].abs().max())
        )
    assert all(not torch.equal(cached[k], plain[k]) for k in range(1, len(TIMES) - 1))


def test_attention_is_kept_within_its_range_of_time_steps(model: STDiT3) -> None:
    cache = StepCache("pab", len(TIMES))
    cached, plain = outputs(model, cache), outputs(model, None)
    for step in (0, 1, 5):  # before the range, its first step, and after it
        torch.testing.assert_close(
            cached[step], plain[step], rtol=1e-5, atol=1e-5 * float(plain[step].abs().max())
        )
    assert not torch.equal(cached[2], plain[2])
    pairs, inside = model.config.depth, 4
    served = {kind: sum(k % every != 0 for k in range(inside)) for kind, every in PAB_STEPS.items()}
    assert cache.reused == pairs * (served["spatial"] + served["temporal"] + 2 * served["caption"])


def test_slices_keep_their_own_attention(model: STDiT3, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = outputs(model, StepCache("pab", len(TIMES)))
    monkeypatch.setitem(blocks.SLICE_BYTES, "cpu", 1)
    for sliced, expected in zip(outputs(model, StepCache("pab", len(TIMES))), whole, strict=True):
        torch.testing.assert_close(sliced, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_options_are_off_by_default_and_named_where_they_are_used() -> None:
    assert ToraOptions().caching() == {}
    assert ToraOptions().new_cache() is None
    assert ToraOptions(cache="teacache", cache_threshold=0.2).caching() == {
        "cache": "teacache",
        "cache_threshold": 0.2,
    }
    assert ToraOptions(size="xl2", cache="pab").caching() == {"cache": "pab"}
    assert joint_facts([]) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache": "tea"}, "cache=tea; allowed: none, teacache, pab"),
        ({"cache": "teacache", "cache_threshold": 0.0}, "cache_threshold=0.0; allowed: more than 0"),
        (
            {"size": "xl2", "cache": "pab", "compile": True},
            "cache=pab does not go together with compile=true",
        ),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ToraOptions(**options)  # type: ignore[arg-type]
