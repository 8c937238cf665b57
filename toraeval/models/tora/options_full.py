"""Options of the full sizes of the `tora` generator, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch

from toraeval.config import ToraConfig
from toraeval.models.tora.autoencoder.tiling import Tiling
from toraeval.models.tora.sampling.pipeline_full import FullSampling
from toraeval.models.tora.sampling.sizes import CHUNK_FRAMES
from toraeval.types import UserError

POSTERIORS = ("mode", "sample")


@dataclass(frozen=True)
class FullOptions:
    """Options of the full sizes with their defaults, those of Open-Sora v1.2 except `posterior` and `align`.

    Attributes:
        steps: Euler steps.
        guidance: classifier-free guidance scale; 1 turns it off.
        vae, text_encoder: folder or file of the autoencoder, folder of T5; empty for the fetched ones, `random` for
            untrained stand-ins.
        device: `cpu`, `cuda`, `cuda:N`, or `auto`: a GPU if there is one.
        aesthetic: score added to the prompt; 0 adds none.
        motion_score: amount of motion added to the prompt, or None.
        camera_motion: words on the camera added to the prompt, or None.
        clean_prompt: clean the caption as in training (lower case, no links).
        posterior: `mode` or `sample` of the autoencoder's posterior; upstream samples.
        tiling: side in latent cells (8 pixels) of the tiles in which videos are decoded; 0 decodes whole pictures.
        compile: run the blocks through torch.compile.
        offload: keep each network on the device only while it works.
        align: latent frames to whose multiples given frames are moved (upstream: 5); None leaves them in place.
        loop_frames: longest clip made at once, a multiple of 17; longer videos are made in loops.

    Raises:
        UserError: a value outside its range.
    """

    steps: int = 30
    guidance: float = 7.0
    vae: str = ""
    text_encoder: str = ""
    device: str = "auto"
    aesthetic: float = 6.5
    motion_score: float | None = None
    camera_motion: str | None = None
    clean_prompt: bool = True
    posterior: str = "mode"
    tiling: int = 0
    compile: bool = False
    offload: bool = False
    align: int | None = None
    loop_frames: int = 204

    def __post_init__(self) -> None:
        smallest = 2 * CHUNK_FRAMES  # the overlap of a chunk and something new
        rules = {
            "aesthetic": (0 <= self.aesthetic <= 10, "0 (none) to 10"),
            "motion_score": (self.motion_score is None or 0 <= self.motion_score < math.inf, "0 and larger"),
            "posterior": (self.posterior in POSTERIORS, ", ".join(POSTERIORS)),
            "tiling": (self.tiling == 0 or self.tiling >= 4, "0 (whole pictures) or at least 4 latent cells"),
            "align": (self.align is None or self.align >= 1, "1 and larger"),
            "loop_frames": (
                self.loop_frames >= smallest and self.loop_frames % CHUNK_FRAMES == 0,
                f"multiples of {CHUNK_FRAMES} from {smallest}",
            ),
        }
        for name, (good, allowed) in rules.items():
            if not good:
                raise UserError(f"tora: {name}={getattr(self, name)}; allowed: {allowed}")

    @classmethod
    def of(cls, config: ToraConfig) -> FullOptions:
        """Return the options of a configuration, defaults where it says None."""
        given = {f.name: getattr(config, f.name) for f in fields(cls)}
        return cls(**{name: value for name, value in given.items() if value is not None})

    def sampling(self) -> FullSampling:
        """Return what the pipeline needs to know."""
        tiling = Tiling(self.tiling, max(1, self.tiling // 4)) if self.tiling else None
        return FullSampling(
            self.steps,
            self.guidance,
            self.posterior == "sample",
            self.align,
            self.loop_frames,
            tiling,
            self.offload,
        )


def resolve_device(name: str) -> torch.device:
    """Return the device that a name stands for; `auto` is a GPU if there is one, else the CPU.

    Raises:
        UserError: an unknown name, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"tora: device={name}; allowed: auto, cpu, cuda, cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UserError(
            f"tora: device={name}, but torch sees {torch.cuda.device_count()} GPU(s); allowed: cpu"
        )
    return torch.device(name)
