"""The published size: keys, shapes and parameter count, and one pass through the whole network on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from toraeval.models.shared.network.config import xl2
from toraeval.models.shared.network.stdit import STDiT3

PARAMETERS = 1_207_643_972
MEMORY_LIMIT_GIB = 20.0

FORWARD = """
import json, time, torch
from benchmarks.machine import peak_memory_gib
from toraeval.models.shared.network.config import xl2
from toraeval.models.tora.network.model import ToraNetwork

torch.set_default_dtype(torch.bfloat16)
config = xl2(fuser="adaptive_norm")
with torch.device("meta"):
    model = ToraNetwork(config)
model.to_empty(device="cpu").eval()
generator = torch.Generator().manual_seed(0)
with torch.no_grad():
    for parameter in model.parameters():
        parameter.normal_(0, 0.02, generator=generator)
    for buffer in model.buffers():  # variances of the batch norms among them
        buffer.fill_(1)
    begin = time.perf_counter()
    motion = model.encode_motion(torch.randn(1, 4, 4, 64, 64))
    x, t, y = torch.randn(1, 4, 4, 64, 64), torch.tensor([700.0]), torch.randn(1, 1, 300, 4096)
    out = model(x, t, y, motion=motion)
    seconds = time.perf_counter() - begin
print(json.dumps({
    "shape": list(out.shape), "finite": bool(out.isfinite().all()), "spread": out.std().item(),
    "seconds": seconds, "peak_gib": peak_memory_gib(),
}))
"""


def test_keys_and_shapes_of_the_published_size(data_dir: Path) -> None:
    manifest = json.loads((data_dir / "open_sora" / "manifest_stdit3_xl2.json").read_text())
    with torch.device("meta"):
        model = STDiT3(xl2())
    expected = {}
    for name, shape in manifest["keys"].items():
        for index in range(manifest["repeats"].get(name.partition(".*.")[0], 1)):
            expected[name.replace("*", str(index))] = shape
    assert {k: list(v.shape) for k, v in model.state_dict().items()} == expected
    assert sum(p.numel() for p in model.parameters()) == manifest["param_count"] == PARAMETERS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_pass_at_16x512x512_fits_in_memory() -> None:
    done = subprocess.run([sys.executable, "-c", FORWARD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    print(seen)  # noqa: T201  (seconds and GiB, shown with -s)
    assert seen["shape"] == [1, 8, 4, 64, 64]
    assert seen["finite"]
    assert seen["spread"] > 0
    assert seen["peak_gib"] < MEMORY_LIMIT_GIB
