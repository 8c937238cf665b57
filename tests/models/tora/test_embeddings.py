"""Embeddings against numbers recorded from Open-Sora v1.2.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.parity_data import FLOOR, allowance, read_arrays, sinusoid_floor
from toraeval.models.shared.network.attention import RMSNorm
from toraeval.models.shared.network.embeddings import (
    CaptionEmbedder,
    RotaryEmbedding,
    ScalarEmbedder,
    SizeEmbedder,
    position_table,
    rotate,
    sinusoid,
    tile_rows,
)

Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> Golden:
    return read_arrays(data_dir / "open_sora" / "embeddings_a.npz")


def close(actual: Tensor, expected: np.ndarray, arguments: np.ndarray | None = None) -> None:
    """Compare; `arguments` are those of a sinusoid, whose rounding grows with them."""
    floor = FLOOR if arguments is None else sinusoid_floor(arguments)
    atol = allowance(expected, floor=floor)
    torch.testing.assert_close(actual.detach(), torch.from_numpy(expected), rtol=0, atol=atol)


def weights(golden: Golden, prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): torch.from_numpy(v) for k, v in golden.items() if k.startswith(prefix)}


@pytest.mark.parametrize("width", [256, 64, 9])
def test_sinusoid(golden: Golden, width: int) -> None:
    times = golden["timestep/t"]
    close(sinusoid(torch.from_numpy(times), width), golden[f"timestep/emb_dim{width}"], times)


def test_timestep_network(golden: Golden) -> None:
    embedder = ScalarEmbedder(24)
    embedder.load_state_dict(weights(golden, "timestep_mlp/sd/"))
    close(embedder(torch.from_numpy(golden["timestep/t"])), golden["timestep_mlp/out"], golden["timestep/t"])


def test_size_network_tiles_whole_batches(golden: Golden) -> None:
    embedder = SizeEmbedder(24)
    embedder.load_state_dict(weights(golden, "size/sd/"))
    fps = torch.from_numpy(golden["size/fps"])
    close(embedder(fps, 4), golden["size/fps_emb"], golden["size/fps"])
    close(embedder(fps[:2], 4), golden["size/fps_emb_tiled"], golden["size/fps"])
    close(embedder(torch.from_numpy(golden["size/hw"]), 2), golden["size/hw_emb"], golden["size/hw"])


def test_rows_that_do_not_divide_the_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows"):
        tile_rows(torch.zeros(2, 3), 3)


@pytest.mark.parametrize("case", range(6))
def test_position_table(golden: Golden, case: int) -> None:
    meta = json.loads(str(golden[f"pos/{case}/meta"]))
    table = position_table(meta["dim"], meta["h"], meta["w"], meta["scale"], meta["base_size"])
    reach = max(meta["h"], meta["w"], meta["base_size"] or 0) / meta["scale"]
    close(table, golden[f"pos/{case}/emb"], np.array(reach))


@pytest.mark.parametrize("case", [0, 1])
def test_position_table_of_the_real_size(golden: Golden, case: int) -> None:
    meta = json.loads(str(golden["pos_cli/meta"]))[case]
    rows, columns = meta["grid"]
    scale = (meta["height"] * meta["width"]) ** 0.5 / 512
    table = position_table(meta["dim"], rows, columns, scale, round((rows * columns) ** 0.5))[0]
    close(
        table[[0, rows * columns // 2, -1]], golden[f"pos_cli/{case}"], np.array(max(rows, columns) / scale)
    )


@pytest.mark.parametrize("width", [12, 72])
def test_rotary_embedding(golden: Golden, width: int) -> None:
    rope = RotaryEmbedding(width)
    close(rope.freqs, golden[f"rope/{width}/freqs"])
    x = torch.from_numpy(golden[f"rope/{width}/x"])
    close(rotate(x, *rope.tables(x.shape[-2])), golden[f"rope/{width}/out"])


def test_rotary_tables_follow_weights_loaded_later() -> None:
    rope = RotaryEmbedding(8)
    before, _ = rope.tables(3)
    rope.load_state_dict({"freqs": torch.zeros(4)})
    after, _ = rope.tables(3)
    assert not torch.equal(before, after)
    assert torch.equal(after, torch.ones(3, 8))


def test_rms_norm(golden: Golden) -> None:
    norm = RMSNorm(12)
    norm.load_state_dict({"weight": torch.from_numpy(golden["rmsnorm/weight"])})
    close(norm(torch.from_numpy(golden["rmsnorm/x"])), golden["rmsnorm/out"])


def test_caption_dropout_swaps_in_the_null_caption() -> None:
    embedder = CaptionEmbedder(caption_channels=6, hidden_size=4, num_tokens=3)
    y = torch.randn(2, 1, 3, 6)
    dropped = embedder.drop(y, torch.tensor([False, True]))
    assert torch.equal(dropped[0], y[0])
    assert torch.equal(dropped[1:], embedder.null(1))
