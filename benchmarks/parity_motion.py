"""Our motion pictures against recordings of Tora's and MotionCtrl's releases: points, flow, blur, colours."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from benchmarks.parity_colours import LEVEL, colour_rows, jumps, level_difference
from benchmarks.parity_data import FLOW, Recording, Row, row
from toraeval import geometry
from toraeval.models.shared.flow_colour import Float32Array, colour_wheel, flow_video, torch_magnitude
from toraeval.models.shared.trajectory import blur_flow, blur_kernel, sparse_flow
from toraeval.models.tora.conditions.flow_sampling import grid_candidates, roll_out, with_zero_frame

GAP = -9999  # marks a point that is not known in a recorded list
EXACT = (0.0, 0.0)


def motion_pictures(recorded: Recording) -> Iterator[Row]:
    """Kernel, wheel, the release's point rules, blurred flow and its colours."""
    kernel = blur_kernel().astype(np.float64)
    yield from recorded.check("const/colorwheel", colour_wheel, *EXACT)
    yield from recorded.check("const/blur_kernel_center_row", kernel[len(kernel) // 2], FLOW, 1e-7)
    yield from recorded.check("const/blur_kernel_sum", kernel.sum(), FLOW, 0)
    yield from recorded.check("const/blur_kernel_corner", kernel[0, 0], FLOW, 0)
    for case in recorded.groups("/raw_points") + recorded.groups("/in"):
        yield from _points(recorded, case)
    for case in recorded.groups("/points"):
        points = recorded.array(f"{case}/points").astype(np.int64)
        _, height, width = (int(v) for v in case.split("/")[1].split("x"))
        flow = blur_flow(sparse_flow(points, width, height))
        yield from _flow(recorded, f"{case}/flow", flow)
        at_points = np.zeros((len(points), *flow.shape[:1], 2), np.float32)
        for t in range(1, len(flow)):
            at_points[:, t] = flow[t, points[:, t - 1, 1], points[:, t - 1, 0]]
        yield from recorded.check(f"{case}/flow_at_points", at_points, FLOW)
        radius = torch_magnitude(flow).max()
        yield from recorded.check(f"{case}/max_radius", radius, FLOW)
        video, where = flow_video(flow), jumps(flow)
        yield from colour_rows(recorded, (f"{case}/color_sub", f"{case}/color_sum"), video, where)
        for name in (k for k in recorded.arrays if k.startswith(f"{case}/full_frame")):
            frame = int(name.removeprefix(f"{case}/full_frame").partition("_")[0])
            if name.endswith("_flow"):
                yield row(
                    name, thinned(flow[frame : frame + 1], recorded[name][None])[0], recorded[name], FLOW
                )
            elif name.endswith("_color"):
                theirs = recorded.array(name).transpose(1, 2, 0)[None]
                one = slice(frame, frame + 1)
                yield Row(name, level_difference(video[one], theirs, where.part(one)), LEVEL)


def thinned(flow_THW2: Float32Array, like_ThwC: Tensor | np.ndarray) -> Float32Array:
    """Return every n-th row and column of a flow, as many as another array has."""
    step = -(-flow_THW2.shape[1] // like_ThwC.shape[1])
    return flow_THW2[:, ::step, ::step]


def _flow(recorded: Recording, name: str, flow_THW2: Float32Array) -> Iterator[Row]:
    """Compare every n-th row and column of a flow, and its sums, squares and maxima per frame."""
    for ending in ("_sub", "_sub8"):
        if f"{name}{ending}" in recorded:
            expected = recorded[f"{name}{ending}"]
            yield row(f"{name}{ending}", thinned(flow_THW2, expected), expected, FLOW)
    wide = flow_THW2.astype(np.float64)
    size = FLOW * float(np.abs(wide).sum((1, 2)).max(initial=0.0)) + FLOW
    yield from recorded.check(f"{name}_sum", lambda: wide.sum((1, 2)), 0, size)
    yield from recorded.check(f"{name}_sumsq", lambda: (wide**2).sum((1, 2)), 2 * FLOW)
    yield from recorded.check(f"{name}_absmax", lambda: np.abs(wide).max((1, 2)), FLOW)


def _points(recorded: Recording, case: str) -> Iterator[Row]:
    if f"{case}/in" in recorded:
        raw, lengths = recorded.array(f"{case}/in"), {int(recorded.array(f"{case}/frames")): case}
    else:
        raw = recorded.array(f"{case}/raw_points")
        groups = recorded.groups("/process_points") + recorded.groups("/read_points")
        lengths = {int(g.split("/")[1]): g for g in groups if g.split("/")[0] == case}
    for frames, group in lengths.items():
        read = geometry.tora_read_points(raw, frames)
        points = geometry.tora_process_points(read, frames)
        yield from recorded.check(f"{group}/read_points", read, *EXACT)
        yield from recorded.check(f"{group}/process_points", points, *EXACT)
        scaled = geometry.tora_pixels(points, 720, 480)
        yield from recorded.check(f"{group}/scaled_480x720", scaled, *EXACT)


def motionctrl_flow(recorded: Recording) -> Iterator[Row]:
    """Flow whose kernel sums to one."""
    for case in recorded.groups("/points256"):
        points = recorded.array(f"{case}/points256").astype(np.int64)[None]
        yield from _flow(recorded, f"{case}/flow", blur_flow(sparse_flow(points, 256, 256), normalise="sum"))


def training_motion(recorded: Recording) -> Iterator[Row]:
    """Start points under the recorded draws, roll-out, blur and colours per pair of frames, dense and sparse."""
    dense = with_zero_frame(recorded.array("dense_flow").transpose(0, 2, 3, 1))
    height, width = dense.shape[1:3]
    if "keypoints_seeded" in recorded:
        if "seed" in recorded and "params" in recorded:
            yield row("keypoints", _drawn(recorded, dense), recorded["keypoints_seeded"], *EXACT)
        starts = recorded.array("keypoints_seeded").astype(np.int64)
        sparse = sparse_flow(roll_out(dense, starts), width, height)
        places = np.argwhere(sparse.any(-1))
        yield from recorded.check("sparse_nonzero_tyx", places, *EXACT)
        yield from recorded.check("sparse_nonzero_uv", sparse[tuple(places.T)], *EXACT)
        blurred = blur_flow(sparse, border="zero")
        yield from _flow(recorded, "sparse_blur", blurred)
        yield from _training_colours(recorded, "sparse_color", blurred, other_blur=True)
    if "points_list" in recorded:
        listed = recorded.array("points_list").astype(np.int64).transpose(1, 0, 2)
        given = sparse_flow(listed, width, height, (listed != GAP).all(-1), outside="skip")
        yield from _flow(recorded, "points_flow", blur_flow(given, border="zero"))
    yield from _training_colours(recorded, "dense_color", dense, other_blur=False)


def _drawn(recorded: Recording, dense: Float32Array) -> np.ndarray:
    """Draw start points with upstream's two generators under the recorded seed."""
    params, seed = recorded.json("params"), int(recorded.array("seed"))
    draws, spacing = random.Random(seed), params["lamb"]
    y0, x0 = draws.randint(0, spacing - 1), draws.randint(0, spacing - 1)
    count = draws.randint(1, params["max_sample_num"])
    points, chances = grid_candidates(dense[1], (x0, y0), spacing)
    picks = np.random.RandomState(seed).choice(len(points), count, replace=False, p=chances)
    return np.asarray(points[picks])


def _training_colours(recorded: Recording, name: str, flow: Float32Array, other_blur: bool) -> Iterator[Row]:
    """Compare colours with one maximum per pair of frames, as in training, and per clip, as in inference."""
    for kind, group in (("chunk2", 2), ("clip", None)):
        arrays = (f"{name}_{kind}_sub", f"{name}_{kind}_sum")
        if any(array in recorded for array in arrays):
            video, where = flow_video(flow, group), jumps(flow, group)
            yield from colour_rows(recorded, arrays, video, where, extra_levels=float(other_blur))
