"""Record the tiny networks of `tests/data` anew with the upstream code, in few bytes.

    python -m tests.record --open-sora ~/Open-Sora --tora ~/Tora --colours .../torchvision/utils.py

The checkouts are those that tests/data/*/SOURCE.md name; the last is the file of torchvision that holds
`flow_to_image`. Weights and inputs come from the recordings that stand here. First upstream's code must give again
what is recorded, to 1e-6. Then weights and inputs are rounded (matrices to a few levels, inputs to bfloat16), so that
they are stored exactly in few bytes, and the outputs are recorded anew: final ones as float32, values from within a
network as float16, for which `benchmarks.parity_data.allowance` widens by the rounding of float16. Flow that is smooth
is kept at fewer places.
Needs einops, rotary-embedding-torch and diffusers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.parity_data import Recording, allowance, difference
from tests.record import flow, open_sora, tora
from tests.record.rounding import Arrays, save

DATA = Path(__file__).parents[1] / "data"


def check(name: str, old: Recording, new: Arrays) -> None:
    """Check that upstream's code, given what was recorded, gives what was recorded.

    Raises:
        SystemExit: it does not.
    """
    for key in new.keys() & old.arrays.keys():
        expected = old.arrays[key]
        if expected.dtype.kind in "fiu" and not key.startswith("sd/"):
            apart = difference(np.asarray(new[key]), expected)
            if not apart <= allowance(expected, 5e-6 if "stdit3" in name else 1e-6, 2e-6):
                raise SystemExit(f"{name}: upstream's code is {apart:.2e} from the recorded {key}")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("open-sora", "tora", "colours"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    sys.path.insert(0, str(args.tora / "diffusers-version"))
    recorders: dict[str, tuple[int, Callable[[Path, int], Arrays]]] = {
        "open_sora/stdit3_tiny_a": (3, lambda f, n: open_sora.stdit(f, args.open_sora, n)),
        "open_sora/vae_spatial_tiny_a": (3, open_sora.spatial_autoencoder),
        "open_sora/vae_temporal_tiny_a": (
            1,
            lambda f, n: open_sora.temporal_autoencoder(f, args.open_sora, n),
        ),
        "tora/tora_cogvideox_exact128_a": (1, tora.cogvideox),
        "tora/tora_cogvideox_tiny_a": (3, tora.cogvideox),
        "tora/tora_sat_tiny_a": (3, tora.cogvideox),
        "tora/pipeline_tiny_a": (3, tora.pipeline),
        "tora/traj_extractor_tiny_a": (7, tora.extractor),
        "tora/sparse_sampling_a": (7, lambda f, n: flow.training_flow(f, args.tora, args.colours, n)),
        "tora/motionctrl_flow_a": (7, flow.fewer_places),
        "tora/traj_flow_a": (7, flow.fewer_places),
    }
    for name, (levels, record) in recorders.items():
        if args.only and args.only not in name:
            continue
        file = DATA / f"{name}.npz"
        check(name, Recording(file), record(file, 0))
        before = file.stat().st_size
        arrays = record(file, levels)
        save(file, {k: v.numpy() if isinstance(v, Tensor) else v for k, v in arrays.items()})
        sys.stdout.write(f"{name}: {before} -> {file.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
