"""The sat checkpoint: names by rule, parts put where they belong, the sat code's recorded output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.parity_cogvideox import SAT
from benchmarks.parity_data import allowance
from toraeval.models.shared.weight_files import fill
from toraeval.models.tora_cogvideox.config import with_sat_norms
from toraeval.models.tora_cogvideox.sat import DROPPED, PREFIX, SatReader, TensorSource, source_of
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer, rotary_positions

pytest.importorskip("diffusers")
KEY_MAP = Path(__file__).parents[2] / "data" / "tora" / "sat_key_map_5b.json"
THIRDS = {"third q": (0,), "third k": (1,), "third v": (2,)}


def recorded_sources() -> tuple[dict[str, TensorSource], set[str]]:
    """The recorded map, spelled out: diffusers name -> source, and the names without one."""
    stored = json.loads(KEY_MAP.read_text())
    found: dict[str, TensorSource] = {}
    dropped: set[str] = set()
    for name, targets in stored["map"].items():
        for index in range(stored["repeats"].get(name.partition(".*.")[0], 1)):
            own = name.replace("*", str(index))
            for target in [targets] if isinstance(targets, str) else targets:
                key, _, rule = target.replace("*", str(index)).partition(" <- ")
                if key == "(dropped)":
                    dropped.add(own)
                elif rule in THIRDS:
                    found[key] = TensorSource(own, THIRDS[rule], 3)
                elif rule:
                    parts = rule.removeprefix("chunks ").removesuffix(" of 12").split(",")
                    found[key] = TensorSource(own, tuple(int(p) for p in parts), 12)
                else:
                    found[key] = TensorSource(own)
    return found, dropped


def test_rules_give_the_recorded_map_of_all_42_layers(published: Callable[[str], dict[str, Any]]) -> None:
    expected, dropped = recorded_sources()
    names = [name for name in published("i2v") if name]
    assert len(expected) == 2623
    assert {name: source_of(name) for name in names} == expected
    assert all((PREFIX + name).startswith(DROPPED) for name in dropped)
    assert not any((PREFIX + source.name).startswith(DROPPED) for source in expected.values())


def test_parts_come_in_the_stated_order() -> None:
    stored = torch.arange(12.0)[:, None].expand(12, 2)
    taken = TensorSource("x", (3, 4, 5, 9, 10, 11), 12).take(stored)
    assert taken[:, 0].tolist() == [3, 4, 5, 9, 10, 11]
    assert TensorSource("x", (1,), 3).take(stored)[:, 0].tolist() == [4, 5, 6, 7]
    assert TensorSource("x", (1,), 3).shape((12, 2)) == (4, 2)
    assert TensorSource("x", (1,), 3).shape((13, 2)) == (13, 2)


def test_output_is_that_of_the_sat_code(recorded: Callable[[str], Any], tmp_path: Path) -> None:
    golden = recorded("tora_sat_tiny_a")
    config = with_sat_norms(golden.config())
    file = tmp_path / "mp_rank_00_model_states.pt"
    torch.save({"module": golden.state(), "iteration": 3}, file)
    with torch.device("meta"):
        model = ToraCogVideoXTransformer(config)
    fill(model, SatReader(file, model.state_dict(), "tora_cogvideox", "fetch it"))
    model.eval()
    latents = golden["case0/latents"]
    rotary = rotary_positions(config, latents.shape[1], *latents.shape[3:])
    with torch.no_grad():
        motion = model.encode_motion(golden["case0/flow_latents"])
        for features, name in ((motion, "out"), (None, "out_without_flow")):
            out = model(latents, golden["case0/text"], golden["case0/timestep"], features, rotary)
            expected = golden[f"case0/{name}"]
            torch.testing.assert_close(out, expected, rtol=0, atol=allowance(expected, SAT))


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="strange"):
        source_of("strange.weight")
    with pytest.raises(KeyError, match=r"transformer_blocks\.3\.norm3"):
        source_of("transformer_blocks.3.norm3.weight")
