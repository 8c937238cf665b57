"""What we send to Wan-Move, ATI, LTX and Wan-Fun against the authors' own functions in a checkout.

  python -m benchmarks.parity_field CHECKOUT [CHECKOUT ...]           compare; exit code 1 if anything differs
  python -m benchmarks.parity_field CHECKOUT ... record=FOLDER        also write the recordings that the tests read

A checkout is recognised by the file that holds the functions: ali-vilab/Wan-Move, bytedance/ATI,
Lightricks/ComfyUI-LTXVideo, aigc-apps/VideoX-Fun. Only the needed functions are taken from it, so that torch, numpy and
OpenCV suffice. Everything runs on a CPU in seconds.
"""

from __future__ import annotations

import ast
import json
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from baselines.ati import export as ati
from baselines.ltx_motion_track import export as ltx
from baselines.wan_fun_control import export as wan_fun
from baselines.wan_move import export as wan_move
from benchmarks.parity_data import Row
from toraeval.trajectories.formats.ati import FRAMES, PICKED, SAMPLES
from toraeval.types import Trajectories, UserError

Arrays = dict[str, np.ndarray]


class Compared(NamedTuple):
    """One project.

    Attributes:
        file: of the checkout, that holds the functions.
        names: definitions that are taken from it.
        probe: paths that both sides get.
        theirs: from the taken names and the paths to the authors' arrays.
        ours: from the paths to arrays of the same names.
        tolerance: largest difference that is allowed.
    """

    file: str
    names: tuple[str, ...]
    probe: Callable[[], Trajectories]
    theirs: Callable[[Any, Trajectories], Arrays]
    ours: Callable[[Trajectories], Arrays]
    tolerance: float


def probe(width: int, height: int, frames: int, count: int) -> Trajectories:
    """Return curved paths, the same everywhere; the last one starts hidden, the one before leaves the picture."""
    t = np.linspace(0, 1, frames)
    paths = []
    for n in range(count):
        x = (0.1 + 0.8 * n / count + (0.25 + 0.4 * (n == count - 2)) * t) * width
        y = (0.5 + 0.31 * np.sin(3.7 * t + 1.9 * n)) * height
        paths.append(np.stack([x, y], axis=-1))
    visible = np.ones((count, frames), bool)
    visible[0, frames // 3 : frames // 2] = False
    visible[-1, : frames // 4] = False
    return Trajectories(np.stack(paths).round(3), visible, (width, height))


def taken(file: Path, names: tuple[str, ...]) -> Any:
    """Return definitions of a source file, run with torch, numpy, OpenCV and json in place of its imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    chosen: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            node.decorator_list.clear()
            chosen.append(node)
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
            chosen += [node] if isinstance(node.value, ast.Constant) else []  # e.g. the largest radius
    hints = {name: getattr(typing, name) for name in ("Any", "Dict", "List", "Optional", "Tuple", "Union")}
    node_base = SimpleNamespace(ComfyNode=object, NodeOutput=lambda *values: values, Schema=None)
    space: dict[str, Any] = {**hints, "torch": torch, "np": np, "cv2": cv2, "json": json, "io": node_base}
    exec(compile(ast.Module(chosen, []), str(file), "exec"), space)
    absent = [name for name in names if name not in space]
    if absent:
        raise UserError(f"{file} does not define {', '.join(absent)}; it is of another version")
    return SimpleNamespace(**space)


# --- Wan-Move ------------------------------------------------------------------------------------------------


def features(paths: Trajectories) -> np.ndarray:
    """Return latents int16 (2, t, h, w) in which every place is different."""
    width, height = paths.canvas
    shape = (2, (paths.num_frames - 1) // 4 + 1, height // 8, width // 8)
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def copied(latents_Cthw: np.ndarray, cells_Nt2: np.ndarray) -> np.ndarray:
    """Return latents with the feature of each path's first cell put down in its later cells."""
    out = latents_Cthw.copy()
    for path in cells_Nt2:
        for t in range(1, len(path)):
            if (path[t] >= 0).all():
                out[:, t, path[t, 0], path[t, 1]] = latents_Cthw[:, 0, path[0, 0], path[0, 1]]
    return out


def in_order(cells_Nt2: np.ndarray) -> np.ndarray:
    """Return cells with the paths sorted, since the program shuffles them."""
    return np.array(sorted(cells_Nt2.tolist()), dtype=np.int16)


def _wan_move_theirs(code: Any, paths: Trajectories) -> Arrays:
    tracks, visible = (torch.from_numpy(array[0]) for array in wan_move.arrays(paths))
    width, height = paths.canvas
    torch.manual_seed(0)
    _, cells = code.create_pos_feature_map(
        tracks, visible, (4, 8, 8), height, width, 16, track_num=tracks.shape[1], device=torch.device("cpu")
    )
    given = torch.from_numpy(features(paths).astype(np.float32))[None]
    changed = code.replace_feature(given, cells[None])[0]
    return {"cells": in_order(cells.numpy()), "latents": changed.numpy().astype(np.int16)}


def _wan_move_ours(paths: Trajectories) -> Arrays:
    cells = wan_move.cells(paths)
    return {"cells": in_order(cells), "latents": copied(features(paths), cells)}


# --- ATI -----------------------------------------------------------------------------------------------------


def told(paths: Trajectories) -> np.ndarray:
    """Return what ATI's network is given, float32 (81, N, 4): moment, x, y, visible; x and y in half short sides."""
    width, height = paths.canvas
    out = np.empty((FRAMES, paths.num_objects, 4), np.float32)
    out[..., 0] = (PICKED / (SAMPLES - 1) * 2 - 1)[:, None]
    middle = paths.tracks_NT2 - np.array([width, height]) / 2
    out[..., 1:3] = (middle / min(width, height) * 2).transpose(1, 0, 2)
    out[..., 3] = paths.visible_NT.T * 2 - 1
    return out


def _ati_theirs(code: Any, paths: Trajectories) -> Arrays:
    return {"tracks": code.process_tracks(ati.samples(paths), paths.canvas).numpy()}


# --- the two guide videos ------------------------------------------------------------------------------------

SHOWN = 7  # every seventh frame is compared


def _points(paths: Trajectories) -> list[list[dict[str, float]]]:
    return [[{"x": x, "y": y} for x, y in track] for track in paths.tracks_NT2.tolist()]


def _ltx_theirs(code: Any, paths: Trajectories) -> Arrays:
    (video,) = code.LTXVDrawTracks.execute(json.dumps(_points(paths)), *paths.canvas)
    return {"video": video.cpu().numpy()[::SHOWN]}


def _ltx_ours(paths: Trajectories) -> Arrays:
    return {"video": np.stack(list(ltx.guide_frames(paths))[::SHOWN])}


def _wan_fun_theirs(code: Any, paths: Trajectories) -> Arrays:
    whole = [[{key: round(value) for key, value in point.items()} for point in track]
             for track in _points(paths)]  # fmt: skip
    width, height = paths.canvas
    texts = [json.dumps(track) for track in whole]
    (video,) = code.CreateTrajectoryBasedOnKJNodes().createtrajectory(texts, torch.zeros(1, height, width))
    return {"video": np.rint(video.numpy()[::SHOWN] * 255).astype(np.uint8)}


COMPARED = {
    "wan_move": Compared(
        "wan/modules/trajectory.py",
        ("get_pos_emb", "create_pos_feature_map", "replace_feature"),
        lambda: probe(128, 96, 81, 4),
        _wan_move_theirs,
        _wan_move_ours,
        0,
    ),
    "ati": Compared(
        "wan/utils/motion.py",
        ("process_tracks",),
        lambda: probe(832, 480, 81, 4),
        _ati_theirs,
        lambda paths: {"tracks": told(paths)},
        1e-6,
    ),
    "ltx_motion_track": Compared(
        "sparse_tracks.py",
        ("_parse_tracks", "_age_color_batch", "_render_resolution", "_rasterise_circles", "LTXVDrawTracks"),
        lambda: probe(96, 64, 57, 3),
        _ltx_theirs,
        _ltx_ours,
        0,
    ),
    "wan_fun_control": Compared(
        "comfyui/comfyui_nodes.py",
        ("gen_gaussian_heatmap", "CreateTrajectoryBasedOnKJNodes"),
        lambda: probe(208, 128, 29, 3),
        _wan_fun_theirs,
        lambda paths: {"video": wan_fun.control_video(paths)[::SHOWN]},
        0,
    ),
}


def rows(name: str, recorded: Mapping[str, np.ndarray]) -> list[Row]:
    """Compare our arrays with those of the authors' functions."""
    found = []
    compared = COMPARED[name]
    ours = compared.ours(compared.probe())
    for key, theirs in recorded.items():
        same = ours[key].shape == theirs.shape
        error = np.abs(ours[key].astype(float) - theirs.astype(float)).max() if same else np.inf
        found.append(Row(f"{name}/{key} {theirs.shape}", float(error), compared.tolerance))
    return found


def main(argv: list[str]) -> int:
    """Print one line per comparison and return 1 if one failed."""
    folder = next((Path(word.removeprefix("record=")) for word in argv if word.startswith("record=")), None)
    checkouts = [Path(word) for word in argv if not word.startswith("record=")]
    done: list[Row] = []
    for checkout in checkouts:
        names = [name for name, compared in COMPARED.items() if (checkout / compared.file).is_file()]
        if not names:
            files = ", ".join(compared.file for compared in COMPARED.values())
            raise UserError(f"{checkout} is not a checkout that is known here: it has none of {files}")
        for name in names:
            compared = COMPARED[name]
            code = taken(checkout / compared.file, compared.names)
            recorded = compared.theirs(code, compared.probe())
            if folder is not None:
                np.savez_compressed(folder / f"{name}_a.npz", **recorded)  # type: ignore[arg-type]
            done += rows(name, recorded)
    for row in done:
        print(f"{row.group:45s} {row.error:9.3g} allowed {row.tolerance:g} {'ok' if row.ok else 'DIFFERS'}")
    return 0 if done and all(row.ok for row in done) else 1


if __name__ == "__main__":
    if not sys.argv[1:]:
        print(__doc__)
        sys.exit(2)
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
