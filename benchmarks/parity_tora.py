"""Our modules against recordings of Tora's and MotionCtrl's releases: motion pictures, extractor, fuser."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.parity_data import (
    Recording,
    Row,
    colour_difference,
    colour_sum_difference,
    difference,
    relative,
)
from toraeval import geometry
from toraeval.models.tora.extractor import TrajectoryExtractor
from toraeval.models.tora.flow_colour import colour_wheel, flow_video
from toraeval.models.tora.flow_sampling import grid_candidates, roll_out, with_zero_frame
from toraeval.models.tora.fuser import AdaptiveNormFuser
from toraeval.models.tora.trajectory import blur_flow, blur_kernel, sparse_flow

TOLERANCE = 1e-5  # in units of the largest recorded value, or of 1
FLOW = 1e-4  # pixels per frame
COLOUR = 1  # levels, of few pixels: another `atan2` or `sqrt` moves a value across a whole number


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
        if f"{case}/flow_sub" in recorded:
            expected = recorded[f"{case}/flow_sub"]
            step = -(-height // expected.shape[1])
            yield Row(f"{case}/flow_sub", difference(flow[:, ::step, ::step], expected), FLOW)
        if f"{case}/color_sub" in recorded:
            colours = recorded[f"{case}/color_sub"].permute(0, 2, 3, 1)
            step = -(-height // colours.shape[1])
            yield Row(f"{case}/color_sub", colour_difference(video[:, ::step, ::step], colours), COLOUR)
        if f"{case}/flow_absmax" in recorded:
            largest = np.abs(flow).max((1, 2))
            yield Row(f"{case}/flow_absmax", difference(largest, recorded[f"{case}/flow_absmax"]), FLOW)
        if f"{case}/color_sum" in recorded:
            sums, pixels = video.sum((1, 2), dtype=np.int64), width * height
            apart = colour_sum_difference(sums, recorded[f"{case}/color_sum"], pixels)
            yield Row(f"{case}/colour_sum", apart, COLOUR)


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
    flows = {"dense": dense}
    if "keypoints_seeded" in recorded:
        yield from _seeded_starts(recorded, dense)
        starts = recorded.array("keypoints_seeded").astype(np.int64)
        sparse = sparse_flow(roll_out(dense, starts), width, height)
        if "sparse_nonzero_tyx" in recorded:
            places = np.argwhere(sparse.any(-1))
            yield Row("roll-out places", difference(places, recorded["sparse_nonzero_tyx"]), 0)
            steps = sparse[tuple(places.T)]
            yield Row("roll-out steps", relative(steps, recorded["sparse_nonzero_uv"], 1.0), TOLERANCE)
        flows["sparse"] = blur_flow(sparse, border="zero")
    if "points_list" in recorded:
        listed = recorded.array("points_list").astype(np.int64).transpose(1, 0, 2)
        given = sparse_flow(listed, width, height, (listed != -9999).all(-1), outside="skip")
        flows["points"] = blur_flow(given, border="zero")
    for name, flow, key in (
        ("sparse_blur", flows.get("sparse"), "sparse_blur_sub"),
        ("points_flow", flows.get("points"), "points_flow_sub"),
    ):
        if flow is not None and key in recorded:
            step = -(-height // recorded.shape(key)[1])
            yield Row(name, difference(flow[:, ::step, ::step], recorded[key]), FLOW)
    for name in ("dense", "sparse"):
        key = f"{name}_color_chunk2_sub"
        if name in flows and key in recorded:
            expected = recorded[key].permute(0, 2, 3, 1)
            step = -(-height // expected.shape[1])
            video = flow_video(flows[name], frames_per_maximum=2)[:, ::step, ::step]
            # the sparse flow was blurred by another routine upstream, so any colour may be one level off
            measure = colour_difference if name == "dense" else difference
            yield Row(f"{name} colour", measure(video, expected), COLOUR)


def _seeded_starts(recorded: Recording, dense: np.ndarray) -> Iterator[Row]:
    params, seed = recorded.json("params"), int(recorded.array("seed"))
    draws, spacing = random.Random(seed), params["lamb"]
    y0, x0 = draws.randint(0, spacing - 1), draws.randint(0, spacing - 1)
    count = draws.randint(1, params["max_sample_num"])
    points, chances = grid_candidates(dense[1], (x0, y0), spacing)
    picks = np.random.RandomState(seed).choice(len(points), count, replace=False, p=chances)
    yield Row("keypoints", difference(points[picks], recorded["keypoints_seeded"]), 0)


def extractor(recorded: Recording) -> Iterator[Row]:
    """Features in both modes, and the running statistics after a step."""
    config = recorded.json("config")
    channels = config["channels"]

    def fresh() -> TrajectoryExtractor:
        module = TrajectoryExtractor(
            config["cin"],
            channels[0],
            stages=len(channels),
            blocks_per_stage=config["nums_rb"],
            patch=config.get("patch_size", 2),
            patch_t=config.get("patch_size_t") or 1,
        )
        module.load_state_dict(dict(recorded.under("sd/")), strict=True)
        return module

    for case in sorted({g.rsplit("/", 1)[0] for g in recorded.arrays if "/feature" in g}):
        training = case.startswith("train_")
        module = fresh().train(training)
        features = module(recorded[f"{case.removeprefix('train_')}/x"])
        for i, feature in enumerate(features):
            if f"{case}/feature{i}" not in recorded:
                continue
            expected = recorded[f"{case}/feature{i}"].flatten(2).transpose(1, 2)
            yield Row(f"{case}/feature{i}", relative(feature.flatten(0, 1), expected, 1.0), TOLERANCE)
        state = module.state_dict()
        after = recorded.under(f"{case}/after/")
        if after:
            worst = max(relative(state[k], v, 1.0) for k, v in after.items())
            yield Row(f"{case}/after", worst, TOLERANCE)


def fuser(recorded: Recording) -> Iterator[Row]:
    """Outputs and gradients of the adaptive norm."""
    config = recorded.json("config")
    module = AdaptiveNormFuser(config["flow_in_channel"], config["out_channels"], groups=32)
    module.load_state_dict(dict(recorded.under("sd/")), strict=True)

    def tokens(name: str, frames: int) -> Tensor:
        return recorded[name].flatten(2).transpose(1, 2).unflatten(0, (-1, frames))

    for case in recorded.groups("/grad_h"):
        frames, (rows, columns) = int(recorded[f"{case}/T"]), recorded.shape(f"{case}/h")[2:]
        hidden = tokens(f"{case}/h", frames).requires_grad_()
        motion = tokens(f"{case}/flow", frames).requires_grad_()
        with torch.enable_grad():
            out = module(hidden, motion, (rows, columns))
            (out * tokens(f"{case}/w", frames)).sum().backward()
        assert hidden.grad is not None
        assert motion.grad is not None
        yield Row(f"{case}/out", relative(out, tokens(f"{case}/out", frames), 1.0), TOLERANCE)
        for name, gradient in (("grad_h", hidden.grad), ("grad_flow", motion.grad)):
            expected = tokens(f"{case}/{name}", frames)
            yield Row(f"{case}/{name}", relative(gradient, expected, 1.0), 10 * TOLERANCE)
