"""Shape of the CogVideoX transformer with Tora's trajectory parts; the defaults are the released 5B text-to-video one.

Sources: `CogVideoXTransformer3DModel` of diffusers 0.42 (names of the fields, which are those of
`transformer/config.json`) and alibaba/Tora 9a23dce, `diffusers-version/tora/transformer_3d.py`, where the channels of
the trajectory parts are constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from toraeval.allowed import check_option
from toraeval.types import UserError

VARIANTS = ("t2v", "i2v")
SAT_NORM_EPS, SAT_OUT_NORM_EPS = 1e-5, 1e-6


@dataclass(frozen=True)
class TransformerConfig:
    """Options of the network; every field but the last four is one of diffusers' transformer.

    Raises:
        UserError: a part that Tora's release has not, or sizes that cannot work.
    """

    num_attention_heads: int = 48
    attention_head_dim: int = 64
    in_channels: int = 16  # 32 with a first frame, whose latents follow the noisy ones
    out_channels: int = 16
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    time_embed_dim: int = 512
    ofs_embed_dim: int | None = None
    text_embed_dim: int = 4096
    num_layers: int = 42
    dropout: float = 0.0
    attention_bias: bool = True
    sample_width: int = 90  # latent cells of the trained size
    sample_height: int = 60
    sample_frames: int = 49  # frames of the trained length, not latent frames
    patch_size: int = 2
    patch_size_t: int | None = None
    temporal_compression_ratio: int = 4
    max_text_seq_length: int = 226
    activation_fn: str = "gelu-approximate"
    timestep_activation_fn: str = "silu"
    norm_elementwise_affine: bool = True
    norm_eps: float = 1e-5
    spatial_interpolation_scale: float = 1.875
    temporal_interpolation_scale: float = 1.0
    use_rotary_positional_embeddings: bool = True
    use_learned_positional_embeddings: bool = False
    patch_bias: bool = True
    traj_channels: int = 128
    traj_latent_channels: int = 16  # channels of the encoded trajectory picture
    traj_blocks: int = 2  # residual blocks of the trajectory extractor per layer
    out_norm_eps: float | None = None  # of the norm before the output projection, by default norm_eps

    def __post_init__(self) -> None:
        for name in ("patch_size_t", "ofs_embed_dim"):
            if getattr(self, name) is not None:
                raise UserError(
                    f"tora_cogvideox: {name}={getattr(self, name)} belongs to CogVideoX 1.5; Tora was released on "
                    "CogVideoX 1.0, where it is null"
                )
        if self.use_rotary_positional_embeddings and self.attention_head_dim % 16:
            raise UserError(
                f"tora_cogvideox: attention_head_dim={self.attention_head_dim}; "
                "allowed: multiples of 16 with rotary positions"
            )
        if self.attention_head_dim < 1 or self.width % 16:
            raise UserError(
                f"tora_cogvideox: {self.num_attention_heads} heads of {self.attention_head_dim} are {self.width} "
                "channels; allowed: multiples of 16"
            )
        if self.use_learned_positional_embeddings and not self.use_rotary_positional_embeddings:
            raise UserError(
                "tora_cogvideox: learned positions come with rotary ones; set use_rotary_positional_embeddings=true"
            )

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def latent_channels(self) -> int:
        """Channels of the latents that are generated."""
        return self.out_channels

    @property
    def takes_first_frame(self) -> bool:
        """True for the image-to-video variant."""
        return self.in_channels == 2 * self.out_channels

    def backbone_options(self) -> dict[str, Any]:
        """Return the keyword arguments of diffusers' transformer."""
        own = ("out_norm_eps", "traj_channels", "traj_latent_channels", "traj_blocks")
        return {name: value for name, value in asdict(self).items() if name not in own}

    @classmethod
    def from_json(cls, options: Mapping[str, Any], source: str = "the configuration") -> TransformerConfig:
        """Build from the content of a `transformer/config.json`.

        Args:
            options: its values; names that start with `_` (class name, version) say nothing about the network.
            source: where they come from, for messages.

        Raises:
            UserError: an option that is not known, so the network would not be the one that was saved.
        """
        known = {field.name for field in fields(cls)}
        given = {name: value for name, value in options.items() if not name.startswith("_")}
        unknown = sorted(set(given) - known)
        if unknown:
            raise UserError(
                f"tora_cogvideox: {source} has unknown option(s) {', '.join(unknown)}; "
                f"known: {', '.join(sorted(known))}"
            )
        return cls(**given)


def with_sat_norms(config: TransformerConfig) -> TransformerConfig:
    """Return the configuration with the epsilons of the layer norms that the sat code computes with.

    Tora's sat code asks for 1e-6, but SwissArmyTransformer passes its own 1e-5 to the norms that it builds: those of
    the layers and the one after them (`sat/model/transformer.py`). Only the norm before the output projection, which
    Tora builds itself, has 1e-6 (alibaba/Tora 9a23dce, `sat/dit_video_concat.py`).
    """
    return replace(config, norm_eps=SAT_NORM_EPS, out_norm_eps=SAT_OUT_NORM_EPS)


def published_5b(variant: str = "t2v") -> TransformerConfig:
    """Return the configuration of the released weights.

    Args:
        variant: `t2v`, or `i2v` with the latents of a first frame and a table of learned positions.

    Raises:
        UserError: an unknown variant.
    """
    check_option("tora_cogvideox", "variant", variant, VARIANTS)
    config = TransformerConfig()
    if variant == "i2v":
        config = replace(config, in_channels=32, use_learned_positional_embeddings=True)
    return config
