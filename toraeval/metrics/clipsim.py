"""CLIPSIM: how well the frames show what the caption says, in the common space of a picture and a text encoder.

Legend of the shape suffixes: T frames, C channels, H height, W width, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toraeval import assets
from toraeval.machine import one_thread
from toraeval.metrics.shared.base import BACKBONE, Found
from toraeval.metrics.shared.expectations import below
from toraeval.metrics.shared.frames import SHAPES_SIDE, Preparation, in_chunks
from toraeval.metrics.shared.networks import shipped
from toraeval.metrics.shared.networks.weight_sources import own_or_fetched, readable
from toraeval.metrics.shared.reference import FrameMetric, over_clip, spread_frames
from toraeval.optional import require
from toraeval.types import Case, FloatArray, Video

if TYPE_CHECKING:
    from torch import Tensor

# OpenAI CLIP, `clip/clip.py`: mean and standard deviation of the pictures it was trained on.
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
RECIPES = {
    "shapes": Preparation(SHAPES_SIDE, "squash", "bilinear", True),
    "clip_vit_b32": Preparation(224, "crop", "bicubic", True, _CLIP_MEAN, _CLIP_STD),
}
SOURCES = {
    "shapes": "toraeval, trained on the world `shapes`; toraeval.metrics.networks.dual_encoder",
    "clip_vit_b32": "openai/clip-vit-base-patch32, Radford et al., arXiv 2103.00020, through transformers",
}


@dataclass(frozen=True)
class EncodedCaption:
    """Unit vector of a caption (1, D), its number of tokens, and whether it was cut to what the encoder takes."""

    vector_1D: Tensor
    tokens: int
    truncated: bool


class ShapesEncoder:
    """The dual encoder that was trained on the world `shapes`."""

    def __init__(self, folder: Path | None, device: str) -> None:
        from toraeval.metrics.shared.networks import dual_encoder

        network = shipped.load("clip", folder)
        assert isinstance(network, dual_encoder.DualEncoder)
        self._network = network.to(device)
        self._device = device

    def caption(self, text: str) -> EncodedCaption:
        """Return what the text encoder makes of a caption."""
        from toraeval.metrics.shared.networks import dual_encoder

        count = len(dual_encoder.split_words(text))
        vector = self._network.caption(self._network.numbers(text).to(self._device))
        return EncodedCaption(vector, count, count > dual_encoder.MAX_WORDS)

    def frames(self, frames_TCHW: Tensor) -> Tensor:
        """Return unit vectors (T, D) of prepared frames."""
        out: Tensor = self._network.image(frames_TCHW)
        return out


class ClipEncoder:
    """CLIP through transformers, from a local folder; only its networks and its tokenizer are used.

    Raises:
        MissingDependency: transformers is absent.
        UserError: the folder holds no CLIP.
    """

    def __init__(self, folder: Path, device: str) -> None:
        transformers = require("transformers", "clipsim backbone=clip_vit_b32", "clip")
        files = [file for suffix in ("safetensors", "bin") for file in folder.glob(f"*.{suffix}")]
        fetch = f"run: {assets.fetch_command('clip_vit_b32')}"
        assets.require_numbers(files, "clipsim", fetch)
        with readable(f"clipsim: {folder} holds no CLIP that transformers can read", fetch):
            model = transformers.CLIPModel.from_pretrained(str(folder), local_files_only=True)
            self._tokenizer = transformers.CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        self._model = model.float().eval().requires_grad_(False).to(device)
        self._device = device
        self._limit = int(model.config.text_config.max_position_embeddings)

    def caption(self, text: str) -> EncodedCaption:
        """Return what the text encoder makes of a caption; beyond 77 tokens, start and end included, it is cut."""
        from torch.nn import functional as F

        count = len(self._tokenizer(text)["input_ids"])
        cut = self._tokenizer(text, truncation=True, max_length=self._limit, return_tensors="pt").to(
            self._device
        )
        pooled = self._model.text_model(**cut).pooler_output
        return EncodedCaption(
            F.normalize(self._model.text_projection(pooled), dim=-1), count, count > self._limit
        )

    def frames(self, frames_TCHW: Tensor) -> Tensor:
        """Return unit vectors (T, D) of prepared frames."""
        from torch.nn import functional as F

        pooled = self._model.vision_model(pixel_values=frames_TCHW).pooler_output
        return F.normalize(self._model.visual_projection(pooled), dim=-1)


class ClipSim(FrameMetric):
    """CLIPSIM: mean over frames of 100 times the cosine between the frame's and the caption's unit vectors.

        clipsim = mean over cases of mean over frames t of 100 cos(image(x_t), text(prompt))

    Higher is better; -100 to 100 (with CLIP ViT-B/32, fitting pictures score 24 to 32). The prompt is the case's own,
    not one that a model rewrote. At most `max_frames` frames are looked at, evenly spread, first and last included. The
    column names the backbone: `clipsim_clip_vit_b32` (the usual one; its text encoder takes 77 tokens, longer prompts
    are cut, `_truncated` then is 1) or `clipsim_shapes` (small network trained on the world `shapes`).

    A frozen video scores like a moving one: the score shows whether the right things are in the picture, never whether
    they follow a path. Smeared or dissolved objects lower it. Cases without a prompt are recorded skips.

    Source: GODIVA, Wu et al., arXiv 2104.14806.

    Args:
        backbone: `shapes` or `clip_vit_b32`.
        weights: the user's own file (`shapes`) or folder (`clip_vit_b32`); by default the shipped or fetched one.
        max_frames: most frames that are looked at.
        device: `cpu` or `cuda`.

    Raises:
        UserError: an option that cannot be.
    """

    name = "clipsim"
    version = "2"
    direction = "higher"
    units = "cosine x 100"
    value_range = "-100 to 100"
    formula = "mean_case mean_frame 100 cos(image(frame), text(prompt))"
    details = {"frames": "at most {max_frames}, evenly spread, first and last included"}
    columns = {
        f"clipsim_{BACKBONE}": "mean cosine between frames and prompt, times 100",
        f"clipsim_{BACKBONE}_tokens": "tokens of the prompt",
        f"clipsim_{BACKBONE}_truncated": "1 where the prompt is longer than the text encoder takes and was cut",
    }
    source = "GODIVA, arXiv 2104.14806"
    expected = {f"clipsim_{BACKBONE}": below("other_case", "vanished")}
    backbones = tuple(RECIPES)
    keyed = ("backbone", "prepare", "weights", "max_frames")
    one_frame = ""

    def __init__(
        self, backbone: str = "shapes", weights: str | None = None, max_frames: int = 32, device: str = "cpu"
    ) -> None:
        self.take(backbone=backbone, max_frames=max_frames, device=device)
        self.prepare = RECIPES[backbone]
        self.source = f"{ClipSim.source}; backbone: {SOURCES[backbone]}"
        self._own = Path(weights).expanduser() if weights else None

    @cached_property
    def weights(self) -> Any:
        if self.backbone == "shapes":
            return shipped.fingerprint("clip", self._own)
        files = sorted(file for file in self._folder().iterdir() if file.is_file())
        return assets.files_sha256(file for file in files if not file.name.startswith("."))

    def _folder(self) -> Path:
        return own_or_fetched(self.name, self._own, "clip_vit_b32", "a folder with CLIP ViT-B/32")

    @cached_property
    def _encoder(self) -> ShapesEncoder | ClipEncoder:
        if self.backbone == "shapes":
            return ShapesEncoder(self._own, self.device)
        return ClipEncoder(self._folder(), self.device)

    def measure(self, case: Case, video: Video) -> Found:
        """Return values, and array `clipsim_T`, NaN for frames that are not looked at."""
        import torch

        if not case.prompt.strip():
            return "the case has no prompt to compare with"
        chosen = spread_frames(0, video.num_frames, self.max_frames)
        encoder = self._encoder
        with one_thread(), torch.inference_mode():
            caption = encoder.caption(case.prompt)
            cosines = self._cosines(self.prepare.of(video, chosen), caption.vector_1D)
        per_frame = over_clip(video.num_frames, chosen, 100 * cosines)
        column = f"clipsim_{self.backbone}"
        values = {
            column: float(per_frame[chosen].mean()),
            f"{column}_tokens": float(caption.tokens),
            f"{column}_truncated": float(caption.truncated),
        }
        return values, {"clipsim_T": per_frame}

    def _cosines(self, frames_TCHW: Tensor, vector_1D: Tensor) -> FloatArray:
        import torch

        found = []
        for chunk, count in in_chunks(frames_TCHW):
            vectors = self._encoder.frames(chunk.to(self.device))
            found.append((vectors.double() @ vector_1D.double().T)[:count, 0])
        return np.asarray(torch.cat(found).cpu().numpy())
