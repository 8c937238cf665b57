"""Program for the contract test: drags as a fork's own `Drag.run` makes them, without its GPU, weights and packages.

Arguments: folder of our driver, fork, checkout, path as JSON [[x, y], ...], file for the resampled points, file for
the drags. Packages that the fork imports but that drags do not need are replaced by empty ones, and the run ends where
the network would begin.
"""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types
from typing import Any

import numpy as np
import torch
from PIL import Image

ABSENT = {"torchvision", "colorlog", "imageio", "einops", "gradio", "open_clip"}


class Anything(types.ModuleType):
    """A module that has every name."""

    __path__: list[str] = []  # noqa: RUF012 - what makes it a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *args, **options: None})


class Finder:
    """Finds what is absent, and the network, which needs a GPU's packages."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] in ABSENT or "DragNUWA_net" in name:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: Any) -> Anything:
        return Anything(spec.name)

    def exec_module(self, module: Any) -> None:
        module.__all__ = []


class Stop(Exception):
    """The drags are made."""


class Picture:
    """Stands in for torchvision's transforms."""

    def __init__(self, *parts: Any) -> None:
        pass

    def __call__(self, picture: Any) -> torch.Tensor:
        return torch.zeros(3, 320, 576)


def main(folder: str, fork: str, checkout: str, path: str, points_file: str, drags_file: str) -> None:
    """Write the points and the drags of one path."""
    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
    sys.path.insert(0, folder)
    import driver

    drag_class = driver.FORKS[fork](checkout, "w.pth")
    names = drag_class.run.__globals__
    points = json.loads(path)
    np.save(points_file, np.array(names["interpolate_trajectory"](points, 14)))

    class Model(drag_class):
        def __init__(self) -> None:
            self.device, self.width, self.height, self.model_length = "cpu", 576, 320, 14

        def forward_sample(self, drag: torch.Tensor, *rest: Any) -> None:
            np.save(drags_file, drag[0].numpy())
            raise Stop

    names.update(
        repeat=lambda x, pattern, b: x[None],
        transforms=types.SimpleNamespace(Compose=Picture, ToTensor=Picture, Normalize=Picture),
        image2pil=lambda picture: picture,
        image2arr=np.array,
        pil2arr=np.array,
        split_filename=lambda name: ("", "a_0", ""),
        visualize_drag_v2=lambda *args: (None, None),
        tqdm=lambda steps: steps,
        Image=Image,
    )
    tracks: Any = [[[round(x), round(y)] for x, y in points]]
    if fork == "bensonbs":
        tracks = types.SimpleNamespace(constructor_args={"value": tracks})
    try:
        Model().run(Image.new("RGB", (576, 320)), tracks, 1, 4)
    except Stop:
        return
    raise RuntimeError("run() did not reach the network")


if __name__ == "__main__":
    main(*sys.argv[1:])
