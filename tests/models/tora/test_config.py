"""Sizes and options of the diffusion transformer."""

from __future__ import annotations

import pytest

from toraeval.models.shared.network.config import STDiTConfig, nano, xl2
from toraeval.models.tora.options import SIZES


def test_upstream_options_are_read() -> None:
    options = {"input_size": [None, None, None], "hidden_size": 48, "num_heads": 4, "patch_size": [1, 2, 2]}
    config = STDiTConfig.from_upstream({**options, "class_dropout_prob": 0.1})
    assert (config.hidden_size, config.head_dim, config.patch_size) == (48, 12, (1, 2, 2))


def test_unknown_upstream_option_is_named() -> None:
    with pytest.raises(ValueError, match="hiden_size"):
        STDiTConfig.from_upstream({"hiden_size": 48})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 7}, "num_heads 7"),
        ({"hidden_size": 6, "num_heads": 1}, "multiple of 4"),
        ({"hidden_size": 12, "num_heads": 4}, "odd"),
        ({"fuser": "magic"}, "magic"),
        ({"fuser_site": "nowhere"}, "nowhere"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STDiTConfig(**changes)  # type: ignore[arg-type]


def test_named_sizes() -> None:
    assert xl2().out_channels == 8
    assert nano().out_channels == nano().in_channels
    assert nano(depth=2).depth == 2
    assert set(SIZES) == {"xl2", "nano", "tiny"}
