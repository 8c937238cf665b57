"""Driver for bytedance/ATI; runs in its environment (Python 3.8 or newer), see `process/serve.py`.

Does what `generate.py` (168b443) does for one line of its list, with its functions and with the model kept loaded.
"""

from __future__ import annotations

import os
import random
import sys
from typing import Any

TASK, FRAMES = "ati-14B", 81
ROUNDING = 1e-9  # the program takes a square root of this area and cuts it to whole blocks


def load(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build the model and load its weights; returns it with its settings, and facts for the record."""
    sys.path.insert(0, settings["checkout"])
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("ATI needs a CUDA GPU, and torch " + torch.__version__ + " sees none")
    import wan  # type: ignore[import-not-found]
    from wan.configs import WAN_CONFIGS  # type: ignore[import-not-found]

    config = WAN_CONFIGS[TASK]
    model = wan.WanATI(
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
    """Return float32 (81, H, W, 3) from 0 to 1 for `first_frame.npy` and `samples.npy` of a job."""
    import numpy as np
    import torch
    from PIL import Image
    from wan.utils.motion import process_tracks  # type: ignore[import-not-found]

    model, settings = loaded
    picture = np.load(os.path.join(job["folder"], "first_frame.npy"))
    height, width = picture.shape[:2]
    samples = np.load(os.path.join(job["folder"], "samples.npy"))
    random.seed(job["seed"])
    np.random.seed(job["seed"])
    torch.manual_seed(job["seed"])
    video = model.generate(
        job["prompt"],
        Image.fromarray(picture),
        process_tracks(samples, (width, height)),
        max_area=height * width * (1 + ROUNDING),
        frame_num=FRAMES,
        shift=settings["shift"],
        sample_solver="unipc",
        sampling_steps=settings["steps"],
        guide_scale=settings["guidance"],
        seed=job["seed"],
        offload_model=settings["offload"],
    )
    frames = (video.float().clamp(-1, 1) + 1) / 2
    return frames.permute(1, 2, 3, 0).cpu().numpy()
