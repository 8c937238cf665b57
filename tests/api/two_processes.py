"""Two gloo processes score their part of the clips; what both then make of all of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import distributed

import toraeval

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

CLIPS = 5
SIZE = (32, 32)


def clip(number: int) -> dict[str, Any]:
    """Return what the metrics take of one made-up clip; the numbers of objects differ."""
    rng = np.random.default_rng(number)
    target = rng.uniform(2, 30, (1 + number % 2, 16, 2))
    truth = rng.integers(0, 256, (16, 3, 32, 32), dtype=np.uint8)
    noise = rng.integers(-20, 20, truth.shape)
    return {
        "tracks": [target + rng.normal(0, 1, target.shape)],
        "target": [target],
        "size": SIZE,
        "video": torch.from_numpy(np.clip(truth + noise, 0, 255).astype(np.uint8)),
        "reference": torch.from_numpy(truth),
        "prompt": f"a red circle and {number} squares",
    }


def collection() -> MetricCollection:
    from torchmetrics import MetricCollection  # takes seconds, which only whoever runs this should wait

    return MetricCollection(
        {
            "traj_error": toraeval.TrajErrorMetric(),
            "final": toraeval.TrajErrorMetric(reading="final_displacement_error"),
            "fvd": toraeval.FVDMetric(min_videos=4),
            "clipsim": toraeval.ClipSimMetric(max_frames=4),
            "lpips": toraeval.LPIPSMetric(max_frames=4),
        }
    )


def numbers(clips: list[int]) -> dict[str, float]:
    """Return what all processes together make of the clips, of which this one got these."""
    metrics = collection()
    for number in clips:
        metrics.update(**clip(number))
    return {name: float(value) for name, value in metrics.compute().items()}


def shared(folder: Path, rank: int) -> dict[str, dict[str, float]]:
    """Share the clips 3 to 2, then give all of them to process 0."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        return {
            "shared": numbers(list(range(CLIPS))[rank::2]),
            "one_has_none": numbers([] if rank else list(range(CLIPS))),
        }
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    place = Path(sys.argv[1])
    (place / "other.json").write_text(json.dumps(shared(place, 1)))
