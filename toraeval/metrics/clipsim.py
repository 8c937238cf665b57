"""CLIPSIM: how well the frames show what the caption says, in the common space of a picture and a text encoder.

Legend of the shape suffixes: T frames, C channels, H height, W width, D features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from toraeval import assets
from toraeval.metrics.shared.areas import check_video
from toraeval.metrics.shared.frames import Preparation, in_chunks
from toraeval.metrics.shared.networks import dual_encoder, shipped
from toraeval.metrics.shared.paths import NO_VIDEO, definition_of
from toraeval.metrics.shared.reference import spread_frames
from toraeval.optional import require
from toraeval.threads import one_thread
from toraeval.types import Case, FloatArray, MissingAsset, Score, Tracks, UserError, Video

# OpenAI CLIP, `clip/clip.py`: mean and standard deviation of the pictures it was trained on.
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
RECIPES = {
    "shapes": Preparation(dual_encoder.SIDE, "squash", "bilinear", True),
    "clip_vit_b32": Preparation(224, "crop", "bicubic", True, _CLIP_MEAN, _CLIP_STD),
}
SOURCES = {
    "shapes": "toraeval, trained on the world `shapes`; toraeval.metrics.networks.dual_encoder",
    "clip_vit_b32": "openai/clip-vit-base-patch32, Radford et al., arXiv 2103.00020, through transformers",
}


@dataclass(frozen=True)
class Caption:
    """Unit vector of a caption (1, D), its number of tokens, and whether it was cut to what the encoder takes."""

    vector_1D: Tensor
    tokens: int
    truncated: bool


class ShapesEncoder:
    """The dual encoder that was trained on the world `shapes`."""

    def __init__(self, folder: Path | None, device: str) -> None:
        network = shipped.load("clip", folder)
        assert isinstance(network, dual_encoder.DualEncoder)
        self._network = network.to(device)
        self._device = device

    def caption(self, text: str) -> Caption:
        """Return what the text encoder makes of a caption."""
        count = len(dual_encoder.split_words(text))
        vector = self._network.caption(self._network.numbers(text).to(self._device))
        return Caption(vector, count, count > dual_encoder.MAX_WORDS)

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
        assets.require_numbers(files, "clipsim", f"run: {assets.fetch_command('clip_vit_b32')}")
        try:
            model = transformers.CLIPModel.from_pretrained(str(folder), local_files_only=True)
            self._tokenizer = transformers.CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise UserError(
                f"clipsim: {folder} holds no CLIP that transformers can read ({' '.join(str(error).split())[:200]}); "
                f"run: {assets.fetch_command('clip_vit_b32')}"
            ) from error
        self._model = model.float().eval().requires_grad_(False).to(device)
        self._device = device
        self._limit = int(model.config.text_config.max_position_embeddings)

    def caption(self, text: str) -> Caption:
        """Return what the text encoder makes of a caption; beyond 77 tokens, start and end included, it is cut."""
        count = len(self._tokenizer(text)["input_ids"])
        cut = self._tokenizer(text, truncation=True, max_length=self._limit, return_tensors="pt").to(
            self._device
        )
        pooled = self._model.text_model(**cut).pooler_output
        return Caption(F.normalize(self._model.text_projection(pooled), dim=-1), count, count > self._limit)

    def frames(self, frames_TCHW: Tensor) -> Tensor:
        """Return unit vectors (T, D) of prepared frames."""
        pooled = self._model.vision_model(pixel_values=frames_TCHW).pooler_output
        return F.normalize(self._model.visual_projection(pooled), dim=-1)


class ClipSim:
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

    name: ClassVar[str] = "clipsim"
    version: ClassVar[str] = "2"
    direction: ClassVar[str] = "higher"
    units: ClassVar[str] = "cosine x 100"
    needs_video: ClassVar[bool] = True

    def __init__(
        self, backbone: str = "shapes", weights: str | None = None, max_frames: int = 32, device: str = "cpu"
    ) -> None:
        if backbone not in RECIPES:
            raise UserError(f"clipsim: backbone={backbone}; allowed: {', '.join(RECIPES)}")
        if max_frames < 1:
            raise UserError(f"clipsim: max_frames={max_frames}; allowed: whole numbers >= 1")
        if device not in ("cpu", "cuda"):
            raise UserError(f"clipsim: device={device}; allowed: cpu, cuda")
        self.backbone, self.max_frames, self.device = backbone, max_frames, device
        self._weights = Path(weights).expanduser() if weights else None
        self._encoder: ShapesEncoder | ClipEncoder | None = None

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a value.

        Raises:
            MissingAsset: no weights.
        """
        return {
            "metric": self.name,
            "version": self.version,
            "backbone": self.backbone,
            "prepare": asdict(RECIPES[self.backbone]),
            "weights": self._weights_identity,
            "max_frames": self.max_frames,
        }

    @cached_property
    def _weights_identity(self) -> Any:
        if self.backbone == "shapes":
            return shipped.fingerprint("clip", self._weights)
        files = sorted(file for file in self._folder().iterdir() if file.is_file())
        return assets.files_sha256(file for file in files if not file.name.startswith("."))

    def _folder(self) -> Path:
        if self._weights is None:
            return assets.path("clip_vit_b32")
        if not self._weights.is_dir():
            raise MissingAsset(
                f"clipsim: weights={self._weights} is no folder; allowed: a folder with CLIP ViT-B/32"
            )
        return self._weights

    def score(self, case: Case, tracks: Tracks | None, video: Video | None) -> Score:
        """Score one case; arrays: `clipsim_T`, NaN for frames that are not looked at.

        Raises:
            MissingAsset: no weights, or transformers is absent.
            UserError: the video does not fit the case.
        """
        if video is None:
            return Score(self.name, self.version, skipped=NO_VIDEO)
        check_video(self.name, case, video)
        if not case.prompt.strip():
            return Score(self.name, self.version, skipped="the case has no prompt to compare with")
        if self._encoder is None:
            own = self.backbone == "shapes"
            self._encoder = (
                ShapesEncoder(self._weights, self.device) if own else ClipEncoder(self._folder(), self.device)
            )
        chosen = spread_frames(0, video.num_frames, self.max_frames)
        with one_thread(), torch.inference_mode():
            caption = self._encoder.caption(case.prompt)
            cosines = self._cosines(RECIPES[self.backbone](video.frames_TCHW[chosen]), caption.vector_1D)
        per_frame = np.full(video.num_frames, np.nan)
        per_frame[chosen] = 100 * cosines
        column = f"clipsim_{self.backbone}"
        values = {
            column: float(per_frame[chosen].mean()),
            f"{column}_tokens": float(caption.tokens),
            f"{column}_truncated": float(caption.truncated),
        }
        return Score(self.name, self.version, values, {"clipsim_T": per_frame})

    def _cosines(self, frames_TCHW: Tensor, vector_1D: Tensor) -> FloatArray:
        assert self._encoder is not None
        found = []
        for chunk, count in in_chunks(frames_TCHW):
            vectors = self._encoder.frames(chunk.to(self.device))
            found.append((vectors.double() @ vector_1D.double().T)[:count, 0])
        return np.asarray(torch.cat(found).cpu().numpy())

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON-serialisable data."""
        column = f"clipsim_{self.backbone}"
        return definition_of(
            self,
            formula="mean_case mean_frame 100 cos(image(frame), text(prompt))",
            value_range="-100 to 100",
            columns={
                column: "mean cosine between frames and prompt, times 100",
                f"{column}_tokens": "tokens of the prompt",
                f"{column}_truncated": "1 where the prompt is longer than the text encoder takes and was cut",
            },
            source="GODIVA, arXiv 2104.14806; backbone: " + SOURCES[self.backbone],
            pooling="frames of a case, then cases, with equal weight",
            frames=f"at most {self.max_frames}, evenly spread, first and last included",
        )
