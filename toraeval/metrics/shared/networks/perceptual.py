"""The distance of LPIPS: published AlexNet and VGG16 features with learned weights, or any list of feature maps.

Written from the paper (arXiv 1801.03924) and the layout of the published files: torchvision's `features.<n>.weight` for
the convolutions, `lin<k>.model.1.weight` for the learned weights of version 0.1, which the packages `lpips` and
`torchmetrics` ship. Neither package nor torchvision is needed.

Legend of the shape suffixes: B pictures, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.assets import require_numbers
from toraeval.metrics.shared.networks.weight_sources import packaged, readable
from toraeval.types import MissingAsset

# Two batches (B, 3, H, W) in [-1, 1] to one distance per pair.
Distance = Callable[[Tensor, Tensor], Tensor]

# Layers by their number in torchvision's `features`: (number, channels in, channels out, kernel, stride, padding) or
# the word `tap` after the activation that is compared, or `pool` with its kernel and stride.
LAYOUTS: dict[str, tuple[Any, ...]] = {
    "alex": (
        (0, 3, 64, 11, 4, 2), "tap", ("pool", 3, 2), (3, 64, 192, 5, 1, 2), "tap", ("pool", 3, 2),
        (6, 192, 384, 3, 1, 1), "tap", (8, 384, 256, 3, 1, 1), "tap", (10, 256, 256, 3, 1, 1), "tap",
    ),
    "vgg": (
        (0, 3, 64, 3, 1, 1), (2, 64, 64, 3, 1, 1), "tap", ("pool", 2, 2),
        (5, 64, 128, 3, 1, 1), (7, 128, 128, 3, 1, 1), "tap", ("pool", 2, 2),
        (10, 128, 256, 3, 1, 1), (12, 256, 256, 3, 1, 1), (14, 256, 256, 3, 1, 1), "tap", ("pool", 2, 2),
        (17, 256, 512, 3, 1, 1), (19, 512, 512, 3, 1, 1), (21, 512, 512, 3, 1, 1), "tap", ("pool", 2, 2),
        (24, 512, 512, 3, 1, 1), (26, 512, 512, 3, 1, 1), (28, 512, 512, 3, 1, 1), "tap",
    ),
}  # fmt: skip
FILES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
# In [-1, 1]; the same numbers as ImageNet's mean and deviation up to rounding, as version 0.1 states them.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Features(nn.Module):
    """The convolutions of a published network up to its last compared layer.

    Args:
        backbone: `alex` or `vgg`.
    """

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.features = nn.ModuleDict()
        self._steps: list[tuple[str, Any]] = []
        self.channels: list[int] = []
        width = 0
        for layer in LAYOUTS[backbone]:
            if layer == "tap":
                self._steps.append(("tap", None))
                self.channels.append(width)
            elif layer[0] == "pool":
                self._steps.append(("pool", layer[1:]))
            else:
                number, into, width, kernel, stride, padding = layer
                self.features[str(number)] = nn.Conv2d(into, width, kernel, stride, padding)
                self._steps.append(("convolve", str(number)))
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1), persistent=False)

    shift: Tensor
    scale: Tensor

    def maps(self, image_BCHW: Tensor) -> list[Tensor]:
        """Return the compared feature maps of pictures, float (B, 3, H, W) in [-1, 1]."""
        x, found = (image_BCHW - self.shift) / self.scale, []
        for kind, what in self._steps:
            if kind == "tap":
                found.append(x)
            elif kind == "pool":
                x = nn.functional.max_pool2d(x, *what)
            else:
                x = self.features[what](x).relu()
        return found


class FeatureDistance(nn.Module):
    """Sum over layers of the weighted squared difference of unit-length features, averaged over places.

    Args:
        network: has `maps`, from pictures to a list of feature maps.
        channels: channels of each map, for learned weights; None for equal weights 1 / channels.
    """

    def __init__(self, network: Any, channels: list[int] | None = None) -> None:
        super().__init__()
        self.network = network
        self.weights = nn.ParameterList([torch.zeros(1, c, 1, 1) for c in channels or []])

    def forward(self, first_BCHW: Tensor, second_BCHW: Tensor) -> Tensor:
        """Return the distance (B,) of pairs of pictures in [-1, 1]."""
        return self.of_maps(self.network.maps(first_BCHW), self.network.maps(second_BCHW))

    def within(self, both_BCHW: Tensor, apart: int) -> Tensor:
        """Return the distance (`apart`,) of each picture from the one `apart` places later: one pass for all."""
        maps = self.network.maps(both_BCHW)
        return self.of_maps([m[:apart] for m in maps], [m[apart : 2 * apart] for m in maps])

    def of_maps(self, firsts: list[Tensor], seconds: list[Tensor]) -> Tensor:
        """Return the distance (B,) of pairs of pictures from their maps."""
        total = firsts[0].new_zeros(len(firsts[0]))
        for number, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
            apart = (_unit(first) - _unit(second)).square()
            weighted = apart * self.weights[number] if len(self.weights) else apart / apart.shape[1]
            total = total + weighted.sum(1).mean((1, 2))
        return total


def _unit(x_BCHW: Tensor) -> Tensor:
    # the published code adds this to the length
    return x_BCHW / (x_BCHW.square().sum(1, keepdim=True).sqrt() + 1e-10)


def heads_file(backbone: str) -> Path:
    """Return the learned weights that the installed package torchmetrics or lpips brings along, without importing it.

    Raises:
        MissingAsset: neither brings them.
    """
    for package, inside in (("torchmetrics", "functional/image/lpips_models"), ("lpips", "weights/v0.1")):
        file = packaged(package, f"{inside}/{backbone}.pth")
        if file is not None:
            return file
    raise MissingAsset(
        f"lpips: no package brings {backbone}.pth, the learned weights; run: pip install torchmetrics"
    )


def load(backbone: str, file: Path, heads: Path | None = None) -> FeatureDistance:
    """Return LPIPS with its published weights.

    Args:
        backbone: `alex` or `vgg`.
        file: torchvision's weights of the whole classifier; only its convolutions are taken.
        heads: the learned weights, by default those of an installed package.

    Raises:
        MissingAsset: a file is absent.
        UserError: a file is damaged or does not fit.
    """
    network = Features(backbone)
    distance = FeatureDistance(network, network.channels)
    own = [file] if heads is None else [file, heads]
    cure = f"delete it and run: python -m toraeval fetch lpips_{backbone}"
    require_numbers(own, "lpips", cure)
    with readable(f"lpips: {file} does not hold torchvision's {FILES[backbone]}", cure):
        stored = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict({name: stored[name] for name in network.state_dict()})
        learned = torch.load(heads or heads_file(backbone), map_location="cpu", weights_only=True)
        for number, weight in enumerate(distance.weights):
            weight.data.copy_(learned[f"lin{number}.model.1.weight"])
    return distance.eval().requires_grad_(False)
