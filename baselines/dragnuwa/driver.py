"""Driver for forks of DragNUWA 1.5; runs in their environment (Python 3.8 or newer), see `process/serve.py`.

Both known forks hold a class `Drag` whose `forward_sample` does everything from drags and first frame to pictures. In
bensonbs/DragNUWA-Fork (428bf91) it stands in a demo that opens a web page when imported, so only the demo's imports,
functions and classes are executed. In chaojie/ComfyUI-DragNUWA (bd9f53f) it stands in a ComfyUI node, whose package
name must be `custom_nodes.ComfyUI-DragNUWA`, because the configuration names its classes that way.
"""

from __future__ import annotations

import ast
import importlib
import os
import random
import sys
import types
from typing import Any

HEIGHT, WIDTH, FRAMES = 320, 576, 14
PACKAGE = "custom_nodes.ComfyUI-DragNUWA"


def load(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build the network and load its weights; returns it with its settings, and facts for the record."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("DragNUWA needs a CUDA GPU, and torch " + torch.__version__ + " sees none")
    drag_class = FORKS[settings["fork"]](settings["checkout"], settings["checkpoint"])
    net_file = os.path.join(settings["checkout"], "DragNUWA_net.py")
    model = drag_class("cuda", settings["checkpoint"], net_file, HEIGHT, WIDTH, FRAMES)
    sampler = model.drag_nuwa_net.sampler
    sampler.num_steps = settings["steps"]
    guider = sampler.guider
    guider.max_scale = settings["guidance"]
    guider.scale = torch.linspace(guider.min_scale, guider.max_scale, guider.num_frames).unsqueeze(0)
    facts = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
        "fps_id": int(model.drag_nuwa_net.args.fps),
        "frames": int(model.drag_nuwa_net.num_frames),
    }
    return (model, settings), facts


def make(loaded: Any, job: dict[str, Any]) -> Any:
    """Return float32 (14, 320, 576, 3) from 0 to 1 for `drag.npy` and `first_frame.npy` of a job."""
    import numpy as np
    import torch

    model, settings = loaded
    random.seed(job["seed"])
    np.random.seed(job["seed"])
    torch.manual_seed(job["seed"])
    drag_TXYC = torch.from_numpy(np.load(os.path.join(job["folder"], "drag.npy")))
    picture = torch.from_numpy(np.load(os.path.join(job["folder"], "first_frame.npy")))
    picture_CHW = picture.permute(2, 0, 1).float() / 127.5 - 1
    answer = model.forward_sample(drag_TXYC[None].cuda(), picture_CHW[None].cuda(), settings["motion_bucket"])
    frames = (answer["logits_imgs"][0].float().clamp(-1, 1) + 1) / 2
    return frames.permute(0, 2, 3, 1).cpu().numpy()


def drag_of_demo(checkout: str, checkpoint: str = "") -> Any:
    """Return the class `Drag` of a demo script without running the rest of it."""
    sys.path.insert(0, checkout)
    path = os.path.join(checkout, "DragNUWA_demo.py")
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path)
    tree.body = [node for node in tree.body if _is_definition(node)]
    names: dict[str, Any] = {"__name__": "DragNUWA_demo"}
    exec(compile(tree, path, "exec"), names)
    if checkpoint.endswith(".safetensors"):  # the fork reads pickles only
        names["file2data"] = _read_safetensors
    return names["Drag"]


def drag_of_node(checkout: str, checkpoint: str = "") -> Any:
    """Return the class `Drag` of the ComfyUI node, with stand-ins for what ComfyUI would provide."""
    sys.modules["folder_paths"] = types.ModuleType("folder_paths")
    for name, places in (("custom_nodes", []), (PACKAGE, [checkout])):
        package = types.ModuleType(name)
        package.__path__ = places
        sys.modules[name] = package
    return importlib.import_module(PACKAGE + ".nodes").Drag


FORKS = {"bensonbs": drag_of_demo, "comfyui": drag_of_node}


def _is_definition(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import):
        return all(alias.name != "gradio" for alias in node.names)
    return isinstance(node, (ast.ImportFrom, ast.FunctionDef, ast.ClassDef))


def _read_safetensors(path: str, **_: Any) -> Any:
    from safetensors.torch import load_file

    return load_file(path)
