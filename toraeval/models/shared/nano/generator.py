"""What the embedded models have in common as generators: shipped weights, CPU, a first frame and paths in."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from toraeval.geometry import native_frames
from toraeval.machine import give_back_memory
from toraeval.models.shared.base import MAX_FRAMES, Generator, need_first_frame
from toraeval.models.shared.nano.checkpoint import (
    read_card,
    require_autoencoder,
    require_model,
    train_command,
)
from toraeval.models.shared.nano.pipeline import BLOCK, ClipRequest, Window, make_windows, sample_latents
from toraeval.models.shared.sampling_options import sampling_options
from toraeval.models.shared.trajectory import all_tracks
from toraeval.store.keys import current_sha256
from toraeval.types import ByteArray, Case, FloatArray, MissingAsset, UserError, Video

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder

LARGE = 2**28  # bytes of a clip for whose sake what the network has freed is given back to the system first


class EmbeddedOptions(Protocol):
    """Options of every embedded model; None is the default."""

    steps: int | None
    guidance: float | None
    precision: str
    weights: str | None


class NanoGenerator(Generator):
    """A model on the latents of the linear patch autoencoder.

    Args:
        options: steps, guidance, precision and a weights file of your own.

    Attributes:
        version: of the generator; raised when the same options give other pixels.
        default_steps: sampling steps if the options give none.
        multiple: pixels that divide both sides of a picture.
        lengths: what the record says of the lengths that the model was made for.

    Raises:
        UserError: an option outside its range.
    """

    version: ClassVar[str] = "1"
    default_steps: ClassVar[int] = 1
    multiple: ClassVar[int] = 2 * BLOCK
    lengths: ClassVar[str] = "any (trained on 17 to 129)"

    def __init__(self, options: EmbeddedOptions) -> None:
        given = (options.steps, options.guidance, options.precision)
        self.sampling = sampling_options(self.name, given, self.default_steps)
        self.path = Path(options.weights) if options.weights else self.shipped()
        self._loaded: tuple[nn.Module, LinearPatchAutoencoder] | None = None

    @abstractmethod
    def shipped(self) -> Path:
        """Return where the shipped weights lie."""

    @abstractmethod
    def load(self) -> tuple[nn.Module, LinearPatchAutoencoder]:
        """Return the networks in `self.path`."""

    @staticmethod
    @abstractmethod
    def conditions(
        network: Any, vae: LinearPatchAutoencoder, request: ClipRequest, first_1C1hw: Tensor, rows: int
    ) -> dict[str, Any]:
        """Return what the network is given of caption and paths, see `pipeline.Conditions`."""

    def plan(self, frames: int) -> list[Window]:
        """Return the passes that make a clip of `frames` frames: one, of the next length that has whole latents."""
        return [Window(0, 0, native_frames(frames), 1)]

    def noise_key(self, case: Case, window: Window) -> str:
        """Return what decides the noise of a pass, besides the seed."""
        return f"{case.suite}/{case.id}"

    def choices(self) -> dict[str, Any]:
        """Return further options that change the pixels, for the fingerprint."""
        return {}

    def facts(self, case: Case, plan: list[Window]) -> dict[str, Any]:
        """Return what the record says of a clip besides what all embedded models say."""
        assert self._loaded is not None
        return {"steps": self.sampling.steps, "binding": self._loaded[0].config.binding}

    def prepare(self) -> None:
        if self._loaded is None:
            self._loaded = self.load()

    def check(self, frames: int, height: int, width: int) -> None:
        if not 2 <= frames <= MAX_FRAMES:
            raise UserError(f"{self.name}: frames={frames}; allowed: 2 to {MAX_FRAMES}")
        if height % self.multiple or width % self.multiple or min(height, width) < 2 * BLOCK:
            least = f", at least {2 * BLOCK}" if self.multiple < 2 * BLOCK else ""
            raise UserError(
                f"{self.name}: size {width}x{height}; allowed: sides divisible by {self.multiple}{least}"
            )

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file, read once, so that it stays that of the loaded weights."""
        if not self.path.exists():
            command = train_command(self.name)
            raise MissingAsset(f"{self.name}: no weights at {self.path}; train them with: {command}")
        if not self.path.is_file():
            raise UserError(f"{self.name}: weights={self.path} is not a file; allowed: a safetensors file")
        return current_sha256(self.path)

    @cached_property
    def binding(self) -> str:
        """How the weights were trained to know an object, `none` or `entity`; checks that they are of this model."""
        card = read_card(self.path, self.name)
        require_model(card, self.path, self.name)
        require_autoencoder(card, self.path, self.name)
        return str(card.get("architecture", {}).get("binding", "none"))

    def fingerprint(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "size": "nano",
            "version": self.version,
            **asdict(self.sampling),
            **self.choices(),
            "weights_sha256": self.weights_sha256,
            "binding": self.binding,
        }

    def check_case(self, case: Case, seed: int) -> None:
        need_first_frame(self.name, case)
        if case.last_frame_HWC is not None:
            self.refuse_last_frame(case)
        self.check(case.frames, case.height, case.width)

    def refuse_last_frame(self, case: Case) -> None:
        """Say that a last frame has no use.

        Raises:
            UserError: always, unless the options say to ignore it.
        """
        raise UserError(
            f"case {case.id}: {self.name} takes no last frame; allowed: cases with a first frame only"
        )

    def generate(self, case: Case, seed: int) -> Video:
        from toraeval.models.shared.nano.caption_encoder import prompt_facts

        self.check_case(case, seed)
        assert case.first_frame_HWC is not None
        self.prepare()
        plan = self.plan(case.frames)
        make = partial(self._window, case, seed, len(plan))
        frames = make_windows(plan, case.first_frame_HWC, all_tracks(case), make)
        info = {
            "requested": case.frames,
            "generated": len(frames),
            "length_mode": "exact" if len(frames) == case.frames else "cut",
            **self.facts(case, plan),
            "first_frame": "given",
            "native_frames": self.lengths,
            "precision": self.sampling.precision,
            "device": "cpu",
            **prompt_facts(case.prompt),
            **({} if case.camera is None else {"camera_paths": case.camera.num_objects}),
        }
        return Video.from_thwc(frames[: case.frames], case.fps, info)

    def sample(self, request: ClipRequest) -> Tensor:
        """Return the latents of one pass, see `sample_latents`."""
        assert self._loaded is not None
        return sample_latents(*self._loaded, request, self.sampling, self.conditions)

    def _window(
        self,
        case: Case,
        seed: int,
        passes: int,
        window: Window,
        given_THWC: ByteArray,
        tracks_NT2: FloatArray,
    ) -> ByteArray:
        """Make the frames of one window, uint8 (T, H, W, 3)."""
        import torch

        assert self._loaded is not None
        key = self.noise_key(case, window)
        request = ClipRequest(key, seed, case.prompt, given_THWC, tracks_NT2, case.fps)
        latents = self.sample(request)
        if not torch.isfinite(latents).all():
            where = f" in window {window.index}" if passes > 1 else ""
            raise UserError(f"{self.name}: case {case.id} gave non-finite latents{where}; try precision=fp32")
        if window.frames * case.height * case.width * 3 > LARGE:
            give_back_memory()
        return self._loaded[1].decode(latents)
