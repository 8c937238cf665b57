"""Options of the `tora` generator, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from toraeval.allowed import COUNT, NOT_NEGATIVE, Numbers, check_option, check_options
from toraeval.models.shared.network.config import STDiTConfig, nano, tiny, xl2
from toraeval.models.shared.network.step_cache import THRESHOLD, StepCache, check_cache
from toraeval.models.shared.sampling_options import SamplingOptions, sampling_options
from toraeval.models.tora.sampling.sizes import CHUNK_FRAMES
from toraeval.registry import unknown
from toraeval.types import UserError

NANO_VERSION = "2"  # 2: blocks work in slices, which changes the last bits
POSTERIORS = ("mode", "sample")
EVERY_SIZE = ("size", "steps", "guidance", "precision", "weights", "condition", "cache", "cache_threshold")


@dataclass(frozen=True)
class Size:
    """What a size of Tora consists of.

    Attributes:
        network: makes the configuration of its transformer.
        steps, guidance: sampling defaults.
        embedded: whether it has the linear patch autoencoder, a word encoder and shipped weights; otherwise it has
            Open-Sora's autoencoder, T5, and weights in files of their own.
        published: fetched assets by the option that names them.
    """

    network: Callable[..., STDiTConfig]
    steps: int = 30
    guidance: float = 7.0
    embedded: bool = False
    published: Mapping[str, str] = field(default_factory=dict)


SIZES = {
    # the transformer is the one Tora began from, as its own motion parts are unpublished
    "xl2": Size(
        xl2,
        published={"weights": "opensora_stdit_v3", "vae": "opensora_vae_v1_2", "text_encoder": "t5_v1_1_xxl"},
    ),
    # steps chosen by `train task=steps`, see docs/models/tora_steps.csv
    "nano": Size(nano, steps=1, guidance=1.0, embedded=True),
    "tiny": Size(tiny),
}


@dataclass
class ToraOptions:
    """Options of `model=tora`; the full sizes' defaults are those of Open-Sora v1.2 except `posterior` and `align`.

    Attributes:
        size: `nano` (embedded), `xl2` (the published network) or `tiny` (for tests).
        steps: sampling steps, 1 to 1000; by default 1 for nano, 30 for the others.
        guidance: classifier-free guidance scale, at least 1 (off); by default 1 for nano, 7 for the others.
        precision: `bf16` or `fp32`.
        weights: file or folder of your own; at size=xl2 also `random`, for timings.
        condition: `auto` (what the case gives), `text`, `first_frame` or `first_last_frame`.
        cache: take blocks (`teacache`) or attention outputs (`pab`) from earlier steps, with other pixels, or `none`.
        cache_threshold: of `teacache`, the summed relative change up to which steps are skipped.
        vae: file or folder of the autoencoder, by default the fetched one, or `random`; not for nano.
        text_encoder: folder of T5, by default the fetched one, or `random`; not for nano.
        device: `cpu`, `cuda`, `cuda:N`, or `auto`: a GPU if there is one; not for nano.
        aesthetic: score added to the prompt, 0 (none) to 10; not for nano.
        motion_score: amount of motion added to the prompt, 0 and larger; not for nano.
        camera_motion: words on the camera added to the prompt; not for nano.
        clean_prompt: clean the caption as in training (lower case, no links); not for nano.
        posterior: `mode` or `sample` of the autoencoder's posterior; upstream samples; not for nano.
        tiling: side of the tiles in which videos are decoded, at least 4 latent cells (8 pixels), or 0 for whole
            pictures; not for nano.
        compile: run the blocks through torch.compile; not for nano.
        offload: keep each network on the device only while it works; not for nano.
        align: latent frames to whose multiples given frames are moved (upstream: 5), or in place; not for nano.
        loop_frames: longest clip made at once, a multiple of 17 from 34; longer ones are made in loops; not for nano.

    Raises:
        UserError: an unknown size, a value outside its range, or an option that the size does not have.
    """

    size: str = "nano"
    steps: int | None = None
    guidance: float | None = None
    precision: str = "bf16"
    weights: str | None = None
    condition: str = "auto"
    cache: str = "none"
    cache_threshold: float = THRESHOLD
    vae: str | None = None
    text_encoder: str | None = None
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
        if self.size not in SIZES:
            raise UserError(f"tora: {unknown('size', self.size, SIZES)}")
        for option in fields(self):
            value = getattr(self, option.name)
            if SIZES[self.size].embedded and option.name not in EVERY_SIZE and value != option.default:
                raise UserError(
                    f"tora: size={self.size} has no option {option.name} (got {value}); "
                    "allowed: leave it out, or size=xl2"
                )
        check_cache("tora", self.cache, self.cache_threshold)
        if self.cache == "pab" and self.compile:
            raise UserError("tora: cache=pab does not go together with compile=true; allowed: one of the two")
        check_options("tora", self, aesthetic=Numbers(0, 10), motion_score=NOT_NEGATIVE, align=COUNT)
        check_option("tora", "posterior", self.posterior, POSTERIORS)
        if self.tiling and self.tiling < 4:
            raise UserError(
                f"tora: tiling={self.tiling}; allowed: 0 (whole pictures) or at least 4 latent cells"
            )
        smallest = 2 * CHUNK_FRAMES  # the overlap of a chunk and something new
        if self.loop_frames < smallest or self.loop_frames % CHUNK_FRAMES:
            raise UserError(
                f"tora: loop_frames={self.loop_frames}; allowed: multiples of {CHUNK_FRAMES} from {smallest}"
            )

    def caching(self) -> dict[str, Any]:
        """Return what a fingerprint says of the cache: nothing without one."""
        if self.cache == "none":
            return {}
        limit = {"cache_threshold": self.cache_threshold} if self.cache == "teacache" else {}
        return {"cache": self.cache, **limit}

    def new_cache(self) -> StepCache | None:
        """Return the memory for one sampling run, None without one."""
        return (
            None
            if self.cache == "none"
            else StepCache(self.cache, self.sampling().steps, self.cache_threshold)
        )

    def sampling(self) -> SamplingOptions:
        """Return steps, guidance and precision, the size's own where none are given."""
        size = SIZES[self.size]
        return sampling_options(
            "tora", (self.steps, self.guidance, self.precision), size.steps, size.guidance
        )
