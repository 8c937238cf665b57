"""The full sizes of the `tora` generator: published or trained weights, captions through T5, any picture size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from PIL import Image

from toraeval.allowed import check_option
from toraeval.models.shared.base import MAX_FRAMES, Generator
from toraeval.models.shared.sampling_options import resolve_device
from toraeval.models.shared.trajectory import all_tracks, clipped_points
from toraeval.models.tora.checkpoints.parts import Parts
from toraeval.models.tora.conditions.given_frames import (
    FRAME_STRATEGIES,
    Condition,
    frame_conditions,
    loop_spans,
    parse_strategy,
)
from toraeval.models.tora.conditions.motion import motion_facts
from toraeval.models.tora.conditions.prompts import (
    LoopPart,
    PromptOptions,
    prepare_prompt,
    prompt_of_loop,
    split_options,
)
from toraeval.models.tora.conditions.t5 import encode_ahead
from toraeval.models.tora.options import EVERY_SIZE, ToraOptions
from toraeval.models.tora.sampling.pipeline import OVERLAP, Caption, VideoPipeline, VideoRequest
from toraeval.models.tora.sampling.sizes import CHUNK_FRAMES, SPACE_STRIDE
from toraeval.types import ByteArray, Case, FloatArray, UserError, Video

VERSION = "1"
MIN_SIDE, MAX_SIDE = 16, 4096
MAX_TRACKS = 16
RESIZE = "pillow bicubic"


class OpenSoraTora(Generator):
    """Tora on Open-Sora's autoencoder and T5: sizes `xl2` and `tiny`.

    Args:
        config: options.

    Raises:
        UserError: an option outside its range.
        MissingAsset: weights that are not there.
    """

    def __init__(self, config: ToraOptions) -> None:
        check_option("tora", "condition", config.condition, ("auto", *FRAME_STRATEGIES))
        self.options, self.sampling = config, config.sampling()
        self.device = resolve_device("tora", config.device)
        self.parts = Parts(config, self.device)
        self._pipeline: VideoPipeline | None = None

    def prepare(self) -> None:
        # the text encoder is loaded for captions not seen before
        if self._pipeline is not None:
            return
        place = torch.device("cpu") if self.options.offload else self.device
        model, vae = self.parts.networks(place)
        if not self.parts.motion_trained:
            warnings.warn(
                f"tora: {self.parts.weights} holds no trajectory extractor and fusers, so trajectories have no "
                "effect; train them with: python -m toraeval train model=tora size=xl2",
                stacklevel=2,
            )
        self._pipeline = VideoPipeline(model, vae, self.options, self.device)

    def prepare_cases(self, cases: Sequence[Case]) -> None:
        texts: set[str] = set()
        for case in cases:
            with suppress(UserError):  # a prompt whose options do not fit is the failure of its case alone
                texts.update(self._texts(case)[1])
        encode_ahead(self.parts.text_encoder(), texts)

    def check(self, frames: int, height: int, width: int) -> None:
        if not 2 <= frames <= MAX_FRAMES:
            raise UserError(f"tora: frames={frames}; allowed: 2 to {MAX_FRAMES}")
        if min(height, width) < MIN_SIDE or max(height, width) > MAX_SIDE:
            raise UserError(
                f"tora: size {width}x{height}; allowed: sides from {MIN_SIDE} to {MAX_SIDE} pixels"
            )

    def fingerprint(self) -> dict[str, Any]:
        # paths and places do not change the pixels
        left_out = (*EVERY_SIZE, "vae", "text_encoder", "offload")
        options = {
            f.name: getattr(self.options, f.name) for f in fields(self.options) if f.name not in left_out
        }
        return {
            "model": "tora",
            "size": self.options.size,
            "version": VERSION,
            "precision": self.options.precision,
            "condition": self.options.condition,
            "steps": self.sampling.steps,
            "guidance": self.sampling.guidance,
            **options,
            **self.options.caching(),
            "device": self.device.type,
            **self.parts.fingerprint(),
            "motion": motion_facts(self.parts.config, "inference") if self.parts.motion_trained else "none",
        }

    def check_case(self, case: Case, seed: int) -> None:
        self.check(case.frames, case.height, case.width)
        _tracks(case, *(side // SPACE_STRIDE * SPACE_STRIDE for side in (case.height, case.width)))
        self._given_frames(case, self._prompt_with_options(case).mask_strategy, 1)

    def generate(self, case: Case, seed: int) -> Video:
        # the autoencoder takes 1 to 7 pixels of sides that are not multiples of 8, and the frames are resized
        self.check(case.frames, case.height, case.width)
        height, width = (side // SPACE_STRIDE * SPACE_STRIDE for side in (case.height, case.width))
        spans = loop_spans(case.frames, self.options.loop_frames, OVERLAP)
        tracks = _tracks(case, height, width)
        sent = self._prompt_with_options(case)
        kind, conditions, pictures = self._given_frames(case, sent.mask_strategy, len(spans))
        self.prepare()
        assert self._pipeline is not None
        parts, texts = self._texts(case)
        request = VideoRequest(
            key=f"{case.suite}/{case.id}",
            seed=seed,
            frames=case.frames,
            height=height,
            width=width,
            told_size=(case.height, case.width),
            fps=case.fps,
            tracks_NT2=tracks if self.parts.motion_trained else None,
            references=[_resized(picture, height, width) for picture in pictures],
            conditions=conditions,
        )
        captions = self._captions(texts)
        frames = self._pipeline.generate(request, captions)
        resized = (height, width) != (case.height, case.width)
        if resized:
            frames = np.stack([_resized(frame, case.height, case.width) for frame in frames])
        info = {
            "requested": case.frames,
            "generated": case.frames,
            "length_mode": "exact" if len(spans) == 1 else "autoregressive",
            "seams": [end for _, end in spans[:-1]],
            "native_frames": f"2 to {self.options.loop_frames}, best multiples of {CHUNK_FRAMES}",
            "generated_size": [width, height],
            "resize": RESIZE if resized else "none",
            "condition": kind,
            "trajectories": len(tracks),
            "points_moved_inside": clipped_points(tracks, width, height),
            "motion_weights": self.parts.motion_weights,
            "prompt": texts[0] if len(parts) == 1 else "|".join(texts),
            # a count that reaches the limit may have been cut
            "prompt_tokens": [int(caption.mask.sum()) for caption in captions[: len(parts)]],
            "prompt_tokens_limit": self.parts.config.model_max_length,
            "precision": self.options.precision,
            "device": str(self.device),
            **self._pipeline.cache_facts(),
        }
        return Video.from_thwc(frames, case.fps, info)

    def _prompt_with_options(self, case: Case) -> PromptOptions:
        options = split_options(case.prompt)
        if options.reference_path:
            raise UserError(
                f"case {case.id}: the prompt names reference_path {options.reference_path!r}; given frames come from "
                "the case: allowed are mask_strategy in the prompt, first_frame and last_frame in the suite"
            )
        return options

    def _given_frames(
        self, case: Case, strategy: str, loops: int
    ) -> tuple[str, Sequence[Condition], list[ByteArray]]:
        """Return what the case is conditioned on: its name, the conditions and the pictures they refer to."""
        pictures = [p for p in (case.first_frame_HWC, case.last_frame_HWC) if p is not None]
        if strategy:
            return f"mask strategy {strategy}", parse_strategy(strategy), pictures
        kinds = list(FRAME_STRATEGIES)  # ordered by the number of pictures they need
        kind = kinds[len(pictures)] if self.options.condition == "auto" else self.options.condition
        if len(pictures) < kinds.index(kind):
            raise UserError(
                f"case {case.id}: condition={kind} needs {kinds.index(kind)} given frame(s), the case has "
                f"{len(pictures)}; allowed: condition=auto, or {', '.join(kinds[: len(pictures) + 1])}"
            )
        return kind, frame_conditions(kind, loops), pictures[: kinds.index(kind)]

    def _texts(self, case: Case) -> tuple[list[LoopPart], list[str]]:
        """Return the parts of a case's prompt, and the caption of each loop."""
        parts = self._prompt_parts(self._prompt_with_options(case).prompt)
        loops = len(loop_spans(case.frames, self.options.loop_frames, OVERLAP))
        return parts, [prompt_of_loop(parts, loop) for loop in range(loops)]

    def _prompt_parts(self, prompt: str) -> list[LoopPart]:
        o = self.options
        scores = (o.aesthetic or None, o.motion_score, o.camera_motion)
        return prepare_prompt(prompt, *scores, clean=o.clean_prompt)

    def _captions(self, texts: Sequence[str]) -> list[Caption]:
        encoder = self.parts.text_encoder()
        try:
            encoded = {text: Caption(*encoder.encode([text])) for text in dict.fromkeys(texts)}
        finally:
            encoder.release()  # it is larger than the network that samples
        return [encoded[text] for text in texts]


def _tracks(case: Case, height: int, width: int) -> FloatArray:
    """Return all paths of a case, camera paths last, in pixels of the made picture."""
    tracks = all_tracks(case, (width, height))
    if len(tracks) > MAX_TRACKS:
        raise UserError(
            f"case {case.id}: {len(tracks)} trajectories, camera paths included; allowed: 1 to {MAX_TRACKS}"
        )
    return tracks


def _resized(picture_HWC: ByteArray, height: int, width: int) -> ByteArray:
    if picture_HWC.shape[:2] == (height, width):
        return picture_HWC
    image = Image.fromarray(np.ascontiguousarray(picture_HWC))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
