"""Networks on Open-Sora's autoencoder: where their weights are, what these hold, and stand-ins for timings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval import assets
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.noise import keyed_generator
from toraeval.models.shared.sampling_options import dtype_of
from toraeval.models.shared.weight_files import StateReader
from toraeval.models.tora.autoencoder.video import OpenSoraVAE
from toraeval.models.tora.checkpoints.importers import (
    FETCH,
    MOTION_FIELDS,
    MOTION_PARTS,
    load_stdit,
    load_vae,
    read_config,
)
from toraeval.models.tora.conditions.t5 import Captioner, T5Captions
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.models.tora.options import SIZES, ToraOptions
from toraeval.store import keys
from toraeval.types import MissingAsset, UserError

RANDOM = "random"
RANDOM_SEED = 0


class NoiseCaptions:
    """Noise in place of caption features, keyed by the caption: for timings without T5.

    Args:
        config: width and length of the features.
    """

    def __init__(self, config: STDiTConfig) -> None:
        self.length, self.channels = config.model_max_length, config.caption_channels

    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return features [B,1,L,D] and a mask [B,L] with one token per word and one for the end."""
        shape = (1, self.length, self.channels)
        features = [torch.randn(shape, generator=keyed_generator(prompt, RANDOM_SEED)) for prompt in prompts]
        counts = torch.tensor([min(len(prompt.split()) + 1, self.length) for prompt in prompts])
        return torch.stack(features), (torch.arange(self.length) < counts[:, None]).long()

    def release(self) -> None:
        """Nothing is held."""

    def fingerprint(self) -> dict[str, Any]:
        """Say that the features mean nothing."""
        return {"text_encoder": RANDOM}


class Parts:
    """Weights of transformer, autoencoder and text encoder.

    Args:
        options: they name folder or file of each; by default the fetched ones, `random` for stand-ins with untrained
            weights, which every record names.
        device: where captions are encoded.

    Attributes:
        config: shape of the transformer, motion parts as the weights have them.

    Raises:
        MissingAsset: weights that are not there.
        UserError: weights of another size.
    """

    def __init__(self, options: ToraOptions, device: torch.device) -> None:
        self.size, self.precision, self.device = options.size, options.precision, device
        self.weights, self.vae, self.text = (
            getattr(options, part) or _fetched(part, options.size)
            for part in ("weights", "vae", "text_encoder")
        )
        self.config = self._read_config()
        self._text_encoder: Captioner | None = None
        self._fingerprint: dict[str, Any] | None = None

    @property
    def motion_trained(self) -> bool:
        """Whether the weights hold a trajectory extractor and fusers."""
        return self.config.fuser != "none"

    @property
    def motion_weights(self) -> str:
        """`stored`, `random`, or `untrained` where there are none."""
        if self.weights == RANDOM:
            return RANDOM
        return "stored" if self.motion_trained else "untrained"

    def networks(self, device: torch.device) -> tuple[STDiT3 | ToraNetwork, OpenSoraVAE]:
        """Load transformer and autoencoder to a device; random ones always have the same numbers."""
        dtype = dtype_of(self.precision)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            if self.weights == RANDOM:
                model: STDiT3 | ToraNetwork = (
                    ToraNetwork(self.config).to(device, dtype).eval().requires_grad_(False)
                )
            else:
                model = load_stdit(self.weights, self.config, device, dtype)
            if self.vae == RANDOM:
                vae = OpenSoraVAE().to(device, dtype).eval().requires_grad_(False)
            else:
                vae = load_vae(self.vae, None, device, dtype)
        need_channels(vae, self.vae, self.config)
        return model, vae

    def text_encoder(self) -> Captioner:
        """Return the text encoder; its weights are loaded with the first caption that is not cached."""
        if self._text_encoder is None:
            if self.text == RANDOM:
                self._text_encoder = NoiseCaptions(self.config)
            else:
                self._text_encoder = T5Captions(
                    self.text,
                    self.config.model_max_length,
                    self.device,
                    self.precision,
                    assets.cache_dir() / "captions",
                    width=self.config.caption_channels,
                )
        return self._text_encoder

    def fingerprint(self) -> dict[str, Any]:
        """Return hashes of all weights."""
        if self._fingerprint is None:
            self._fingerprint = {
                "weights_sha256": _hash(self.weights),
                "motion_weights": self.motion_weights,
                "vae_sha256": _hash(self.vae),
                **self.text_encoder().fingerprint(),
            }
        return self._fingerprint

    def _read_config(self) -> STDiTConfig:
        """Return the size's configuration with the motion parts that the weights have."""
        base = SIZES[self.size].network()
        if self.weights == RANDOM:
            return replace(base, fuser="adaptive_norm")
        path = Path(self.weights).expanduser()
        stored = read_config(path) if path.is_dir() else None
        if stored is not None:
            return replace(base, **{name: getattr(stored, name) for name in MOTION_FIELDS})
        names = StateReader(path, "tora", FETCH).shapes
        return replace(
            base, fuser="adaptive_norm" if any(n.startswith(MOTION_PARTS) for n in names) else "none"
        )


def need_channels(vae: OpenSoraVAE, path: str, config: STDiTConfig) -> None:
    """Refuse an autoencoder whose latents the transformer cannot take.

    Raises:
        UserError: another number of latent channels.
    """
    if vae.latent_channels != config.in_channels:
        raise UserError(
            f"tora: {path} gives {vae.latent_channels} latent channels, the transformer takes {config.in_channels}"
        )


def _fetched(part: str, size: str) -> str:
    published = SIZES[size].published
    if part not in published:
        raise MissingAsset(f"tora: nothing is published for size={size}; give model.{part}=PATH")
    try:
        return str(assets.path(published[part]))
    except MissingAsset as error:
        raise MissingAsset(f"tora: {error}; all parts at once: {FETCH}; or model.{part}=PATH") from error


def _hash(path: str) -> str:
    if path == RANDOM:
        return RANDOM
    files = StateReader(path, "tora", FETCH).files
    return keys.digest([(file.name, assets.remembered_sha256(file)) for file in sorted(files)])
