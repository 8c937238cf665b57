"""The `tora_cogvideox` generator: the only published Tora weights, text-to-video and image-to-video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval import assets
from toraeval.allowed import check_options
from toraeval.geometry import native_frames
from toraeval.models.shared.base import MAX_FRAMES, Generator, need_first_frame
from toraeval.models.shared.noise import keyed_generator, seeded_draw
from toraeval.models.shared.sampling_options import dtype_of, resolve_device, sampling_options
from toraeval.models.shared.trajectory import all_tracks, clipped_points
from toraeval.models.tora.conditions.t5 import T5Captions, encode_ahead
from toraeval.models.tora_cogvideox import checkpoint as weights_on_disk
from toraeval.models.tora_cogvideox.autoencoder import POSTERIORS, autoencoder_files, load_autoencoder
from toraeval.models.tora_cogvideox.checkpoint import FORMATS, SWITCH, WHAT
from toraeval.models.tora_cogvideox.config import VARIANTS
from toraeval.models.tora_cogvideox.pipeline import DenoisingOptions, Networks, RequestedClip, sample_frames
from toraeval.models.tora_cogvideox.solver import DYNAMIC_GUIDANCE, PUBLISHED_SCHEDULE, ZERO_SNR, Solver
from toraeval.types import Case, MissingAsset, UserError, Video

VERSION = "2"
FRAME_GROUP = 8  # the autoencoder decodes 1 + 8k frames
SIDE = 16  # pixels per token
NOT_NUMERIC = ("weights", "vae", "text_encoder", "offload")
"""Options that are places, or say where the same numbers are computed."""
UNCONDITIONAL = ("auto", "empty", "zeros")


@dataclass
class ToraCogVideoXOptions:
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

    Raises:
        UserError: an option outside its range.
    """

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

    def __post_init__(self) -> None:
        check_options(
            WHAT,
            self,
            variant=VARIANTS,
            format=("auto", *FORMATS),
            dynamic_guidance=DYNAMIC_GUIDANCE,
            unconditional=UNCONDITIONAL,
            zero_snr=("auto", *ZERO_SNR),
            posterior=POSTERIORS,
            learned_positions=SWITCH,
        )
        sampling_options(WHAT, (self.steps, self.guidance, self.precision))

    def torch_device(self) -> torch.device:
        """Return the device to run on, see `resolve_device`."""
        return resolve_device(WHAT, self.device)


class ToraCogVideoX(Generator):
    """Tora on CogVideoX-5B (alibaba/Tora).

    Args:
        options: fields of `ToraCogVideoXOptions`.

    Raises:
        UserError: an unknown option or one outside its range.
    """

    name = "tora_cogvideox"
    version = VERSION
    options_class = ToraCogVideoXOptions

    def __init__(self, **options: Any) -> None:
        self.options = ToraCogVideoXOptions(**options)
        default = assets.cache_dir() / f"tora_cogvideox_{self.options.variant}"
        self.path = Path(self.options.weights).expanduser() if self.options.weights else default
        self._networks: Networks | None = None
        self._captions: T5Captions | None = None

    def prepare(self) -> None:
        # the text encoder is loaded for captions not seen before
        if self._networks is not None:
            return
        o, found = self.options, self._found()
        dtype, device = dtype_of(o.precision), o.torch_device()
        place = torch.device("cpu") if o.offload else device
        solver = Solver(o.steps, self._schedule(), self._zero_snr(found.format))
        self._text()
        autoencoder = load_autoencoder(self._vae_folder(), o.tiling, place, dtype)
        transformer = weights_on_disk.load_transformer(
            self.path, o.variant, o.format, None, o.learned_positions, place, dtype
        )
        self._networks = Networks(transformer, autoencoder, solver)

    def prepare_cases(self, cases: Sequence[Case]) -> None:
        encode_ahead(self._text(), [text for case in cases for text in self._captions_of(case.prompt)])

    def check(self, frames: int, height: int, width: int) -> None:
        if not 2 <= frames <= MAX_FRAMES:
            raise UserError(f"{WHAT}: frames={frames}; allowed: 2 to {MAX_FRAMES} (trained on 49)")
        if height % SIDE or width % SIDE or min(height, width) < SIDE:
            near = [max(SIDE, round(side / SIDE) * SIDE) for side in (width, height)]
            raise UserError(
                f"{WHAT}: size {width}x{height}; allowed: sides divisible by {SIDE}, the nearest is "
                f"{near[0]}x{near[1]} (trained on 720x480)"
            )

    def fingerprint(self) -> dict[str, Any]:
        found = self._found()
        chosen = {name: value for name, value in asdict(self.options).items() if name not in NOT_NUMERIC}
        return {
            "model": self.name,
            "version": VERSION,
            **chosen,
            "format": found.format,
            "unconditional": self._unconditional(found.format),
            "zero_snr": self._zero_snr(found.format),
            "device": self.options.torch_device().type,
            "schedule": dict(self._schedule()),
            "weights_sha256": assets.files_sha256(weights_on_disk.weight_files(found)),
            "vae_sha256": assets.files_sha256(autoencoder_files(self._vae_folder())),
            "text": self._text().fingerprint(),
        }

    def check_case(self, case: Case, seed: int) -> None:
        self.check(case.frames, case.height, case.width)
        if self.options.variant == "i2v":
            need_first_frame(f"{self.name} variant=i2v", case)

    def generate(self, case: Case, seed: int) -> Video:
        """Generate one clip, at 1 + 8k frames in one go."""
        o = self.options
        self.check_case(case, seed)
        first_frame = case.first_frame_HWC if o.variant == "i2v" else None
        self.prepare()
        assert self._networks is not None
        config = self._networks.transformer.config
        made = native_frames(case.frames, FRAME_GROUP)
        tracks = all_tracks(case)
        text, tokens = self._encode(case.prompt)
        frames = sample_frames(
            self._networks,
            text,
            RequestedClip(tracks, made, case.height, case.width, first_frame),
            seeded_draw(keyed_generator(f"{case.suite}/{case.id}", seed, self.name)),
            DenoisingOptions(o.guidance, o.dynamic_guidance, o.posterior, o.torch_device(), o.offload),
        )
        info = {
            "requested": case.frames,
            "generated": made,
            "length_mode": "exact" if made == case.frames else "cut",
            "native_frames": config.sample_frames,
            "native_size": [8 * config.sample_width, 8 * config.sample_height],
            "first_frame": "none" if first_frame is None else "encoded",
            "last_frame": "none" if case.last_frame_HWC is None else "given, but not used",
            "trajectories": len(tracks),
            "trajectory_points": "truncated to integer pixels",
            "points_moved_inside": clipped_points(tracks, case.width, case.height),
            "prompt_tokens": tokens,
            "prompt_tokens_allowed": config.max_text_seq_length,
            "learned_positions": self._networks.transformer.learned_positions,
            "precision": o.precision,
            "device": str(o.torch_device()),
        }
        return Video.from_thwc(frames[: case.frames], case.fps, info)

    def _encode(self, prompt: str) -> tuple[Tensor, int]:
        """Return caption features, the unconditional ones first under guidance, and the caption's length in tokens."""
        captions = self._text()
        features, mask = captions.encode(self._captions_of(prompt))
        captions.release()
        features = features[:, 0]
        given = features[:1]
        without = features[1:] if len(features) > 1 else torch.zeros_like(given)
        guided = self.options.guidance > 1
        return (torch.cat((without, given)) if guided else given), int(mask[0].sum())

    def _captions_of(self, prompt: str) -> list[str]:
        """Return what is encoded for a prompt: itself, then the unconditional caption where there is one."""
        empty = self.options.guidance > 1 and self._unconditional(self._found().format) == "empty"
        return [prompt, ""] if empty else [prompt]

    def _text(self) -> T5Captions:
        if self._captions is None:
            o = self.options
            found = self._found()
            folder = Path(o.text_encoder).expanduser() if o.text_encoder else self._beside("text_encoder")
            if not folder.is_dir():
                raise MissingAsset(
                    f"{WHAT}: no text encoder at {folder} (T5 v1.1 XXL with its tokenizer); name one with "
                    f"model.text_encoder=FOLDER or run: {weights_on_disk.FETCH}"
                )
            config = weights_on_disk.read_config(found, o.variant)
            self._captions = T5Captions(
                folder if o.text_encoder else folder.parent,
                config.max_text_seq_length,
                o.torch_device(),
                o.precision,
                assets.cache_dir() / "captions",
                mask_padding=False,
                width=config.text_embed_dim,
            )
        return self._captions

    def _found(self) -> weights_on_disk.Checkpoint:
        if not self.path.exists():
            command = f"{weights_on_disk.FETCH} variant={self.options.variant}"
            raise MissingAsset(f"{WHAT}: no weights at {self.path}; run: {command}")
        return weights_on_disk.find_checkpoint(self.path, self.options.format)

    def _vae_folder(self) -> Path:
        return Path(self.options.vae).expanduser() if self.options.vae else self._beside("vae")

    def _beside(self, part: str) -> Path:
        path = self._found().path
        return (path.parent if path.is_file() else path) / part

    def _schedule(self) -> dict[str, Any]:
        file = self._beside("scheduler") / "scheduler_config.json"
        stored = weights_on_disk.read_json(file) if file.is_file() else {}
        return {**PUBLISHED_SCHEDULE, **{k: v for k, v in stored.items() if k in PUBLISHED_SCHEDULE}}

    def _unconditional(self, format: str) -> str:
        chosen = self.options.unconditional
        return chosen if chosen != "auto" else "zeros" if format == "sat" else "empty"

    def _zero_snr(self, format: str) -> str:
        chosen = self.options.zero_snr
        return chosen if chosen != "auto" else "sampled" if format == "sat" else "all"
