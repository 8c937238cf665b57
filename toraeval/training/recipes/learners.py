"""What training must know of a network: how it is built, what it reads of the paths, how it is called."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network import config as tora_config
from toraeval.models.shared.network.captioned import CaptionedSTDiT
from toraeval.models.shared.rectified_flow import Denoiser
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.conditions.nano_motion import path_input
from toraeval.models.tora.network.model import Tora
from toraeval.registry import unknown
from toraeval.training.data.batch import Batch
from toraeval.training.data.batches import TOKEN, BoundMotion, MotionReader, Shard, StoredMotion
from toraeval.training.data.excerpts import DisplacementMotion, ExcerptShard
from toraeval.training.data.shards import SIZE
from toraeval.trajectories.displacement import displacement_maps
from toraeval.types import FloatArray, UserError


class Learner(ABC):
    """A kind of network that `toraeval.training.recipes.nano` trains.

    Attributes:
        name: of the model in the registry.
        open_shard: opens stored clips, whole or as excerpts of 17 frames.
        tokens: per batch and worker on a CPU.
        needs_tracks: reads the paths of stored clips, which lie beside the shards.
        motion_keys: how the names of the parameters begin that read the paths.
    """

    name: str
    open_shard: Callable[[Path], Shard]
    tokens: int
    needs_tracks: bool
    motion_keys: tuple[str, ...]

    @abstractmethod
    def configure(self, **changes: Any) -> Any:
        """Return the configuration of the embedded size; keyword arguments override fields."""

    @abstractmethod
    def build(self, network: Any) -> nn.Module:
        """Return a new network; its weights come from torch's global generator."""

    @abstractmethod
    def motion_reader(self, network: Any) -> MotionReader | None:
        """Return what reads the motion input of stored clips, or None for a network that follows no path."""

    @abstractmethod
    def motion(
        self, network: Any, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, first_hwC: Tensor
    ) -> Tensor:
        """Return the motion input (t, h, w, C) of paths in pixels of a 512x512 picture, as in generation.

        Args:
            network: configuration.
            vae: the autoencoder.
            tracks_NT2: paths.
            first_hwC: latent of the first frame.
        """

    @abstractmethod
    def denoiser(self, model: nn.Module, batch: Batch, dropped: Tensor, cond: Tensor) -> Denoiser:
        """Bind everything but latents, time and mask.

        Args:
            model: the network.
            batch: captions and motion are taken from it.
            dropped: bool (B,), the captions to replace by the null caption.
            cond: latent of the first frame (B, C, 1, H, W).
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
    needs_tracks = False
    motion_keys: tuple[str, ...] = ("traj_extractor.", "fuser.", "fuser_spatial.")

    def configure(self, **changes: Any) -> tora_config.STDiTConfig:
        return tora_config.nano(**changes)

    def build(self, network: tora_config.STDiTConfig) -> CaptionedSTDiT:
        return Tora(network)

    def motion_reader(self, network: tora_config.STDiTConfig) -> MotionReader | None:
        if network.fuser == "none":
            return None
        stored = StoredMotion(network.compression)
        return BoundMotion(stored) if network.binding == "entity" else stored

    def motion(
        self,
        network: tora_config.STDiTConfig,
        vae: LinearPatchAutoencoder,
        tracks_NT2: FloatArray,
        first_hwC: Tensor,
    ) -> Tensor:
        first = first_hwC.permute(2, 0, 1)[None, :, None].float()
        return path_input(network, vae, tracks_NT2, SIZE, SIZE, first)[0].permute(1, 2, 3, 0)

    def denoiser(self, model: nn.Module, batch: Batch, dropped: Tensor, cond: Tensor) -> Denoiser:
        assert isinstance(model, CaptionedSTDiT)
        assert model.text_encoder is not None  # the embedded size always has one
        y = model.y_embedder.drop(model.text_encoder(batch.text.to(cond.device)), dropped)
        motion = batch.motion
        if motion is not None:
            motion = motion.to(cond.device).permute(0, 4, 1, 2, 3).float()
        paths, fps = self.path_arguments(model, motion), batch.fps.to(cond.device)
        places = None
        if batch.origins_B2 is not None:
            patch = model.config.patch_size[1]
            per_square = TOKEN // patch
            window = (cond.shape[3] // patch, cond.shape[4] // patch)
            whole = (batch.whole[0] * per_square, batch.whole[1] * per_square)
            places = model.window_positions(batch.origins_B2 * per_square, window, whole)

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            return model.predict_clean(x, timestep, x_mask, cond, y=y, fps=fps, positions=places, **paths)

        return denoise

    def path_arguments(self, model: CaptionedSTDiT, motion: Tensor | None) -> dict[str, Any]:
        """Return what `predict_clean` is told of the paths; `motion` is (B, C, t, h, w) or None for no path."""
        assert isinstance(model, Tora)
        return {"motion": None if motion is None else model.encode_motion(motion)}

    def load(self, path: Path) -> tuple[nn.Module, LinearPatchAutoencoder]:
        return checkpoint.load(path)

    def save(
        self, path: Path, state: dict[str, Tensor], vae: LinearPatchAutoencoder, card: dict[str, Any]
    ) -> None:
        checkpoint.save(path, state, vae, card)

    def shipped(self) -> Path:
        return checkpoint.weights_path()


class WanMoveLearner(ToraLearner):
    """Wan-Move: Tora's transformer on whole clips of any length, told of paths by copied latents."""

    name = "wan_move"
    needs_tracks = True
    motion_keys = ()
    package = "toraeval.baselines.wan_move"

    def configure(self, **changes: Any) -> tora_config.STDiTConfig:
        return _resolve(f"{self.package}.network:wan_move_nano")(**changes)  # type: ignore[no-any-return]

    def build(self, network: tora_config.STDiTConfig) -> CaptionedSTDiT:
        return _resolve(f"{self.package}.network:WanMoveNetwork")(network)  # type: ignore[no-any-return]

    def motion_reader(self, network: tora_config.STDiTConfig) -> MotionReader | None:
        return self._read

    def _read(self, shard: Shard, picks: np.ndarray, kind: str) -> Tensor:
        """Copy latents along the paths of stored clips; it has no dense kind of motion."""
        firsts = shard.rows("video", picks)[:, 0]
        return torch.stack(
            [self._copies(first, shard.tracks(int(k))).half() for first, k in zip(firsts, picks, strict=True)]
        )

    def _copies(self, first_hwC: Tensor, tracks_NT2: FloatArray) -> Tensor:
        return _resolve(f"{self.package}.copies:copied_latents")(first_hwC, tracks_NT2)  # type: ignore[no-any-return]

    def motion(
        self,
        network: tora_config.STDiTConfig,
        vae: LinearPatchAutoencoder,
        tracks_NT2: FloatArray,
        first_hwC: Tensor,
    ) -> Tensor:
        return self._copies(first_hwC, tracks_NT2)

    def path_arguments(self, model: CaptionedSTDiT, motion: Tensor | None) -> dict[str, Any]:
        return {"copies": motion}

    def load(self, path: Path) -> tuple[nn.Module, LinearPatchAutoencoder]:
        return importlib.import_module(f"{self.package}.checkpoint").load(path)  # type: ignore[no-any-return]

    def shipped(self) -> Path:
        return importlib.import_module(f"{self.package}.checkpoint").weights_path()  # type: ignore[no-any-return]


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
    needs_tracks = True
    motion_keys = ("motion_encoder.", "encoder_fusions.", "decoder_fusions.")

    def configure(self, **changes: Any) -> Any:
        return _resolve(self.preset)(**changes)

    def build(self, network: Any) -> nn.Module:
        return _resolve(self.network)(network)  # type: ignore[no-any-return]

    def motion_reader(self, network: Any) -> MotionReader | None:
        return DisplacementMotion()

    def motion(
        self, network: Any, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, first_hwC: Tensor
    ) -> Tensor:
        return torch.from_numpy(displacement_maps(tracks_NT2, SIZE, SIZE))

    def denoiser(self, model: nn.Module, batch: Batch, dropped: Tensor, cond: Tensor) -> Denoiser:
        y = model.drop_text(model.encode_words(batch.text.to(cond.device)), dropped)
        motion = None
        if batch.motion is not None:
            motion = model.encode_motion(batch.motion.to(cond.device).float())
        fps = batch.fps.to(cond.device)

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            return model.predict_clean(x, timestep, x_mask, cond, y=y, motion=motion, fps=fps)  # type: ignore[no-any-return]

        return denoise

    def load(self, path: Path) -> tuple[nn.Module, LinearPatchAutoencoder]:
        return importlib.import_module(self.checkpoint).load(path, self.name)  # type: ignore[no-any-return]

    def save(
        self, path: Path, state: dict[str, Tensor], vae: LinearPatchAutoencoder, card: dict[str, Any]
    ) -> None:
        importlib.import_module(self.checkpoint).save(path, state, vae, card)

    def shipped(self) -> Path:
        return importlib.import_module(self.checkpoint).weights_path(self.name)  # type: ignore[no-any-return]


LEARNERS: dict[str, Learner] = {
    "tora": ToraLearner(),
    "wan_move": WanMoveLearner(),
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
