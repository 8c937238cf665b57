"""Options of the models that are slow to import."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from toraeval.config.upstream import DragNUWAUpstreamOptions, MotionCtrlUpstreamOptions


@dataclass
class ToraConfig:
    """See `toraeval.models.tora.generator.Tora`; None stands for the default of the size.

    The options from `vae` on are those of the full sizes, see `toraeval.models.tora.generator_full.FullOptions`.

    Attributes:
        size: nano, xl2 or tiny.
        steps: sampling steps, 1 to 1000.
        guidance: classifier-free guidance scale, at least 1; 1 turns it off.
        precision: bf16 or fp32.
        weights: file or folder of your own; at size=xl2 also `random`, for timings.
        condition: auto (what the case gives), text, first_frame or first_last_frame.
    """

    name: str = "tora"
    size: str = "nano"
    steps: int | None = None
    guidance: float | None = None
    precision: str = "bf16"
    weights: str | None = None
    condition: str = "auto"
    vae: str | None = None
    text_encoder: str | None = None
    device: str | None = None
    aesthetic: float | None = None
    motion_score: float | None = None
    camera_motion: str | None = None
    clean_prompt: bool | None = None
    posterior: str | None = None
    tiling: int | None = None
    compile: bool | None = None
    offload: bool | None = None
    align: int | None = None
    loop_frames: int | None = None


@dataclass
class ToraCogVideoXConfig:
    """Options of `model=tora_cogvideox`.

    Attributes:
        variant: `t2v`, or `i2v`, which needs a first frame.
        weights: folder or sat file; by default where `fetch` puts it.
        format: `diffusers`, `sat`, `split`, or `auto` to recognise it.
        vae: autoencoder in diffusers' layout; by default `vae/` beside the weights.
        text_encoder: T5 v1.1 XXL with tokenizer; by default beside the weights.
        steps: sampling steps, 1 to 1000.
        guidance: classifier-free guidance scale, at least 1; 1 turns it off.
        dynamic_guidance: `published`, `step_index` or `off`, see `solver.guidance_scale`.
        unconditional: caption features of the unconditional half: of the `empty` caption, `zeros`, or `auto`: zeros
            for sat, whose training drops captions to zeros, otherwise empty, each as its code has it.
        zero_snr: `all`, `sampled`, or `auto`: sampled for sat, see `solver.Solver`.
        posterior: `sample` (as published) or `mode` of the autoencoder for trajectories and first frame.
        learned_positions: `on`, `off` or `auto`, see `checkpoint.load_transformer`.
        precision: `bf16` or `fp32`.
        device: `cpu`, `cuda`, `cuda:1`, ..., or `auto`: a GPU where there is one.
        offload: keep each network on the CPU while it is not in use.
        tiling: run the autoencoder on overlapping tiles; less memory, faint seams.
    """

    name: str = "tora_cogvideox"
    variant: str = "t2v"
    weights: str | None = None
    format: str = "auto"
    vae: str | None = None
    text_encoder: str | None = None
    steps: int = 50
    guidance: float = 6.0
    dynamic_guidance: str = "published"
    unconditional: str = "auto"
    zero_snr: str = "auto"
    posterior: str = "sample"
    learned_positions: str = "auto"
    precision: str = "bf16"
    device: str = "auto"
    offload: bool = False
    tiling: bool = False


@dataclass
class RivalConfig:
    """What `model=motionctrl` and `model=dragnuwa` have in common, see `baselines/unet/rival.py`.

    Attributes:
        size: nano (embedded) or upstream (the authors' repository).
        long_video: how more than 17 frames are reached: autoregressive or direct; nano only.
        overlap: frames that a window is given of the one before: 1, 5 or 9; nano only.
        steps: sampling steps, 1 to 1000; None is the default of the size.
        guidance: classifier-free guidance scale, at least 1; None is the default of the size.
        precision: bf16 or fp32; nano only.
        weights: file of your own; nano only.
    """

    name: str = MISSING
    size: str = "nano"
    long_video: str = "autoregressive"
    overlap: int = 1
    steps: int | None = None
    guidance: float | None = None
    precision: str = "bf16"
    weights: str | None = None


@dataclass
class MotionCtrlConfig(MotionCtrlUpstreamOptions, RivalConfig):
    """Options of `model=motionctrl`; those of `MotionCtrlUpstreamOptions` are for size=upstream."""

    name: str = "motionctrl"


@dataclass
class DragNUWAConfig(DragNUWAUpstreamOptions, RivalConfig):
    """Options of `model=dragnuwa`; those of `DragNUWAUpstreamOptions` are for size=upstream."""

    name: str = "dragnuwa"


@dataclass
class WanMoveConfig:
    """Options of `model=wan_move`, see `baselines/wan_move/generator.py`.

    Attributes:
        size: nano (embedded).
        steps: sampling steps, 1 to 1000; None is the default.
        guidance: classifier-free guidance scale, at least 1; None is the default, 1 (off).
        precision: bf16 or fp32.
        weights: file of your own.
    """

    name: str = "wan_move"
    size: str = "nano"
    steps: int | None = None
    guidance: float | None = None
    precision: str = "bf16"
    weights: str | None = None


@dataclass
class GroundTruthConfig:
    name: str = "ground_truth"


@dataclass
class StaticConfig:
    name: str = "static"


@dataclass
class CutAndDragConfig:
    """See `toraeval.models.cut_and_drag.CutAndDrag`."""

    name: str = "cut_and_drag"
    radius: float = 0.11
    inpaint_radius: int = 5


@dataclass
class PrecomputedConfig:
    """See `toraeval.models.precomputed.Precomputed`."""

    name: str = "precomputed"
    videos: str = MISSING
    label: str | None = None
    cut: bool = False
    allow_damaged: bool = False
