"""Driver for ali-vilab/Wan-Move; runs in its environment (Python 3.8 or newer), see `process/serve.py`.

Does what `generate.py` (27409be) does for one picture, with its class and settings and with the model kept loaded.
Tracks are shuffled there with PyTorch's global generator, which the program does not seed; here it is.
"""

from __future__ import annotations

import os
import random
import sys
from typing import Any

TASK, FRAMES = "wan-move-i2v", 81


def load(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build the model and load its weights; returns it with its settings, and facts for the record."""
    sys.path.insert(0, settings["checkout"])
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("Wan-Move needs a CUDA GPU, and torch " + torch.__version__ + " sees none")
    import wan  # type: ignore[import-not-found]
    from wan.configs import WAN_CONFIGS  # type: ignore[import-not-found]

    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    config = WAN_CONFIGS[TASK]
    config.param_dtype = dtypes[settings["dtype"]]
    model = wan.WanMove(
        config=config,
        checkpoint_dir=settings["checkpoint"],
        device_id=0,
        rank=0,
        t5_cpu=settings["t5_cpu"],
    )
    facts = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
        "negative_prompt": str(config.sample_neg_prompt),
        "fps": int(config.sample_fps),
    }
    return (model, settings), facts


def make(loaded: Any, job: dict[str, Any]) -> Any:
    """Return float32 (81, H, W, 3) from 0 to 1 for `first_frame.npy`, `tracks.npy` and `visibility.npy` of a job."""
    import numpy as np
    import torch
    from PIL import Image

    model, settings = loaded

    def given(name: str) -> Any:
        return np.load(os.path.join(job["folder"], name + ".npy"))

    random.seed(job["seed"])
    np.random.seed(job["seed"])
    torch.manual_seed(job["seed"])
    video = model.generate(
        job["prompt"],
        Image.fromarray(given("first_frame")),
        given("tracks"),
        given("visibility"),
        frame_num=FRAMES,
        shift=settings["shift"],
        sample_solver="unipc",
        sampling_steps=settings["steps"],
        guide_scale=settings["guidance"],
        seed=job["seed"],
        offload_model=settings["offload"],
        eval_bench=True,  # the picture's own size, not rounded again
    )
    frames = (video.float().clamp(-1, 1) + 1) / 2
    return frames.permute(1, 2, 3, 0).cpu().numpy()
