"""Driver for TencentARC/MotionCtrl, branch main; runs in its environment (Python 3.8 or newer), see `process/serve.py`.

Does what `main/evaluation/motionctrl_inference.py` (6242d55) does for `--condtype object_motion`, with its functions,
for one prompt and one trajectory at a time and with the model kept loaded.
"""

from __future__ import annotations

import os
import sys
from typing import Any

CONFIG = "configs/inference/config_both.yaml"
SIDE = 256


def load(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build the model and load its weights; returns it with its settings, and facts for the record."""
    path = list(sys.path)
    sys.path.insert(0, settings["checkout"])
    import main.evaluation.motionctrl_inference as upstream  # type: ignore[import-not-found]
    import torch
    from omegaconf import OmegaConf

    sys.path[:] = [settings["checkout"], *path]  # the script adds a folder outside the checkout
    if not torch.cuda.is_available():
        raise RuntimeError("MotionCtrl needs a CUDA GPU, and torch " + torch.__version__ + " sees none")
    config: Any = OmegaConf.load(os.path.join(settings["checkout"], CONFIG))
    model = upstream.instantiate_from_config(config["model"]).cuda()
    model = upstream.load_model_checkpoint(model, settings["checkpoint"])
    model.eval()
    facts = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
        "prompt_suffix": ", " + upstream.post_prompt,
        "negative_prompt": upstream.DEFAULT_NEGATIVE_PROMPT,
        "frames": int(model.temporal_length),
    }
    return (upstream, model, settings), facts


def make(loaded: Any, job: dict[str, Any]) -> Any:
    """Return float32 (16, 256, 256, 3) from 0 to 1 for the prompt and `flow.npy` (16, 256, 256, 2) of a job."""
    import numpy as np
    import torch
    from pytorch_lightning import seed_everything  # type: ignore[import-not-found]

    upstream, model, settings = loaded
    seed_everything(job["seed"])
    flow_THW2 = np.load(os.path.join(job["folder"], "flow.npy"))
    flow_BCTHW = torch.from_numpy(flow_THW2).permute(3, 0, 1, 2).float()[None].cuda()
    with torch.no_grad():
        video = upstream.motionctrl_sample(
            model,
            [job["prompt"]],
            [1, model.channels, model.temporal_length, SIDE // 8, SIDE // 8],
            trajs=flow_BCTHW,
            n_samples=1,
            unconditional_guidance_scale=settings["guidance"],
            ddim_steps=settings["steps"],
            ddim_eta=settings["eta"],
            cond_T=settings["cond_t"],
        )
    frames = (video[0, 0].float().clamp(-1, 1) + 1) / 2
    return frames.permute(1, 2, 3, 0).cpu().numpy()
