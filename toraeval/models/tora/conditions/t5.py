"""Caption features of the T5 encoder: cached on disk, computed only for captions not seen before.

Open-Sora v1.2 feeds its transformer the last hidden state of T5 v1.1 XXL (`DeepFloyd/t5-v1_1-xxl`, encoder only)
for captions padded or cut to 300 tokens, with the attention mask given to both. CogVideoX uses the same encoder
with 226 tokens and no mask. The encoder is several times larger than the video model, so it is loaded only for
captions missing in the cache and given back before sampling.

Legend: B captions, L tokens, D width of the encoder (4096 for XXL).
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from toraeval import assets
from toraeval.allowed import Numbers, check_option
from toraeval.models.shared.sampling_options import PRECISIONS, dtype_of
from toraeval.models.shared.weight_files import StateReader, read_safetensors, write_safetensors
from toraeval.optional import require
from toraeval.store import keys
from toraeval.types import MissingAsset, UserError, one_line

FETCH = "python -m toraeval fetch t5_v1_1_xxl"
TOKENIZER_FILES = ("spiece.model", "tokenizer.json")
WHAT = "T5 encoder"


class Captioner(Protocol):
    """What turns captions into features; see `T5Captions`."""

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return features [B,1,L,D] and int64 mask [B,L]."""
        ...

    def release(self) -> None:
        """Give memory back."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the features."""
        ...


def encode_ahead(captioner: Captioner, captions: Iterable[str]) -> None:
    """Let a caption encoder with a cache compute all features of a run while it is in memory, then give it back."""
    try:
        for caption in sorted(set(captions)):
            captioner.encode([caption])
    finally:
        captioner.release()


class T5Captions:
    """Turns captions into T5 features.

    Args:
        path: folder with config.json, weights and tokenizer, or with these in `text_encoder/` and `tokenizer/`.
        max_length: tokens per caption; longer captions are cut, shorter ones padded.
        device: where the encoder runs and where the features go.
        precision: `bf16` or `fp32`, of the encoder and of its features; T5 overflows in fp16.
        cache: folder of computed features, or None to keep none.
        mask_padding: give the attention mask to the encoder (Open-Sora); False lets padding take part (CogVideoX).
        width: numbers per token that the network takes, or None to take any encoder.

    Raises:
        UserError: an option outside its range, or an encoder of another width.
        MissingAsset: the folder, its weights or its tokenizer are absent.
    """

    def __init__(
        self,
        path: Path | str,
        max_length: int = 300,
        device: torch.device | str = "cpu",
        precision: str = "bf16",
        cache: Path | None = None,
        mask_padding: bool = True,
        width: int | None = None,
    ) -> None:
        check_option(WHAT, "precision", precision, PRECISIONS)
        check_option(WHAT, "max_length", max_length, Numbers(1, 512))
        self.path = Path(path).expanduser()
        self.max_length, self.device, self.precision = max_length, torch.device(device), precision
        self.cache, self.mask_padding = cache, mask_padding
        self._encoder_folder = self._folder("text_encoder", ("config.json",))
        self._tokenizer_folder = self._folder("tokenizer", TOKENIZER_FILES)
        if width is not None and self._width() != width:
            raise UserError(
                f"{WHAT}: {self.path} gives {self._width()} numbers per token, the network takes {width}; "
                f"the published one: {FETCH}"
            )
        self._encoder: Any = None
        self._tokenizer: Any = None
        self._hash: str | None = None

    @property
    def encoder_sha256(self) -> str:
        """SHA-256 over weights, configuration and tokenizer of the encoder."""
        if self._hash is None:
            weights = StateReader(self._encoder_folder, WHAT, FETCH).files
            plain = [f for folder in (self._encoder_folder, self._tokenizer_folder) for f in folder.iterdir()
                     if f.suffix == ".json" or f.name in TOKENIZER_FILES]  # fmt: skip
            files = sorted({*weights, *plain})
            self._hash = assets.files_sha256(files)
        return self._hash

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that decides the features."""
        return {
            "text_encoder": "t5",
            "encoder_sha256": self.encoder_sha256,
            "max_length": self.max_length,
            "precision": self.precision,
            "mask_padding": self.mask_padding,
        }

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return caption features.

        Each caption is encoded alone, so its features do not depend on its neighbours.

        Args:
            prompts: captions, cleaned or not (see `toraeval.models.tora.conditions.prompts`).

        Returns:
            (features [B,1,L,D] in the encoder's precision, int64 mask [B,L] with 1 for tokens and 0 for padding).

        Raises:
            UserError: no captions, or files that cannot be read.
            MissingDependency: transformers or sentencepiece is absent.
        """
        if isinstance(prompts, str) or not prompts:
            raise UserError(f"{WHAT}: expected a list of at least one caption, got {prompts!r}")
        features, masks = zip(*(self._encode_one(prompt) for prompt in prompts), strict=True)
        return torch.stack(features)[:, None].to(self.device), torch.stack(masks).to(self.device)

    def release(self) -> None:
        """Give the encoder's memory back; the next caption that is not cached loads it again."""
        if self._encoder is None:
            return
        self._encoder = None
        gc.collect()  # modules refer to each other in circles
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _encode_one(self, prompt: str) -> tuple[Tensor, Tensor]:
        if self.cache is None:
            return self._compute(prompt)
        file = self.cache / f"{keys.digest(self.fingerprint(), prompt)}.safetensors"
        if not file.is_file():
            features, mask = self._compute(prompt)
            card = {"prompt": prompt, **self.fingerprint()}
            write_safetensors(file, {"features": features, "mask": mask}, card)
        stored = read_safetensors(file, "cached caption features", f"rm '{file}'")
        return stored["features"], stored["mask"]

    @torch.inference_mode()
    def _compute(self, prompt: str) -> tuple[Tensor, Tensor]:
        encoder = self._load()
        tokens = self._tokenizer(
            [prompt], max_length=self.max_length, padding="max_length", truncation=True, return_tensors="pt"
        )
        ids, mask = tokens.input_ids.to(self.device), tokens.attention_mask
        seen = mask.to(self.device) if self.mask_padding else None
        features = encoder(input_ids=ids, attention_mask=seen).last_hidden_state[0]
        if not torch.isfinite(features).all():
            raise UserError(f"{WHAT}: {self.path} gives NaN or infinite features; get it again: {FETCH}")
        return features.to("cpu", dtype_of(self.precision)), mask[0].to(torch.int64)

    def _load(self) -> Any:
        if self._encoder is not None:
            return self._encoder
        transformers = require("transformers", WHAT, "tora")
        if not (self._tokenizer_folder / "tokenizer.json").is_file():
            require("sentencepiece", WHAT, "tora")  # reads spiece.model
        StateReader(self._encoder_folder, WHAT, FETCH)  # names absent shards and damaged files
        try:
            self._tokenizer = transformers.T5Tokenizer.from_pretrained(
                self._tokenizer_folder, local_files_only=True
            )
            encoder, info = transformers.T5EncoderModel.from_pretrained(
                self._encoder_folder,
                local_files_only=True,
                dtype=dtype_of(self.precision),
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise UserError(
                f"{WHAT}: {self.path} cannot be loaded: {one_line(error)}; get it again: {FETCH}"
            ) from error
        absent = sorted(info["missing_keys"]) + [str(key) for key in info["mismatched_keys"]]
        if absent:
            raise UserError(
                f"{WHAT}: {self.path} lacks {len(absent)} weights or has them in another shape {absent[:3]}; "
                f"get it again: {FETCH}"
            )
        self._encoder = encoder.eval().requires_grad_(False).to(self.device)
        return self._encoder

    def _width(self) -> int:
        file = self._encoder_folder / "config.json"
        try:
            return int(json.loads(file.read_text())["d_model"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{WHAT}: {file} states no width d_model; get it again: {FETCH}") from error

    def _folder(self, part: str, files: Sequence[str]) -> Path:
        """Return where a part lies: its own folder as diffusers writes it, or the one folder of transformers."""
        for folder in (self.path / part, self.path):
            if any((folder / name).is_file() for name in files):
                return folder
        raise MissingAsset(
            f"{WHAT}: {self.path} is absent or holds no {part.replace('_', ' ')} ({' or '.join(files)}); run: {FETCH}"
        )
