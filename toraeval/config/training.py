"""Options of `train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TRAINING_BUCKETS: dict[str, dict[int, list[float]]] = {
    "720p": {17: [0.1, 1]},
    "480p": {102: [0.2, 1], 51: [0.3, 2]},
    "240p": {102: [0.4, 4], 51: [0.6, 8], 17: [0.8, 16]},
    "144p": {17: [0.8, 25], 1: [1.0, 25]},
}
"""{resolution: {frames: [chance, clips per batch]}} of the full model's training, unless given otherwise."""


@dataclass
class FullSizeOptions:
    """Options of `python -m toraeval train` that only `size=xl2` and `size=tiny` have; see docs/training.md.

    Attributes:
        data: `shapes`, or a folder of videos with captions.
        flow_estimator, flow_weights: of optical flow for a folder: `dis`, `raft` with its weights, or `given`.
        buckets: {resolution: {frames: [chance, clips]}}, see `toraeval.training.data.buckets`;
            `TRAINING_BUCKETS` if not
            given.
        enlarge: admit videos with fewer pixels than a bucket.
        cut: how clips are cut out of videos, the fields of `toraeval.training.data.video_folder.CutRules`.
        cache: folder for latents of clips that are met again; each video then gives one fixed cut.
        vae, text_encoder: folders of published weights, or `random` to try the training without.
        posterior: `mode` or `sample` of the autoencoder.
        stage_steps: steps on dense flow, then on sparse trajectories.
        batches_per_step: batches whose gradients are averaged; a multiple of the number of processes.
        trainable: `motion` (extractor and fusers) or `all`.
        fuser, fuser_place, compression: the paper's designs, see `toraeval.models.shared.network.config.STDiTConfig`.
        lr, weight_decay, betas, eps, clip, warmup_steps: of AdamW, per stage.
        average: decay of the moving average of the weights.
        text_dropout: share of clips without their caption.
        frame_masks: share of clips under each mask of given frames, by default Open-Sora's.
        precision: `bf16` (computed from float32 weights) or `fp32`.
        checkpointing: recompute blocks in the backward pass to save memory.
        save_every, keep: steps between checkpoints, and how many stay.
        tensorboard: also write TensorBoard events.
    """

    data: str = "shapes"
    flow_estimator: str = "dis"
    flow_weights: str | None = None
    buckets: Any = None
    enlarge: bool = False
    cut: Any = None
    cache: str | None = None
    vae: str | None = None
    text_encoder: str | None = None
    posterior: str = "mode"
    stage_steps: list[int] = field(default_factory=lambda: [15000, 15000])
    batches_per_step: int = 1
    trainable: str = "motion"
    fuser: str = "adaptive_norm"
    fuser_place: str = "temporal"
    compression: str = "vae"
    lr: float = 2e-5
    weight_decay: float = 0.0
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-15
    clip: float = 1.0
    warmup_steps: int = 1000
    average: float = 0.99
    text_dropout: float = 0.1
    frame_masks: Any = None
    precision: str = "bf16"
    checkpointing: bool = True
    save_every: int = 500
    keep: int = 2
    tensorboard: bool = False


@dataclass
class TrainConfig(FullSizeOptions):
    """`python -m toraeval train`.

    Attributes:
        model, size: `tora`, `wan_move`, `motionctrl` or `dragnuwa`, and `nano`; of Tora also `xl2` or `tiny`,
            the test size of the full model.
        minutes: nano only: training time in all, added up over restarts; rendering comes on top.
        samples: nano only: clips to train on in all, instead of `minutes`.
        rate: nano only: factor on the learning rates.
        clips: number of 17-frame clips to render, longer ones follow in fixed proportion; for the other sizes the
            number of scenes of `data=shapes`.
        folder: where everything that is written lies; keep it to resume later.
        workers: nano only: processes, one thread each on the CPU; 1 on a GPU.
        device: `cpu` or `cuda`.
        start: weights to begin from: a file or folder, `shipped` (nano), `random`, or nothing.
        export: where the trained weights go; inside `folder` if not given.
        seed: seed of weights and draws.
    """

    model: str = "tora"
    size: str = "nano"
    minutes: float = 110.0
    samples: int | None = None
    rate: float = 1.0
    clips: int = 9000
    folder: str = "training_state"
    workers: int = 2
    device: str = "cpu"
    start: str | None = None
    export: str | None = None
    seed: int = 0
