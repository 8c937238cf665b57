"""Driver for aigc-apps/VideoX-Fun; runs in its environment (Python 3.10 or newer), see `process/serve.py`.

Does what `examples/wan2.1_fun/predict_v2v_control.py` (804a425) does with a control video and a first frame, with its
classes, sampler "Flow" and negative prompt, in bfloat16, and with the model kept loaded.
"""

from __future__ import annotations

import ast
import os
import sys
from typing import Any

SCRIPT = "examples/wan2.1_fun/predict_v2v_control.py"
CONFIG = "config/wan2.1/wan_civitai.yaml"
SAME_NAME = "Wan2.1-Fun-V1.1-1.3B-Control"  # the step cache picks its coefficients by the folder's name
SKIPPED_STEPS = 5


def load(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build the pipeline and load its weights; returns it with its settings, and facts for the record."""
    sys.path.insert(0, settings["checkout"])
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("Wan-Fun needs a CUDA GPU, and torch " + torch.__version__ + " sees none")
    pipeline = _pipeline(settings)
    negative = written(os.path.join(settings["checkout"], SCRIPT), "negative_prompt")
    facts = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
        "negative_prompt": negative,
    }
    return (pipeline, {**settings, "negative_prompt": negative}), facts


def make(loaded: Any, job: dict[str, Any]) -> Any:
    """Return float32 (T, H, W, 3) from 0 to 1 for `control.npy` and, where it is there, `first_frame.npy` of a job."""
    import numpy as np
    import torch
    from PIL import Image

    pipeline, settings = loaded
    control = np.load(os.path.join(job["folder"], "control.npy"))
    frames, height, width = control.shape[:3]
    picture = os.path.join(job["folder"], "first_frame.npy")
    first = Image.fromarray(np.load(picture)) if os.path.exists(picture) else None
    start = None if first is None else _video(np.asarray(first)[None])
    if settings["teacache"]:
        pipeline.transformer.teacache.reset()  # a clip that failed half-way leaves it in the middle
    torch.manual_seed(job["seed"])
    with torch.no_grad():
        made = pipeline(
            job["prompt"],
            num_frames=frames,
            negative_prompt=settings["negative_prompt"],
            height=height,
            width=width,
            generator=torch.Generator(device="cuda").manual_seed(job["seed"]),
            guidance_scale=settings["guidance"],
            num_inference_steps=settings["steps"],
            control_video=_video(control),
            start_image=start,
            clip_image=first,
        ).videos
    return made[0].permute(1, 2, 3, 0).float().clamp(0, 1).cpu().numpy()


def written(path: str, name: str) -> str:
    """Return the text that a script assigns to a name."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path)
    for node in tree.body:
        named = isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets]
        if named == [name]:
            return str(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    raise RuntimeError(path + " assigns no " + name)


def _video(frames_THWC: Any) -> Any:
    """Return float (1, 3, T, H, W) from 0 to 1."""
    import torch

    return torch.from_numpy(frames_THWC.copy()).permute(3, 0, 1, 2)[None] / 255


def _pipeline(settings: dict[str, Any]) -> Any:
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler  # type: ignore[import-not-found,unused-ignore]
    from omegaconf import OmegaConf
    from videox_fun.models import (  # type: ignore[import-not-found]
        AutoencoderKLWan,
        AutoTokenizer,
        CLIPModel,
        WanT5EncoderModel,
        WanTransformer3DModel,
    )
    from videox_fun.models.cache_utils import get_teacache_coefficients  # type: ignore[import-not-found]
    from videox_fun.pipeline import WanFunControlPipeline  # type: ignore[import-not-found]
    from videox_fun.utils.fp8_optimization import (  # type: ignore[import-not-found]
        replace_parameters_by_name,
    )
    from videox_fun.utils.utils import filter_kwargs  # type: ignore[import-not-found]

    config: Any = OmegaConf.to_container(
        OmegaConf.load(os.path.join(settings["checkout"], CONFIG)), resolve=True
    )

    def place(part: str, key: str, default: str) -> str:
        return os.path.join(settings["checkpoint"], config[part].get(key, default))

    dtype = torch.bfloat16
    transformer = WanTransformer3DModel.from_pretrained(
        place("transformer_additional_kwargs", "transformer_subpath", "transformer"),
        transformer_additional_kwargs=config["transformer_additional_kwargs"],
        low_cpu_mem_usage=True,
        torch_dtype=dtype,
    )
    text_encoder = WanT5EncoderModel.from_pretrained(
        place("text_encoder_kwargs", "text_encoder_subpath", "text_encoder"),
        additional_kwargs=config["text_encoder_kwargs"],
        low_cpu_mem_usage=True,
        torch_dtype=dtype,
    )
    vae = AutoencoderKLWan.from_pretrained(
        place("vae_kwargs", "vae_subpath", "vae"), additional_kwargs=config["vae_kwargs"]
    )
    clip = CLIPModel.from_pretrained(place("image_encoder_kwargs", "image_encoder_subpath", "image_encoder"))
    scheduler = FlowMatchEulerDiscreteScheduler(
        **filter_kwargs(FlowMatchEulerDiscreteScheduler, config["scheduler_kwargs"])
    )
    pipeline = WanFunControlPipeline(
        transformer=transformer,
        vae=vae.to(dtype),
        tokenizer=AutoTokenizer.from_pretrained(
            place("text_encoder_kwargs", "tokenizer_subpath", "tokenizer")
        ),
        text_encoder=text_encoder.eval(),
        scheduler=scheduler,
        clip_image_encoder=clip.to(dtype).eval(),
    )
    if settings["memory"] == "sequential_cpu_offload":
        replace_parameters_by_name(transformer, ["modulation"], device="cuda")
        transformer.freqs = transformer.freqs.to(device="cuda")
        pipeline.enable_sequential_cpu_offload(device="cuda")
    elif settings["memory"] == "model_cpu_offload":
        pipeline.enable_model_cpu_offload(device="cuda")
    else:
        pipeline.to(device="cuda")
    if settings["teacache"]:
        transformer.enable_teacache(
            get_teacache_coefficients(SAME_NAME),
            settings["steps"],
            settings["teacache"],
            num_skip_start_steps=min(SKIPPED_STEPS, settings["steps"]),
            offload=False,
        )
    return pipeline
