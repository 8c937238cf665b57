"""Our modules against recordings of Tora on CogVideoX: transformer, sat checkpoints, schedule, whole runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.parity_data import Recording, Row, colour_difference, difference, relative
from benchmarks.parity_tora import COLOUR, TOLERANCE
from toraeval.models.tora.flow_colour import flow_video
from toraeval.models.tora.trajectory import blur_flow, sparse_flow
from toraeval.models.tora_cogvideox.config import TransformerConfig, with_sat_norms
from toraeval.models.tora_cogvideox.pipeline import SamplingOptions, denoise
from toraeval.models.tora_cogvideox.sat import SatReader
from toraeval.models.tora_cogvideox.solver import Solver, guidance_scale
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer, rotary_positions
from toraeval.models.weight_files import fill
from toraeval.types import UserError

NOTES = ("learnable_pos_embed_param_present", "learnable_pos_embed_is_used")


def cogvideox_config(recorded: Recording) -> TransformerConfig:
    """Return the configuration of a recording; sat's notes on learned positions become ours."""
    options = recorded.json("config")
    config = TransformerConfig.from_json({k: v for k, v in options.items() if k not in NOTES})
    return replace(config, use_learned_positional_embeddings=True) if options.get(NOTES[0]) else config


def cogvideox_state(recorded: Recording) -> dict[str, Tensor]:
    """Return the weights, also those stored as integers and exponents."""
    state = dict(recorded.under("sd/"))
    for name, value in recorded.under("sd8/").items():
        state[name] = value.float() * 2.0 ** -int(recorded.array(f"sd8exp/{name}"))
    return state


def cogvideox(recorded: Recording) -> Iterator[Row]:
    """Outputs of the transformer, with and without trajectory."""
    model = ToraCogVideoXTransformer(cogvideox_config(recorded)).eval()
    model.load_state_dict(cogvideox_state(recorded), strict=True)
    yield from _cases(recorded, model)


def sat(recorded: Recording) -> Iterator[Row]:
    """The same from a checkpoint in sat's layout."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mp_rank_00_model_states.pt"
        torch.save({"module": cogvideox_state(recorded)}, file)
        with torch.device("meta"):
            model = ToraCogVideoXTransformer(with_sat_norms(cogvideox_config(recorded)))
        fill(model, SatReader(file, model.state_dict(), "parity", "-"))
    model.restore_positions("cpu")
    if model.config.use_learned_positional_embeddings:
        model.learned_positions = bool(recorded.json("config")[NOTES[1]])
    yield from _cases(recorded, model.eval())


def _cases(recorded: Recording, model: ToraCogVideoXTransformer) -> Iterator[Row]:
    for case in recorded.groups("/out"):
        latents, text = recorded[f"{case}/latents"], recorded[f"{case}/text"]
        if latents.shape[2] < model.config.in_channels:
            latents = torch.cat((latents, recorded[f"{case}/image_latents"]), dim=2)
        rotary = rotary_positions(model.config, latents.shape[1], *latents.shape[3:])
        flow = f"{case}/flow_latents"
        motion = model.encode_motion(recorded[flow]) if flow in recorded else None
        for name, features in (("out", motion), ("out_without_flow", None)):
            if f"{case}/{name}" in recorded:
                out = model(latents, text, recorded[f"{case}/timestep"], features, rotary)
                yield Row(f"{case}/{name}", relative(out, recorded[f"{case}/{name}"], 1.0), TOLERANCE)


def scheduler(recorded: Recording) -> Iterator[Row]:
    """Schedule, dynamic guidance and single steps."""
    for name in sorted(k for k in recorded.arrays if k.startswith("timesteps_")):
        steps = int(name.removeprefix("timesteps_"))
        times = Solver(steps).timesteps
        yield Row(name, difference(torch.tensor(times), recorded[name]), 0)
        table = f"dynamic_guidance_{steps}_scale6"
        if table not in recorded:
            continue
        scales = torch.tensor(
            [guidance_scale("published", 6.0, steps, t, i) for i, t in enumerate(times)], dtype=torch.float64
        )
        yield Row(table, relative(scales, recorded[table], 1.0), 1e-12)
    if "alphas_cumprod" in recorded:
        alphas = torch.stack(Solver(1000).alphas).flip(0)
        yield Row("alphas_cumprod", difference(alphas, recorded["alphas_cumprod"]), 1e-12)
    if "sat_alpha_cumprod_sqrt_50" in recorded:
        roots = torch.stack(Solver(50, zero_snr="sampled").alphas).sqrt()
        yield Row("sat_alpha_cumprod_sqrt_50", difference(roots, recorded["sat_alpha_cumprod_sqrt_50"]), 1e-6)
    if recorded.has("dpm_"):
        yield from _solver_steps(recorded)


def _solver_steps(recorded: Recording) -> Iterator[Row]:
    solver, noises = Solver(50), iter(recorded["dpm_noises_in_draw_order"])
    x, clean = recorded["dpm_x"][0], None
    for number, index in enumerate(recorded["dpm_step_indices"].tolist()):
        x, clean = solver.step(
            index, recorded["dpm_model_outputs"][number], x, clean, lambda like: next(noises)
        )
        yield Row(f"dpm step {number}", relative(x, recorded["dpm_x"][number + 1], 1.0), 1e-6)


def pipeline(recorded: Recording) -> Iterator[Row]:
    """A whole run with all its noises."""
    params = recorded.json("params")
    model = ToraCogVideoXTransformer(cogvideox_config(recorded)).eval()
    model.load_state_dict(cogvideox_state(recorded), strict=True)
    guidance, init = params["guidance_scale"], recorded["init_latents"]
    text = recorded["prompt_embeds"]
    if guidance > 1:
        text = torch.cat((recorded["negative_prompt_embeds"], text))
    noises = iter(recorded["scheduler_noises"])
    image = _first_frame(recorded, init) if model.config.takes_first_frame else None
    rule = "published" if params.get("dynamic_cfg", True) else "off"
    states = denoise(
        model, Solver(params["steps"], recorded.json("scheduler_config")), init, text,
        recorded["flow_latents"], lambda like: next(noises),
        SamplingOptions(guidance=guidance, dynamic_guidance=rule), image,
    )  # fmt: skip
    ours = torch.stack(list(states))
    for name, value in (("latents_after_step", ours), ("final_latents", ours[-1])):
        if name in recorded:
            yield Row(name, relative(value, recorded[name], 1.0), TOLERANCE)
    if recorded.has("points", "flow_image_uint8"):
        points = recorded.array("points").astype(np.int64)
        height, width = recorded.shape("flow_image_uint8")[2:]
        video = flow_video(blur_flow(sparse_flow(points, width, height)))
        expected = recorded["flow_image_uint8"].permute(0, 2, 3, 1)
        yield Row("flow_image", colour_difference(video, expected), COLOUR)


def _first_frame(recorded: Recording, init_BTCHW: Tensor) -> Tensor:
    """Return the latents of the first frame as long as the clip: as recorded, or one frame and then zeros.

    Raises:
        UserError: the recording has none of a fitting shape.
    """
    b, frames, channels, height, width = init_BTCHW.shape
    for name in sorted(k for k in recorded.arrays if "image" in k and not k.startswith(("flow_", "sd/"))):
        shape = recorded.shape(name)
        if shape == tuple(init_BTCHW.shape):
            return recorded[name]
        if shape in ((b, 1, channels, height, width), (b, channels, 1, height, width)):
            first = recorded[name].reshape(b, 1, channels, height, width)
            return torch.cat((first, first.new_zeros(b, frames - 1, channels, height, width)), dim=1)
    raise UserError(
        f"parity: this network takes a first frame, but no array named image* has the shape {tuple(init_BTCHW.shape)}"
    )
