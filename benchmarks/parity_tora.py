"""Our modules against recordings of Tora's and MotionCtrl's releases: motion pictures, extractor, fuser, networks."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.parity_data import Recording, Row, difference
from toraeval import geometry
from toraeval.models.tora.extractor import TrajectoryExtractor
from toraeval.models.tora.flow_colour import colour_wheel, flow_video
from toraeval.models.tora.flow_sampling import grid_candidates, roll_out, with_zero_frame
from toraeval.models.tora.fuser import AdaptiveNormFuser
from toraeval.models.tora.trajectory import blur_flow, blur_kernel, sparse_flow
from toraeval.models.tora_cogvideox.config import TransformerConfig, with_sat_norms
from toraeval.models.tora_cogvideox.pipeline import SamplingOptions, denoise
from toraeval.models.tora_cogvideox.sat import SatReader
from toraeval.models.tora_cogvideox.solver import Solver, guidance_scale
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer, rotary_positions
from toraeval.models.weight_files import fill

TOLERANCE = 1e-5
FLOW = 1e-4  # pixels per frame
NOTES = ("learnable_pos_embed_param_present", "learnable_pos_embed_is_used")


def motion_pictures(recorded: Recording) -> Iterator[Row]:
    """Kernel, wheel, the release's point rules, blurred flow and its colours, byte for byte."""
    if "const/colorwheel" in recorded:
        yield Row("const/colorwheel", difference(colour_wheel(), recorded["const/colorwheel"]), 0)
        row = blur_kernel()[len(blur_kernel()) // 2]
        yield Row("const/blur_kernel", difference(row, recorded["const/blur_kernel_center_row"]), 1e-7)
    for case in recorded.groups("/raw_points") + recorded.groups("/in"):
        yield from _points(recorded, case)
    for case in recorded.groups("/points"):
        points = recorded.array(f"{case}/points").astype(np.int64)
        _, height, width = (int(v) for v in case.split("/")[1].split("x"))
        flow = blur_flow(sparse_flow(points, width, height))
        video = flow_video(flow)
        for name, ours, tolerance in (
            ("flow_sub", flow, FLOW),
            ("color_sub", video.transpose(0, 3, 1, 2), 0),
        ):
            if f"{case}/{name}" in recorded:
                expected = recorded[f"{case}/{name}"]
                rows = expected.shape[1 if name == "flow_sub" else 2]
                step = -(-height // rows)
                part = ours[:, ::step, ::step] if name == "flow_sub" else ours[:, :, ::step, ::step]
                yield Row(f"{case}/{name}", difference(part, expected), tolerance)
        largest = np.abs(flow).max((1, 2))
        yield Row(f"{case}/flow_absmax", difference(largest, recorded[f"{case}/flow_absmax"]), FLOW)
        sums = video.sum((1, 2), dtype=np.int64)
        yield Row(f"{case}/colour_sum", difference(sums, recorded[f"{case}/color_sum"]), 0)


def _points(recorded: Recording, case: str) -> Iterator[Row]:
    if f"{case}/in" in recorded:
        raw, lengths = recorded.array(f"{case}/in"), {int(recorded.array(f"{case}/frames")): case}
    else:
        raw = recorded.array(f"{case}/raw_points")
        lengths = {
            int(g.split("/")[1]): g for g in recorded.groups("/process_points") if g.split("/")[0] == case
        }
    for frames, group in lengths.items():
        read = geometry.tora_read_points(raw, frames)
        if f"{group}/read_points" in recorded:
            yield Row(f"{group}/read_points", difference(read, recorded[f"{group}/read_points"]), 0)
        points = geometry.tora_process_points(read, frames)
        yield Row(f"{group}/process_points", difference(points, recorded[f"{group}/process_points"]), 0)
        if f"{group}/scaled_480x720" in recorded:
            scaled = geometry.tora_pixels(points, 720, 480)
            yield Row(f"{group}/scaled", difference(scaled, recorded[f"{group}/scaled_480x720"]), 0)


def motionctrl_flow(recorded: Recording) -> Iterator[Row]:
    """Flow whose kernel sums to one."""
    for case in recorded.groups("/points256"):
        points = recorded.array(f"{case}/points256").astype(np.int64)[None]
        flow = blur_flow(sparse_flow(points, 256, 256), normalise="sum")
        yield Row(f"{case}/flow", difference(flow[:, ::8, ::8], recorded[f"{case}/flow_sub8"]), 1e-6)
        yield Row(f"{case}/max", difference(np.abs(flow).max((1, 2)), recorded[f"{case}/flow_absmax"]), 1e-6)


def training_motion(recorded: Recording) -> Iterator[Row]:
    """Start points under the recorded draws, roll-out, blur and colours per pair of frames, dense and sparse."""
    dense = with_zero_frame(recorded.array("dense_flow").transpose(0, 2, 3, 1))
    height, width = dense.shape[1:3]
    params, seed = recorded.json("params"), int(recorded.array("seed"))
    draws, spacing = random.Random(seed), params["lamb"]
    y0, x0 = draws.randint(0, spacing - 1), draws.randint(0, spacing - 1)
    count = draws.randint(1, params["max_sample_num"])
    points, chances = grid_candidates(dense[1], (x0, y0), spacing)
    picks = np.random.RandomState(seed).choice(len(points), count, replace=False, p=chances)
    yield Row("keypoints", difference(points[picks], recorded["keypoints_seeded"]), 0)
    sparse = sparse_flow(roll_out(dense, recorded.array("keypoints_seeded").astype(np.int64)), width, height)
    places = np.argwhere(sparse.any(-1))
    yield Row("roll-out places", difference(places, recorded["sparse_nonzero_tyx"]), 0)
    yield Row("roll-out steps", difference(sparse[tuple(places.T)], recorded["sparse_nonzero_uv"]), 0)
    listed = recorded.array("points_list").astype(np.int64).transpose(1, 0, 2)
    given = sparse_flow(listed, width, height, (listed != -9999).all(-1), outside="skip")
    for name, flow in (("sparse_blur", sparse), ("points_flow", given)):
        expected = recorded[f"{name}_sub"]
        step = -(-height // expected.shape[1])
        blurred = blur_flow(flow, border="zero")
        yield Row(name, difference(blurred[:, ::step, ::step], expected), FLOW)
    for name, flow, level in (("dense", dense, 0), ("sparse", blur_flow(sparse, border="zero"), 1)):
        expected = recorded[f"{name}_color_chunk2_sub"].permute(0, 2, 3, 1)
        step = -(-height // expected.shape[1])
        video = flow_video(flow, frames_per_maximum=2)
        # the sparse flow was blurred by another routine upstream, so a colour may be one level off
        yield Row(f"{name} colour", difference(video[:, ::step, ::step], expected), level)


def extractor(recorded: Recording) -> Iterator[Row]:
    """Features in both modes, and the running statistics after a step."""
    config = recorded.json("config")
    channels = config["channels"]

    def fresh() -> TrajectoryExtractor:
        module = TrajectoryExtractor(
            config["cin"], channels[0], stages=len(channels), blocks_per_stage=config["nums_rb"]
        )
        module.load_state_dict(recorded.under("sd/"), strict=True)
        return module

    for case in sorted({g.rsplit("/", 1)[0] for g in recorded.arrays if "/feature" in g}):
        training = case.startswith("train_")
        module = fresh().train(training)
        features = module(recorded[f"{case.removeprefix('train_')}/x"])
        for i, feature in enumerate(features):
            expected = recorded[f"{case}/feature{i}"].flatten(2).transpose(1, 2)
            yield Row(f"{case}/feature{i}", difference(feature.flatten(0, 1), expected), TOLERANCE)
        state = module.state_dict()
        after = recorded.under(f"{case}/after/")
        if after:
            yield Row(f"{case}/after", max(difference(state[k], v) for k, v in after.items()), TOLERANCE)


def fuser(recorded: Recording) -> Iterator[Row]:
    """Outputs and gradients of the adaptive norm."""
    config = recorded.json("config")
    module = AdaptiveNormFuser(config["flow_in_channel"], config["out_channels"], groups=32)
    module.load_state_dict(recorded.under("sd/"), strict=True)

    def tokens(name: str, frames: int) -> Tensor:
        return recorded[name].flatten(2).transpose(1, 2).unflatten(0, (-1, frames))

    for case in recorded.groups("/grad_h"):
        frames, (rows, columns) = int(recorded[f"{case}/T"]), recorded[f"{case}/h"].shape[2:]
        hidden = tokens(f"{case}/h", frames).requires_grad_()
        motion = tokens(f"{case}/flow", frames).requires_grad_()
        with torch.enable_grad():
            out = module(hidden, motion, (rows, columns))
            (out * tokens(f"{case}/w", frames)).sum().backward()
        assert hidden.grad is not None
        assert motion.grad is not None
        yield Row(f"{case}/out", difference(out, tokens(f"{case}/out", frames)), TOLERANCE)
        yield Row(f"{case}/grad_h", difference(hidden.grad, tokens(f"{case}/grad_h", frames)), 1e-4)
        yield Row(f"{case}/grad_flow", difference(motion.grad, tokens(f"{case}/grad_flow", frames)), 1e-4)


def cogvideox_config(recorded: Recording) -> TransformerConfig:
    """Return the configuration of a recording; sat's notes on learned positions become ours."""
    options = recorded.json("config")
    config = TransformerConfig.from_json({k: v for k, v in options.items() if k not in NOTES})
    return replace(config, use_learned_positional_embeddings=True) if options.get(NOTES[0]) else config


def cogvideox_state(recorded: Recording) -> dict[str, Tensor]:
    """Return the weights, also those stored as integers and exponents."""
    state = recorded.under("sd/")
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
                yield Row(f"{case}/{name}", difference(out, recorded[f"{case}/{name}"]), TOLERANCE)


def scheduler(recorded: Recording) -> Iterator[Row]:
    """Schedule, dynamic guidance and single steps."""
    for name in sorted(k for k in recorded.arrays if k.startswith("timesteps_")):
        steps = int(name.removeprefix("timesteps_"))
        times = Solver(steps).timesteps
        yield Row(name, difference(torch.tensor(times), recorded[name]), 0)
        table = f"dynamic_guidance_{steps}_scale6"
        scales = torch.tensor(
            [guidance_scale("published", 6.0, steps, t, i) for i, t in enumerate(times)], dtype=torch.float64
        )
        yield Row(table, difference(scales, recorded[table]), 0)
    yield Row(
        "alphas_cumprod",
        difference(torch.stack(Solver(1000).alphas).flip(0), recorded["alphas_cumprod"]),
        1e-12,
    )
    roots = torch.stack(Solver(50, zero_snr="sampled").alphas).sqrt()
    yield Row("sat_alpha_cumprod_sqrt_50", difference(roots, recorded["sat_alpha_cumprod_sqrt_50"]), 1e-6)
    solver, noises = Solver(50), iter(recorded["dpm_noises_in_draw_order"])
    x, clean = recorded["dpm_x"][0], None
    for number, index in enumerate(recorded["dpm_step_indices"].tolist()):
        x, clean = solver.step(
            index, recorded["dpm_model_outputs"][number], x, clean, lambda like: next(noises)
        )
        yield Row(f"dpm step {number}", difference(x, recorded["dpm_x"][number + 1]), 1e-6)


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
    images = [k for k, v in recorded.arrays.items() if k.startswith("image") and v.shape == init.shape]
    image = recorded[images[0]] if model.config.takes_first_frame else None
    rule = "published" if params.get("dynamic_cfg", True) else "off"
    states = denoise(
        model, Solver(params["steps"], recorded.json("scheduler_config")), init, text,
        recorded["flow_latents"], lambda like: next(noises),
        SamplingOptions(guidance=guidance, dynamic_guidance=rule), image,
    )  # fmt: skip
    ours = torch.stack(list(states))
    yield Row("latents_after_step", difference(ours, recorded["latents_after_step"]), TOLERANCE)
    yield Row("final_latents", difference(ours[-1], recorded["final_latents"]), TOLERANCE)
    points = recorded.array("points").astype(np.int64)
    height, width = recorded["flow_image_uint8"].shape[2:]
    video = flow_video(blur_flow(sparse_flow(points, width, height)))
    yield Row("flow_image", difference(video, recorded["flow_image_uint8"].permute(0, 2, 3, 1)), 0)
