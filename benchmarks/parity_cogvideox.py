"""Our modules against recordings of Tora's release: transformer on CogVideoX, sat checkpoints, schedule, whole runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.parity_colours import LEVEL, jumps, level_difference
from benchmarks.parity_data import RELATIVE, Recording, Row, row
from toraeval.models.shared.flow_colour import flow_video
from toraeval.models.shared.trajectory import blur_flow, sparse_flow
from toraeval.models.shared.weight_files import fill
from toraeval.models.tora_cogvideox.config import TransformerConfig, with_sat_norms
from toraeval.models.tora_cogvideox.pipeline import DenoisingOptions, denoise
from toraeval.models.tora_cogvideox.sat import SatReader
from toraeval.models.tora_cogvideox.solver import PUBLISHED_SCHEDULE, Solver, guidance_scale
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer, rotary_positions
from toraeval.types import UserError

SAT = 2e-6  # tight enough to see the two epsilons of its norms, see docs/parity.md
NETWORK = 2e-5  # whole runs add up what the steps are off
NOTES = ("learnable_pos_embed_param_present", "learnable_pos_embed_is_used")


def cogvideox_config(recorded: Recording) -> TransformerConfig:
    """Return the configuration of a recording; sat's notes on learned positions become ours."""
    options = recorded.json("config")
    config = TransformerConfig.from_json({k: v for k, v in options.items() if k not in NOTES})
    return replace(config, use_learned_positional_embeddings=True) if options.get(NOTES[0]) else config


def cogvideox(recorded: Recording) -> Iterator[Row]:
    """Outputs of the transformer, with and without trajectory."""
    model = ToraCogVideoXTransformer(cogvideox_config(recorded)).eval()
    model.load_state_dict(dict(recorded.under("sd/")), strict=True)
    yield from _cases(recorded, model)


def sat(recorded: Recording) -> Iterator[Row]:
    """The same from a checkpoint in sat's layout."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mp_rank_00_model_states.pt"
        torch.save({"module": dict(recorded.under("sd/"))}, file)
        with torch.device("meta"):
            model = ToraCogVideoXTransformer(with_sat_norms(cogvideox_config(recorded)))
        fill(model, SatReader(file, model.state_dict(), "parity", "-"))
    model.restore_positions("cpu")
    if model.config.use_learned_positional_embeddings:
        model.learned_positions = bool(recorded.json("config")[NOTES[1]])
    yield from _cases(recorded, model.eval(), SAT)


def _cases(recorded: Recording, model: ToraCogVideoXTransformer, relative: float = RELATIVE) -> Iterator[Row]:
    for case in recorded.groups("/latents"):
        latents, text = recorded[f"{case}/latents"], recorded[f"{case}/text"]
        if latents.shape[2] < model.config.in_channels:
            image = padded(recorded[f"{case}/image_latents"], latents.shape[1])
            latents = torch.cat((latents, image), dim=2)
        rotary = rotary_positions(model.config, latents.shape[1], *latents.shape[3:])
        if rotary is not None:
            for name, table in zip(("rope_cos", "rope_sin"), rotary, strict=True):
                yield from recorded.check(f"{case}/{name}", table)
        flow = f"{case}/flow_latents"
        motion = model.encode_motion(recorded[flow]) if flow in recorded else None
        for name, features in (("out", motion), ("out_without_flow", None)):
            if f"{case}/{name}" in recorded:
                out = model(latents, text, recorded[f"{case}/timestep"], features, rotary)
                yield from recorded.check(f"{case}/{name}", out, relative)


def padded(image_BTCHW: Tensor, frames: int) -> Tensor:
    """Return latents of a first frame with zeros for the frames after it, if the recording left them out."""
    missing = frames - image_BTCHW.shape[1]
    return torch.cat(
        (image_BTCHW, image_BTCHW.new_zeros(len(image_BTCHW), missing, *image_BTCHW.shape[2:])), 1
    )


def scheduler(recorded: Recording) -> Iterator[Row]:
    """Schedule, dynamic guidance and single steps."""
    for name in sorted(k for k in recorded.arrays if k.startswith("timesteps_")):
        steps = int(name.removeprefix("timesteps_"))
        times = Solver(steps).timesteps
        yield row(name, torch.tensor(times), recorded[name], 0, 0)
        table = f"dynamic_guidance_{steps}_scale6"
        scales = [guidance_scale("published", 6.0, steps, t, i) for i, t in enumerate(times)]
        yield from recorded.check(table, np.array(scales), 1e-12)
    yield from recorded.check("alphas_cumprod", lambda: torch.stack(Solver(1000).alphas).flip(0), 1e-11, 0)
    for name in sorted(k for k in recorded.arrays if k.startswith("sat_")):
        steps = int(name.rpartition("_")[2])
        solver = Solver(steps, zero_snr="sampled")
        if name.startswith("sat_timesteps"):
            yield row(name, torch.tensor(solver.timesteps), recorded[name], 0, 0)
        elif steps < 1000:  # the table of all levels is one of training, not of a sampler
            yield row(name, torch.stack(solver.alphas).sqrt(), recorded[name])
    if "dpm_x" in recorded:
        yield from _steps(recorded)


def _steps(recorded: Recording) -> Iterator[Row]:
    solver, noises = Solver(50), iter(recorded["dpm_noises_in_draw_order"])
    counts: list[int] = []
    x, clean = recorded["dpm_x"][0], None

    def draw(like: Tensor) -> Tensor:
        counts[-1] += 1
        return next(noises)

    for number, index in enumerate(recorded["dpm_step_indices"].tolist()):
        counts.append(0)
        x, clean = solver.step(index, recorded["dpm_model_outputs"][number], x, clean, draw)
        yield row(f"dpm step {number}", x, recorded["dpm_x"][number + 1])
    yield from recorded.check("dpm_draws_per_step", np.array(counts), 0, 0)


def pipeline(recorded: Recording) -> Iterator[Row]:
    """A whole run with all its noises, from text or from text and a first frame."""
    params = recorded.json("params")
    model = ToraCogVideoXTransformer(cogvideox_config(recorded)).eval()
    model.load_state_dict(dict(recorded.under("sd/")), strict=True)
    guidance, init = params.get("guidance_scale", 1.0), recorded["init_latents"]
    text = recorded["prompt_embeds"]
    if guidance > 1:
        text = torch.cat((recorded["negative_prompt_embeds"], text))
    noises = iter(recorded["scheduler_noises"])
    moved = "flow_latents" in recorded
    image = _first_frame(recorded, init) if model.config.takes_first_frame else None
    rule = "published" if params.get("dynamic_cfg", True) else "off"
    schedule = recorded.json("scheduler_config") if "scheduler_config" in recorded else PUBLISHED_SCHEDULE
    solver = Solver(params["steps"], schedule)
    velocities: list[Tensor] = []
    hook = model.register_forward_hook(lambda _m, _a, out: velocities.append(out))
    states = denoise(
        model, solver, init, text, recorded["flow_latents"] if moved else None, lambda like: next(noises),
        DenoisingOptions(guidance=guidance, dynamic_guidance=rule), image,
    )  # fmt: skip
    ours = torch.stack(list(states))
    hook.remove()
    yield from recorded.check("timesteps", torch.tensor(solver.timesteps), 0, 0)
    scales = [guidance_scale(rule, guidance, params["steps"], t, i) for i, t in enumerate(solver.timesteps)]
    if guidance > 1:
        yield from recorded.check("guidance_scales", np.array(scales), 1e-12)
    yield from recorded.check("model_out_step0", velocities[0])
    yield from recorded.check("latents_after_step", ours, NETWORK)
    yield from recorded.check("final_latents", ours[-1], NETWORK)
    yield from _flow_picture(recorded)


def _first_frame(recorded: Recording, init_BTCHW: Tensor) -> Tensor:
    """Return the recorded latents of the first frame, found by name and shape, with zeros for the other frames.

    Raises:
        UserError: there are none.
    """
    batch, frames, channels, rows, columns = init_BTCHW.shape
    shapes = [(batch, count, channels, rows, columns) for count in (frames, 1)]
    swapped = [(batch, channels, count, rows, columns) for count in (frames, 1)]
    names = [k for k in recorded.arrays if "image" in k or "first_frame" in k]
    for name in sorted(names, key=lambda k: "latents" not in k):
        shape = recorded.arrays[name].shape
        if shape in shapes:
            return padded(recorded[name], frames)
        if shape in swapped:
            return padded(recorded[name].transpose(1, 2), frames)
    found = ", ".join(f"{name} {recorded.arrays[name].shape}" for name in names) or "none"
    raise UserError(
        f"parity: {recorded.name}: this network takes a first frame, but no array named *image* has the shape "
        f"{shapes[0]} or {shapes[1]}; found: {found}"
    )


def _flow_picture(recorded: Recording) -> Iterator[Row]:
    if "points" not in recorded:
        return
    points = recorded.array("points").astype(np.int64)
    for name in ("flow_image_uint8", "video_flow"):
        if name in recorded:
            picture = recorded[name]
            levels = (
                picture if name == "flow_image_uint8" else ((picture[0] + 1) * 127.5).round().to(torch.uint8)
            )
            flow = blur_flow(sparse_flow(points, levels.shape[3], levels.shape[2]))
            theirs = levels.permute(0, 2, 3, 1).numpy()
            yield Row(name, level_difference(flow_video(flow), theirs, jumps(flow)), LEVEL)
