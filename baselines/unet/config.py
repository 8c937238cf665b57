"""Sizes and options of the embedded U-Nets, as one plain dataclass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from toraeval.models.shared.network.config import BINDINGS
from toraeval.trajectories.displacement import CHANNELS

DESIGNS = ("motionctrl", "dragnuwa")


@dataclass(frozen=True)
class UNetConfig:
    """Shape of one U-Net on the latents of the linear patch autoencoder.

    Attributes:
        design: how paths enter, `motionctrl` or `dragnuwa`.
        latent_channels: channels of a latent cell; the first frame enters as the same number of further channels.
        widths: channels of each level; every level halves the resolution of the one before.
        blocks: residual blocks of each level, on the way down and again on the way up.
        attention: which levels have spatial attention, caption attention and temporal attention.
        head_width: channels of an attention head.
        embedding: width of the embedding of noise level and frame rate.
        groups: groups of the norms.
        caption_channels: width of the caption features.
        motion_in: channels of the displacement maps.
        motion_channels: channels of the motion features of each level.
        guided_above: noise level, 0 (clean) to 1 (noise), from which on paths act. MotionCtrl samples with its
            trajectory features only while the step is at least 800 of 1000 (TencentARC/MotionCtrl 6242d55,
            `main/evaluation/motionctrl_inference.py`, cond_T).
        binding: `entity` adds what is around the start of each path, copied along it (`models/shared/nano/copies.py`).

    Raises:
        ValueError: an unknown design or binding, lists of unequal length, or widths that groups or heads do not divide.
    """

    design: str
    latent_channels: int = 160
    widths: tuple[int, ...] = (128, 64, 64)  # most of the time at the cells that a token of Tora nano has
    blocks: tuple[int, ...] = (3, 1, 1)
    attention: tuple[bool, ...] = (True, True, True)
    head_width: int = 32
    embedding: int = 128
    groups: int = 32
    caption_channels: int = 64
    motion_in: int = CHANNELS
    motion_channels: tuple[int, ...] = (32, 32, 32)
    guided_above: float = 0.0
    binding: str = "none"

    def __post_init__(self) -> None:
        for name in ("widths", "blocks", "attention", "motion_channels"):  # JSON gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.design not in DESIGNS:
            raise ValueError(f"design {self.design!r} is not one of {', '.join(DESIGNS)}")
        if self.binding not in BINDINGS:
            raise ValueError(f"binding {self.binding!r} is not one of {', '.join(BINDINGS)}")
        if len({len(self.widths), len(self.blocks), len(self.attention), len(self.motion_channels)}) > 1:
            raise ValueError("widths, blocks, attention and motion_channels must have one entry per level")
        for width, attends in zip(self.widths, self.attention, strict=True):
            if width % self.groups or (attends and width % self.head_width):
                raise ValueError(
                    f"width {width} is not a multiple of groups {self.groups} and head_width {self.head_width}"
                )
        if min(self.blocks) < 1:
            raise ValueError(f"blocks {self.blocks}: every level needs at least one")
        if not 0.0 <= self.guided_above <= 1.0 or (self.design == "dragnuwa" and self.guided_above):
            raise ValueError(f"guided_above {self.guided_above}; allowed: 0 to 1, and 0 for dragnuwa")

    @property
    def given_channels(self) -> int:
        """Channels beside the noisy latent: the first frame's, and with entity binding those of the copies."""
        return self.latent_channels + (self.latent_channels + 1 if self.binding == "entity" else 0)


def motionctrl_nano(**changes: Any) -> UNetConfig:
    """Configuration of the embedded MotionCtrl; keyword arguments override fields."""
    return replace(UNetConfig("motionctrl", guided_above=0.8, binding="entity"), **changes)


def dragnuwa_nano(**changes: Any) -> UNetConfig:
    """Configuration of the embedded DragNUWA; keyword arguments override fields."""
    return replace(UNetConfig("dragnuwa", binding="entity"), **changes)


def tiny(design: str, **changes: Any) -> UNetConfig:
    """Configuration of the test size; keyword arguments override fields."""
    small = UNetConfig(
        design,
        latent_channels=8,
        widths=(16, 32),
        blocks=(1, 1),
        attention=(False, True),
        head_width=16,
        embedding=16,
        groups=4,
        caption_channels=8,
        motion_channels=(8, 8),
        guided_above=0.8 if design == "motionctrl" else 0.0,
    )
    return replace(small, **changes)
