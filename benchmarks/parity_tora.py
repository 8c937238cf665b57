"""Our modules against recordings of Tora's release: trajectory extractor and fuser."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.parity_data import Recording, Row
from toraeval.models.shared.network.extractor import TrajectoryExtractor
from toraeval.models.shared.network.fuser import AdaptiveNormFuser

GRADIENTS = 1e-5


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
        module = fresh().train(case.startswith("train_"))
        features = module(recorded[f"{case.removeprefix('train_')}/x"])
        for i, feature in enumerate(features):
            maps = feature.flatten(0, 1).transpose(1, 2)
            yield from recorded.check(f"{case}/feature{i}", maps)
        state = module.state_dict()
        for name in recorded.under(f"{case}/after/"):
            yield from recorded.check(f"{case}/after/{name}", state[name])


def fuser(recorded: Recording) -> Iterator[Row]:
    """Outputs, values inside and gradients of the adaptive norm."""
    config = recorded.json("config")
    module = AdaptiveNormFuser(config["flow_in_channel"], config["out_channels"], groups=32)
    module.load_state_dict(dict(recorded.under("sd/")), strict=True)
    for case in recorded.groups("/h"):
        frames, (rows, columns) = int(recorded.array(f"{case}/T")), recorded[f"{case}/h"].shape[2:]

        def tokens(name: str, frames: int = frames, case: str = case) -> Tensor:
            return recorded[f"{case}/{name}"].flatten(2).transpose(1, 2).unflatten(0, (-1, frames))

        def maps(value: Tensor, rows: int = rows, columns: int = columns) -> Tensor:
            return value.flatten(0, 1).transpose(1, 2).unflatten(2, (rows, columns))

        hidden, motion = tokens("h").requires_grad_(), tokens("flow").requires_grad_()
        with torch.enable_grad():
            out = module(hidden, motion, (rows, columns))
            if f"{case}/w" in recorded:
                (out * tokens("w")).sum().backward()
        yield from recorded.check(f"{case}/out", maps(out))
        for name, leaf in (("grad_h", hidden), ("grad_flow", motion)):
            if leaf.grad is not None:
                yield from recorded.check(f"{case}/{name}", maps(leaf.grad), GRADIENTS)
        yield from recorded.check(
            f"{case}/gamma_spatial", module.flow_gamma_spatial(recorded[f"{case}/flow"])
        )
        if module.flow_cond_norm is not None:
            yield from recorded.check(f"{case}/normed_h", module.flow_cond_norm(recorded[f"{case}/h"]))
