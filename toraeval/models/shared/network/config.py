"""Sizes and options of the Tora diffusion transformer, as plain dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

FUSERS = ("none", "adaptive_norm", "cross_attention", "extra_channel")
FUSER_PLACES = ("temporal", "spatial", "both")
FUSER_SITES = ("residual", "attention")
COMPRESSIONS = ("vae", "key_frame", "average")
BINDINGS = ("none", "entity")

# Of upstream's configuration: what the Hub adds, and switches of kernels and training that leave the numbers alone.
NOT_NUMERIC = frozenset({
    "architectures", "auto_map", "dtype", "model_type", "torch_dtype", "transformers_version", "_name_or_path",
    "enable_flash_attn", "enable_layernorm_kernel", "enable_sequence_parallelism", "freeze_y_embedder",
    "only_train_temporal", "force_huggingface", "input_size", "class_dropout_prob", "drop_path",
})  # fmt: skip


@dataclass(frozen=True)
class STDiTConfig:
    """Shape of one STDiT3 network; the defaults of the optional parts leave the upstream behaviour.

    Source: Open-Sora v1.2.0, `opensora/models/stdit/stdit3.py` (class STDiT3Config).

    Raises:
        ValueError: a width, head count, patch or fuser choice that cannot work.
    """

    depth: int = 28  # pairs of one spatial and one temporal block
    hidden_size: int = 1152
    num_heads: int = 16
    mlp_ratio: float = 4.0
    patch_size: tuple[int, int, int] = (1, 2, 2)  # (time, rows, columns) in latent cells
    in_channels: int = 4
    pred_sigma: bool = True  # upstream emits an unused second half of the channels
    qk_norm: bool = True
    caption_channels: int = 4096
    model_max_length: int = 300
    input_sq_size: int = 512  # pixel side at which the position scale is 1
    latent_stride: int = 8  # pixels per latent cell, used when the pixel size is not given
    cond_channels: int = 0  # extra input channels concatenated before the patch embedding
    fuser: str = "none"
    fuser_place: str = "temporal"  # which blocks a fuser stands before
    motion_channels: int = 128
    fuser_site: str = "residual"
    fuser_groups: int = 32  # 0: normalise each token alone
    extractor_blocks: int = 2  # residual blocks of the trajectory extractor per block pair
    extractor_norm: bool = True
    compression: str = "vae"  # how a trajectory picture becomes the extractor's input
    motion_unshuffle: int = 8  # pixel-unshuffle side of the compressions without an autoencoder
    binding: str = "none"  # `entity`: what is at the start of a path enters along it, see `nano.copies`
    embedded_text: bool = False  # own word encoder instead of T5 features

    def __post_init__(self) -> None:
        object.__setattr__(self, "patch_size", tuple(self.patch_size))
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
            )
        if self.hidden_size % 4:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of 4 (position embedding)")
        if self.head_dim % 2:
            raise ValueError(f"head width {self.head_dim} is odd; rotary embedding needs pairs")
        for name, allowed in (
            ("fuser", FUSERS),
            ("fuser_place", FUSER_PLACES),
            ("fuser_site", FUSER_SITES),
            ("compression", COMPRESSIONS),
            ("binding", BINDINGS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {', '.join(allowed)}")
        if self.latent_stride % self.motion_unshuffle:
            raise ValueError(
                f"motion_unshuffle {self.motion_unshuffle} does not divide latent_stride {self.latent_stride}"
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def out_channels(self) -> int:
        """Channels of the network output: twice the latent channels when `pred_sigma`."""
        return self.in_channels * (2 if self.pred_sigma else 1)

    @property
    def motion_in_channels(self) -> int:
        """Channels of the trajectory extractor's input: latent channels, or (u, v) of each unshuffled pixel."""
        return self.in_channels if self.compression == "vae" else 2 * self.motion_unshuffle**2

    @property
    def given_channels(self) -> int:
        """Channels beside the noisy latent: the condition, and with entity binding copied latents and their share."""
        return self.cond_channels + (self.in_channels + 1 if self.binding == "entity" else 0)

    @property
    def mlp_hidden(self) -> int:
        """Width of the hidden layer of each MLP."""
        return int(self.hidden_size * self.mlp_ratio)

    @classmethod
    def from_upstream(cls, options: Mapping[str, Any]) -> STDiTConfig:
        """Build from an Open-Sora config mapping, ignoring options that do not change the inference maths."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(options) - NOT_NUMERIC - known)
        if unknown:
            raise ValueError(
                f"unknown STDiT option(s) {', '.join(unknown)}; known: {', '.join(sorted(known))}"
            )
        return cls(**{key: value for key, value in options.items() if key in known})


def xl2(**changes: Any) -> STDiTConfig:
    """Configuration of the published STDiT3-XL/2 (1.2 B parameters); keyword arguments override fields."""
    return replace(STDiTConfig(), **changes)


def nano(**changes: Any) -> STDiTConfig:
    """Configuration of the embedded size on 160-channel linear latents; keyword arguments override fields.

    `docs/models/recipe.md` has the trials behind it.
    """
    base = STDiTConfig(
        depth=4,
        hidden_size=192,
        num_heads=3,
        mlp_ratio=3.5,
        patch_size=(1, 1, 1),
        in_channels=160,
        pred_sigma=False,
        caption_channels=64,
        model_max_length=20,
        latent_stride=32,
        cond_channels=160,
        fuser="adaptive_norm",
        motion_channels=64,
        fuser_groups=0,
        extractor_blocks=1,
        extractor_norm=False,
        motion_unshuffle=4,
        binding="entity",
        embedded_text=True,
    )
    return replace(base, **changes)


def tiny(**changes: Any) -> STDiTConfig:
    """Configuration of the test size: two block pairs of width 48; keyword arguments override fields."""
    base = STDiTConfig(
        depth=2, hidden_size=48, num_heads=4, caption_channels=32, model_max_length=8, motion_channels=16,
        fuser_groups=16,
    )  # fmt: skip
    return replace(base, **changes)
