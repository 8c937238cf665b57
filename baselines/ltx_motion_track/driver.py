"""Driver for Lightricks/LTX-2; runs in its environment (Python 3.10 or newer), see `process/serve.py`.

Does what `python -m ltx_pipelines.ic_lora` (400fd31) does for one prompt, with its own reading of the command line and
with the pipeline kept. The guide video is handed over as pixels: a video file would blur its small discs.
"""

from __future__ import annotations

import os
import sys
from typing import Any

CHECKPOINT = "ltx-2.3-22b-distilled-1.1.safetensors"
UPSAMPLER = "ltx-2.3-spatial-upscaler-x2-1.1.safetensors"
LORA = "ltx-2.3-22b-ic-lora-motion-track-control-ref0.5.safetensors"
GEMMA = "gemma"
GUIDE = "guide.npy"


def load(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build the pipeline; returns it with its settings, and facts for the record."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("LTX-2.3 needs a CUDA GPU, and torch " + torch.__version__ + " sees none")
    from ltx_pipelines import ic_lora, iclora_utils  # type: ignore[import-not-found]

    words = command_line(settings)
    for word in words:
        if word.startswith(settings["checkpoint"]) and not os.path.exists(word):
            raise FileNotFoundError(word)
    args = _read(ic_lora, words)
    iclora_utils.decode_video_by_frame = frames_of
    pipeline = ic_lora.ICLoraPipeline(
        model_paths=args.model_paths,
        spatial_upsampler_path=args.spatial_upsampler_path,
        loras=tuple(args.lora),
        quantization=args.quantization,
        offload_mode=args.offload_mode,
    )
    facts = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
        "reference_downscale_factor": int(pipeline.reference_downscale_factor),
        "reference_temporal_scale_factor": int(pipeline.reference_temporal_scale_factor),
    }
    return (pipeline, settings), facts


def make(loaded: Any, job: dict[str, Any]) -> Any:
    """Return uint8 (T, H, W, 3) for `first_frame.npy` and `guide.npy` of a job."""
    import numpy as np
    import torch
    from ltx_pipelines.utils.args import ImageConditioningInput  # type: ignore[import-not-found]
    from PIL import Image

    pipeline, settings = loaded
    guide = os.path.join(job["folder"], GUIDE)
    frames = len(np.load(guide, mmap_mode="r"))
    first = np.load(os.path.join(job["folder"], "first_frame.npy"))
    height, width = first.shape[:2]
    picture = os.path.join(job["folder"], "first_frame.png")
    Image.fromarray(first).save(picture)
    torch.manual_seed(job["seed"])
    with torch.inference_mode():
        chunks, _, _ = pipeline(
            prompt=job["prompt"],
            seed=job["seed"],
            height=height,
            width=width,
            num_frames=frames,
            frame_rate=float(job["fps"]),
            images=[ImageConditioningInput(picture, 0, 1.0)],
            video_conditioning=[(guide, 1.0)],
            conditioning_attention_strength=settings["guide_strength"],
        )
        return torch.cat([_bytes(chunk) for chunk in chunks]).numpy()


def _bytes(chunk: Any) -> Any:
    """Return pixels from 0 to 1 as whole ones, by truncation; a whole clip of floats would take gigabytes."""
    import torch

    if not torch.isfinite(chunk).all():
        raise RuntimeError("the frames hold NaN or infinity")
    return (chunk.float().clamp(0, 1) * 255).to(torch.uint8).cpu()


def command_line(settings: dict[str, Any]) -> list[str]:
    """Return the words after `python -m ltx_pipelines.ic_lora` that choose the weights and how they are kept."""

    def place(name: str) -> str:
        return os.path.join(settings["checkpoint"], name)

    words = ["--distilled-checkpoint-path", place(CHECKPOINT), "--gemma-root", place(GEMMA)]
    words += ["--spatial-upsampler-path", place(UPSAMPLER), "--lora", place(LORA), "1.0"]
    words += ["--prompt", "none", "--output-path", os.devnull, "--offload", settings["offload"]]
    if settings["quantization"] != "none":
        words += ["--quantization", settings["quantization"]]
    return words


def frames_of(path: str, device: Any, starting_frame: int = 0, frame_cap: Any = None) -> Any:
    """Yield the frames of an array file as the pipeline's own reader yields those of a video: uint8 (1, H, W, 3)."""
    import numpy as np
    import torch

    video = np.load(path)[starting_frame:]
    for frame in video[:frame_cap]:
        yield torch.from_numpy(frame.copy()).to(device)[None]


def _read(ic_lora: Any, words: list[str]) -> Any:
    before, sys.argv = sys.argv, ["ic_lora", *words]
    try:
        params = ic_lora.resolve_cli_params(distilled=True)
        return ic_lora.default_2_stage_distilled_arg_parser(params=params).parse_args()
    finally:
        sys.argv = before
