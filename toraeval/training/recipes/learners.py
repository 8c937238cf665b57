"""What training must know of a network: how it is built, what it reads of the paths, how it is called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.models.shared.nano.copies import copied_latents
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.network.captioned import CaptionedSTDiT
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.rectified_flow import Denoiser
from toraeval.models.tora.conditions.nano_motion import path_input
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.registry import unknown
from toraeval.training.data.batch import Batch
from toraeval.training.data.batches import TOKEN
from toraeval.training.data.scenes import SIZE
from toraeval.training.data.shards import (
    ExcerptShard,
    MotionReader,
    Shard,
    bound_motion,
    copied_motion,
    displacement_motion,
    stored_motion,
)
from toraeval.trajectories.displacement import displacement_maps
from toraeval.types import FloatArray, UserError


@dataclass(frozen=True)
class Learner(ABC):
    """A kind of network that `toraeval.training.recipes.nano` trains."""

    name: str  # of the model in the registry
    network: str  # `module:Class` of the network
    preset: str  # `module:function` of its embedded configuration
    checkpoint: str  # module that reads its weights and knows where they are shipped
    named: tuple[str, ...] = ()  # the name again, where the checkpoint module serves several models
    prefix: str = "dit."  # of the network's names in a weights file
    motion_keys: tuple[str, ...] = ()  # how the names of the parameters begin that read the paths
    rate: float = 1.0  # factor on the recipe's learning rates, see `docs/fairness.md`
    tokens: int = 640  # per batch and process on a CPU; larger batches learn less per clip, see the recipe
    open_shard: Callable[[Path], Shard] = Shard  # opens stored clips, whole or as excerpts of 17 frames

    def configure(self, **changes: Any) -> Any:
        """Return the configuration of the embedded size; keyword arguments override fields."""
        return resolve_name(self.preset)(**changes)

    def build(self, network: Any) -> nn.Module:
        """Return a new network; its weights come from torch's global generator."""
        return resolve_name(self.network)(network)  # type: ignore[no-any-return]

    def follows(self, network: Any) -> bool:
        """Return whether a network of this configuration is given paths."""
        return True

    @abstractmethod
    def motion_reader(self, network: Any, vae: LinearPatchAutoencoder) -> MotionReader:
        """Return what reads the motion input of stored clips; `vae` made their latents."""

    @abstractmethod
    def motion(
        self, network: Any, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, first_hwC: Tensor
    ) -> Tensor:
        """Return the motion input (t, h, w, C) of paths in pixels of a 512x512 picture, as in generation.

        `network` is its configuration, `first_hwC` the latent of the first frame.
        """

    def denoiser(self, model: Any, batch: Batch, dropped: Tensor, cond: Tensor) -> Denoiser:
        """Bind everything but latents, time and mask.

        Args:
            model, batch: its captions and motion are taken.
            dropped: bool (B,), the captions to replace by the null caption.
            cond: latent of the first frame (B, C, 1, H, W).
        """
        given, fps = self.inputs(model, batch, dropped, cond), batch.fps.to(cond.device)

        def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
            return model.predict_clean(x, timestep, x_mask, cond, fps=fps, **given)  # type: ignore[no-any-return]

        return denoise

    @abstractmethod
    def inputs(self, model: Any, batch: Batch, dropped: Tensor, cond: Tensor) -> dict[str, Any]:
        """Return what `predict_clean` is given of captions and paths, see `denoiser`."""

    def load(self, path: Path) -> tuple[nn.Module, LinearPatchAutoencoder]:
        """Read exported weights; raises what its checkpoint module raises."""
        return resolve_name(f"{self.checkpoint}:load")(path, *self.named)  # type: ignore[no-any-return]

    def shipped(self) -> Path:
        """Return where the shipped weights lie."""
        return resolve_name(f"{self.checkpoint}:weights_path")(*self.named)  # type: ignore[no-any-return]


class ToraLearner(Learner):
    """Tora: whole clips of any length, motion pictures as latents."""

    def follows(self, network: STDiTConfig) -> bool:
        return (network.fuser, network.binding) != ("none", "none")

    def motion_reader(self, network: STDiTConfig, vae: LinearPatchAutoencoder) -> MotionReader:
        return _bound(partial(stored_motion, compression=network.compression), network, vae)

    def motion(
        self, network: STDiTConfig, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, first_hwC: Tensor
    ) -> Tensor:
        first = first_hwC.permute(2, 0, 1)[None, :, None].float()
        return path_input(network, vae, tracks_NT2, SIZE, SIZE, first)[0].permute(1, 2, 3, 0)

    def inputs(self, model: Any, batch: Batch, dropped: Tensor, cond: Tensor) -> dict[str, Any]:
        assert isinstance(model, CaptionedSTDiT)
        assert model.text_encoder is not None  # the embedded size always has one
        y = model.y_embedder.drop(model.text_encoder(batch.text.to(cond.device)), dropped)
        motion = batch.motion
        if motion is not None:
            motion = motion.to(cond.device).permute(0, 4, 1, 2, 3).float()
        given = {"y": y, **self.path_arguments(model, motion)}
        if batch.origins_B2 is not None:
            patch = model.config.patch_size[1]
            per_square = TOKEN // patch
            window = (cond.shape[3] // patch, cond.shape[4] // patch)
            whole = (batch.whole[0] * per_square, batch.whole[1] * per_square)
            given["positions"] = model.window_positions(batch.origins_B2 * per_square, window, whole)
        return given

    def path_arguments(self, model: CaptionedSTDiT, motion: Tensor | None) -> dict[str, Any]:
        """Return what `predict_clean` is given of the paths; `motion` is (B, C, t, h, w) or None for no path."""
        assert isinstance(model, ToraNetwork)
        if motion is None:
            return {"motion": None}
        flow = model.config.motion_in_channels
        return {"motion": model.encode_motion(motion[:, :flow]), "copies": motion[:, flow:]}


class WanMoveLearner(ToraLearner):
    """Wan-Move: Tora's transformer on whole clips of any length, given paths as copied latents."""

    def motion_reader(self, network: STDiTConfig, vae: LinearPatchAutoencoder) -> MotionReader:
        return partial(copied_motion, vae=vae)

    def motion(
        self, network: STDiTConfig, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, first_hwC: Tensor
    ) -> Tensor:
        return copied_latents(vae, first_hwC, tracks_NT2)

    def path_arguments(self, model: CaptionedSTDiT, motion: Tensor | None) -> dict[str, Any]:
        return {"copies": motion}


class RivalLearner(Learner):
    """A U-Net that sees 17 frames at once and reads displacement maps."""

    def motion_reader(self, network: Any, vae: LinearPatchAutoencoder) -> MotionReader:
        return _bound(displacement_motion, network, vae)

    def motion(
        self, network: Any, vae: LinearPatchAutoencoder, tracks_NT2: FloatArray, first_hwC: Tensor
    ) -> Tensor:
        maps = torch.from_numpy(displacement_maps(tracks_NT2, SIZE, SIZE))
        if network.binding == "none":
            return maps
        return torch.cat((maps, copied_latents(vae, first_hwC, tracks_NT2)), -1)

    def inputs(self, model: Any, batch: Batch, dropped: Tensor, cond: Tensor) -> dict[str, Any]:
        y = model.drop_text(model.encode_words(batch.text.to(cond.device)), dropped)
        if batch.motion is None:
            return {"y": y, "motion": None}
        motion, maps = batch.motion.to(cond.device).float(), model.config.motion_in
        copies = motion[..., maps:].permute(0, 4, 1, 2, 3)
        return {"y": y, "motion": model.encode_motion(motion[..., :maps]), "copies": copies}


def _bound(read: MotionReader, network: Any, vae: LinearPatchAutoencoder) -> MotionReader:
    """Return `read`, or with entity binding what reads copies beside it."""
    return partial(bound_motion, vae=vae, read=read) if network.binding == "entity" else read


def _rival(name: str, network: str, preset: str) -> RivalLearner:
    return RivalLearner(
        name,
        network,
        preset,
        "toraeval.baselines.unet.checkpoint",
        named=(name,),
        prefix="unet.",
        motion_keys=("motion_encoder.", "encoder_fusions.", "decoder_fusions."),
        rate=0.5,
        tokens=512,  # as many steps of equally many clips as Tora makes, whose longer clips make smaller batches
        open_shard=ExcerptShard,
    )


LEARNERS: dict[str, Learner] = {
    "tora": ToraLearner(
        "tora",
        "toraeval.models.tora.network.model:ToraNetwork",
        "toraeval.models.shared.network.config:nano",
        "toraeval.models.tora.checkpoints.nano",
        motion_keys=("traj_extractor.", "fuser.", "fuser_spatial."),
    ),
    "wan_move": WanMoveLearner(
        "wan_move",
        "toraeval.baselines.wan_move.network:WanMoveNetwork",
        "toraeval.baselines.wan_move.network:wan_move_nano",
        "toraeval.baselines.wan_move.checkpoint",
    ),
    "motionctrl": _rival(
        "motionctrl",
        "toraeval.baselines.motionctrl.network:MotionCtrlNetwork",
        "toraeval.baselines.unet.config:motionctrl_nano",
    ),
    "dragnuwa": _rival(
        "dragnuwa",
        "toraeval.baselines.dragnuwa.network:DragNUWANetwork",
        "toraeval.baselines.unet.config:dragnuwa_nano",
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
