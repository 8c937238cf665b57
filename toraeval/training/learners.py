"""What training must know of a network: how it is built, what it reads of the paths, how it is called."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.models.tora import checkpoint
from toraeval.models.tora import config as tora_config
from toraeval.models.tora.flow import Denoiser
from toraeval.models.tora.linear_vae import LinearPatchAutoencoder
from toraeval.models.tora.model import Tora
from toraeval.models.tora.pipeline import motion_input
from toraeval.registry import unknown
from toraeval.training.batches import TOKEN, Batch, MotionReader, Shard, StoredMotion
from toraeval.training.excerpts import DisplacementMotion, ExcerptShard
from toraeval.training.shards import SIZE
from toraeval.trajectories.displacement import displacement_maps
from toraeval.types import FloatArray, UserError


class Learner(ABC):
    """A kind of network that `toraeval.training.nano` trains.

    Attributes:
        name: of the model in the registry.
        open_shard: opens stored clips, whole or as excerpts of 17 frames.
        tokens: per batch and worker on a CPU.
        motion_keys: how the names of the parameters begin that read the paths.
    """

    name: str
    open_shard: Callable[[Path], Shard]
    tokens: int
    motion_keys: tuple[str, ...]

    @abstractmethod
    def default_network(self) -> Any:
        """Return the configuration of the embedded size."""

    @abstractmethod
    def build(self, network: Any) -> nn.Module:
        """Return a new network; its weights come from torch's global generator."""

    @abstractmethod
    def motion_reader(self, network: Any) -> MotionReader | None:
        """Return what reads the motion input of stored clips, or None for a network that follows no path."""

    @abstractmethod
    def motion(self, network: Any, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray) -> Tensor:
        """Return the motion input (t, h, w, C) of paths in pixels of a 512x512 picture, as in generation."""

    @abstractmethod
    def denoiser(
        self, model: nn.Module, batch: Batch, dropped: Tensor, cond: Tensor, fps: Tensor
    ) -> Denoiser:
        """Bind everything but latents, time and mask.

        Args:
            model: the network.
            batch: captions and motion are taken from it.
            dropped: bool (B,), the captions to replace by the null caption.
            cond: latent of the first frame (B, C, 1, H, W).
            fps: (1,).
        """

    @abstractmethod
    def load(self, path: Path) -> tuple[nn.Module, LinearPatchAutoencoder]:
        """Read exported weights; raises what its checkpoint module raises."""

    @abstractmethod
    def save(
        self, path: Path, state: dict[str, Tensor], vae: LinearPatchAutoencoder, card: dict[str, Any]
    ) -> None:
        """Export weights with their card."""

    @abstractmethod
    def shipped(self) -> Path:
        """Return where the shipped weights lie."""


class ToraLearner(Learner):
    """Tora: whole clips of any length, motion pictures as latents."""

    name = "tora"
    open_shard = Shard
    tokens = 2560
    motion_keys = ("traj_extractor.", "fuser.", "fuser_spatial.")

    def default_network(self) -> tora_config.STDiTConfig:
        """See `Learner`."""
        return tora_config.nano()

    def build(self, network: tora_config.STDiTConfig) -> Tora:
        """See `Learner`."""
        return Tora(network)

    def motion_reader(self, network: tora_config.STDiTConfig) -> MotionReader | None:
        """See `Learner`."""
        return None if network.fuser == "none" else StoredMotion(network.compression)

    def motion(
        self, network: tora_config.STDiTConfig, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray
    ) -> Tensor:
        """See `Learner`."""
        return motion_input(network, vae, tracks_NT2, SIZE, SIZE)[0].permute(1, 2, 3, 0)

    def denoiser(
        self, model: nn.Module, batch: Batch, dropped: Tensor, cond: Tensor, fps: Tensor
    ) -> Denoiser:
        """See `Learner`."""
        assert isinstance(model, Tora)
        assert model.text_encoder is not None  # the embedded size always has one
        y = model.y_embedder.drop(model.text_encoder(batch.words.to(cond.device)), dropped)
        features = None
        if batch.motion is not None:
            motion = batch.motion.to(cond.device).permute(0, 4, 1, 2, 3).float()
            features = model.encode_motion(motion)
        places = None
        if batch.origins is not None:
            window = (cond.shape[3] // TOKEN, cond.shape[4] // TOKEN)
            places = model.window_positions(batch.origins, window, batch.whole)

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            return model.predict_clean(
                x, timestep, x_mask, cond, y=y, fps=fps, motion=features, positions=places
            )

        return denoise

    def load(self, path: Path) -> tuple[nn.Module, LinearPatchAutoencoder]:
        """See `Learner`."""
        return checkpoint.load(path)

    def save(
        self, path: Path, state: dict[str, Tensor], vae: LinearPatchAutoencoder, card: dict[str, Any]
    ) -> None:
        """See `Learner`."""
        checkpoint.save(path, state, vae, card)

    def shipped(self) -> Path:
        """See `Learner`."""
        return checkpoint.weights_path("nano")


@dataclass(frozen=True)
class RivalLearner(Learner):
    """A U-Net that sees 17 frames at once and reads displacement maps.

    Args:
        name: see `Learner`.
        network: `module:Class` of the network.
        preset: `module:function` of its embedded configuration.
        checkpoint: module that reads and writes its weights.
    """

    name: str
    network: str
    preset: str
    checkpoint: str
    open_shard = ExcerptShard
    tokens = (
        2048  # makes as many steps of equally many clips as Tora, whose longer clips make smaller batches
    )
    motion_keys = ("motion_encoder.", "encoder_fusions.", "decoder_fusions.")

    def default_network(self) -> Any:
        """See `Learner`."""
        return _resolve(self.preset)()

    def build(self, network: Any) -> nn.Module:
        """See `Learner`."""
        return _resolve(self.network)(network)  # type: ignore[no-any-return]

    def motion_reader(self, network: Any) -> MotionReader | None:
        """See `Learner`."""
        return DisplacementMotion()

    def motion(self, network: Any, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray) -> Tensor:
        """See `Learner`."""
        return torch.from_numpy(displacement_maps(tracks_NT2, SIZE, SIZE))

    def denoiser(
        self, model: nn.Module, batch: Batch, dropped: Tensor, cond: Tensor, fps: Tensor
    ) -> Denoiser:
        """See `Learner`."""
        y = model.drop_text(model.encode_words(batch.words.to(cond.device)), dropped)
        motion = None
        if batch.motion is not None:
            motion = model.encode_motion(batch.motion.to(cond.device).float())

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            return model.predict_clean(x, timestep, x_mask, cond, y=y, motion=motion, fps=fps)  # type: ignore[no-any-return]

        return denoise

    def load(self, path: Path) -> tuple[nn.Module, LinearPatchAutoencoder]:
        """See `Learner`."""
        return importlib.import_module(self.checkpoint).load(path, self.name)  # type: ignore[no-any-return]

    def save(
        self, path: Path, state: dict[str, Tensor], vae: LinearPatchAutoencoder, card: dict[str, Any]
    ) -> None:
        """See `Learner`."""
        importlib.import_module(self.checkpoint).save(path, state, vae, card)

    def shipped(self) -> Path:
        """See `Learner`."""
        return importlib.import_module(self.checkpoint).weights_path(self.name)  # type: ignore[no-any-return]


LEARNERS: dict[str, Learner] = {
    "tora": ToraLearner(),
    "motionctrl": RivalLearner(
        "motionctrl",
        "toraeval.baselines.motionctrl.network:MotionCtrlNetwork",
        "toraeval.baselines.unet.config:motionctrl_nano",
        "toraeval.baselines.unet.checkpoint",
    ),
    "dragnuwa": RivalLearner(
        "dragnuwa",
        "toraeval.baselines.dragnuwa.network:DragNUWANetwork",
        "toraeval.baselines.unet.config:dragnuwa_nano",
        "toraeval.baselines.unet.checkpoint",
    ),
}


def learner(name: str) -> Learner:
    """Return the learner of a model.

    Raises:
        UserError: unknown name.
    """
    if name not in LEARNERS:
        raise UserError(unknown("model to train", name, LEARNERS))
    return LEARNERS[name]


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
