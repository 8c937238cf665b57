"""Flow of the releases: what training draws and blurs, and recorded fields at fewer places."""

from __future__ import annotations

import ast
import importlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.parity_data import Recording
from tests.record.rounding import Arrays


def training_flow(file: Path, checkout: Path, colours: Path, levels: int) -> Arrays:
    """Upstream's functions on a dense flow of multiples of 1/8 pixel, which stands in for that of RAFT."""
    old = Recording(file)
    params, seed = old.json("params"), int(old.array("seed"))
    dense = old["dense_flow"].float()
    dense = (dense * 8).round() / 8 if levels else dense
    scope = {
        "np": np,
        "torch": torch,
        "random": random,
        "rearrange": importlib.import_module("einops").rearrange,
    }
    take_functions(
        checkout / "diffusers-version/tora/traj_utils.py",
        scope,
        "sigma_matrix2 mesh_grid pdf2 bivariate_Gaussian",
    )
    take_functions(colours, scope, "flow_to_image _normalized_flow_to_image _make_colorwheel")
    named = "get_keypoint get_trajs get_flow_from_points flow_to_image_in_batches"
    take_functions(checkout / "sat/train_video.py", scope, named)
    draw, drawn = scope["get_keypoint"], []
    scope["get_keypoint"] = lambda *given: drawn.append(draw(*given)) or [list(path) for path in drawn[0]]
    scope["get_raft_flow"] = lambda *_: dense
    size, still = (params["H"], params["W"]), torch.zeros(1, *dense.shape[1:])
    request = (None, None, 2, params["video_len"], size, params["lamb"], params["max_sample_num"], True)
    random.seed(seed)
    np.random.seed(seed)
    blurred = scope["get_trajs"](*request)
    # the same once more with a kernel of one pixel: what was there before the blur
    one = np.zeros((99, 99))
    one[49, 49] = 1.0
    random.seed(seed)
    np.random.seed(seed)
    kernel, scope["bivariate_Gaussian"] = scope["bivariate_Gaussian"], lambda *_, **__: one
    sparse = scope["get_trajs"](*request)
    scope["bivariate_Gaussian"] = kernel
    places = sparse.any(-1).nonzero()
    listed = old.array("points_list")
    given = [[None if -9999 in point else tuple(map(int, point)) for point in moment] for moment in listed]
    of_list = scope["get_flow_from_points"](given, "cpu", size)
    every = -(-size[0] // old["points_flow_sub"].shape[1]) * (
        2 if levels and old["points_flow_sub"].shape[1] == 24 else 1
    )
    kept = ("seed", "params", "points_list", "dense_first_frame_is_zero")
    arrays = {name: old.arrays[name] for name in kept} | {
        "dense_flow": dense.numpy().astype(np.float16), "keypoints_seeded": np.array(drawn[0], np.int16)[:, 0],
        "sparse_nonzero_tyx": places.numpy().astype(np.int16), "sparse_nonzero_uv": sparse[tuple(places.T)],
        "sparse_blur_sub": blurred[:, ::every, ::every], "sparse_blur_sum": blurred.double().sum((1, 2)),
        "sparse_blur_absmax": blurred.abs().amax((1, 2)), "points_flow_sub": of_list[:, ::every, ::every],
        "points_flow_sum": of_list.double().sum((1, 2)),
    }  # fmt: skip
    for name, flow in (("sparse", blurred.permute(0, 3, 1, 2)), ("dense", torch.cat((still, dense)))):
        pairs, clip = scope["flow_to_image_in_batches"](flow, 2), scope["flow_to_image"](flow)
        arrays[f"{name}_color_chunk2_sub"] = pairs[:, :, ::4, ::4]
        arrays |= {f"{name}_color_chunk2_sum": pairs.sum((2, 3)), f"{name}_color_clip_sum": clip.sum((2, 3))}
    return arrays


def take_functions(file: Path, scope: dict[str, Any], names: str) -> None:
    """Define some functions of a file whose own imports are not installed."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names.split()]
    exec(compile(tree, str(file), "exec"), scope)


def fewer_places(file: Path, levels: int) -> Arrays:
    """What was recorded, at every n-th row and column of what it is now, so that about 16 remain."""
    arrays = dict(Recording(file).arrays)
    for name in [name for name in arrays if levels and name.endswith(("_sub", "_sub8", "frame20_flow"))]:
        value = arrays.pop(name)
        side = 2 if "color" in name else 1
        every = (
            max(round(value.shape[side] / 16), 1) if value.ndim == 4 else max(round(value.shape[0] / 30), 1)
        )
        thin = (slice(None),) * side if value.ndim == 4 else ()
        arrays[name.replace("_sub8", "_sub")] = value[*thin, ::every, ::every]
    return arrays
