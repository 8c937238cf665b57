"""Build Open-Sora v1.2.0's own STDiT3 from a checkout, on a machine that lacks most of its dependencies.

The network's files (`opensora/models/stdit/stdit3.py`, `opensora/models/layers/blocks.py`) run unchanged. Real are
einops and rotary_embedding_torch; stood in for are packages that need a GPU or that the network does not compute with:
xformers (block-diagonal attention through `scaled_dot_product_attention`, one call per sample, which is as fast
as the CPU allows), timm (its two-layer MLP), the mmengine registry, and the checkpoint loader.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.optional import require
from toraeval.types import UserError

NEEDED = {"einops": "einops==0.8.2", "rotary_embedding_torch": "rotary-embedding-torch==0.5.3"}


class TimmMlp(nn.Module):
    """timm 0.9's `Mlp` as far as the network uses it: fc1, activation, fc2."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        out_features: int | None = None,
        act_layer: Any = nn.GELU,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_features, hidden_features)
        self.act = act_layer()
        self.drop = nn.Dropout(drop)
        self.fc2 = nn.Linear(hidden_features, out_features or in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features]."""
        out: Tensor = self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))
        return out


class BlockDiagonalMask:
    """xformers' mask of packed sequences: the queries of sample i see the keys of sample i."""

    def __init__(self, queries: Sequence[int], keys: Sequence[int]) -> None:
        self.queries, self.keys = list(queries), [int(n) for n in keys]

    @classmethod
    def from_seqlens(cls, queries: Sequence[int], keys: Sequence[int]) -> BlockDiagonalMask:
        """Take the number of queries and of keys of each sample."""
        return cls(queries, keys)


def packed_attention(
    q: Tensor, k: Tensor, v: Tensor, p: float = 0.0, attn_bias: BlockDiagonalMask | None = None
) -> Tensor:
    """Attend over packed [1, N, H, D] as xformers' `memory_efficient_attention` does, without dropout."""
    import torch

    if attn_bias is None:
        raise ValueError("the stand-in for xformers knows block-diagonal masks only")
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    parts = zip(
        q.split(attn_bias.queries, 2), k.split(attn_bias.keys, 2), v.split(attn_bias.keys, 2), strict=True
    )
    return torch.cat(
        [F.scaled_dot_product_attention(*part).transpose(1, 2) for part in parts], 1
    ).contiguous()


class _Registry:
    """mmengine's registry, which the network only uses as a decorator."""

    def register_module(self, *_: Any, **__: Any) -> Any:
        return lambda thing: thing


def _module(name: str, **contents: Any) -> None:
    if name not in sys.modules:
        module = ModuleType(name)
        module.__dict__.update(contents)
        sys.modules[name] = module


def load_upstream(checkout: Path) -> ModuleType:
    """Import `opensora.models.stdit.stdit3` from a checkout of Open-Sora v1.2.0.

    Raises:
        UserError: the folder is not such a checkout, or a real dependency is missing.
    """
    source = checkout / "opensora" / "models" / "stdit" / "stdit3.py"
    if not source.is_file():
        raise UserError(
            f"{checkout} is not a checkout of Open-Sora v1.2.0: {source} does not exist; run "
            "git clone --branch v1.2.0 --depth 1 https://github.com/hpcaitech/Open-Sora"
        )
    missing = [pin for name, pin in NEEDED.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"the upstream network needs {', '.join(missing)}; run pip install {' '.join(missing)} "
            "(in an environment of its own, or with --target and PYTHONPATH)"
        )
    require("transformers", "tora")
    for name, folder in {
        "opensora": "opensora",
        "opensora.models": "opensora/models",  # its own __init__ imports every model and text encoder
        "opensora.models.stdit": "opensora/models/stdit",
        "opensora.utils": "opensora/utils",
    }.items():
        _module(name, __path__=[str(checkout / folder)])
    _module("opensora.registry", MODELS=_Registry())
    _module("opensora.utils.ckpt_utils", load_checkpoint=None)
    fmha = ModuleType("xformers.ops.fmha")
    fmha.__dict__["BlockDiagonalMask"] = BlockDiagonalMask
    _module("xformers.ops", fmha=fmha, memory_efficient_attention=packed_attention)
    _module("xformers", ops=sys.modules["xformers.ops"])
    for name in ("timm", "timm.models"):
        _module(name)
    _module("timm.models.layers", DropPath=nn.Identity)
    _module("timm.models.vision_transformer", Mlp=TimmMlp)
    return importlib.import_module("opensora.models.stdit.stdit3")


def build_upstream(checkout: Path, **options: Any) -> nn.Module:
    """Build upstream's STDiT3 with its own initialisation; options are fields of its `STDiT3Config`."""
    module = load_upstream(checkout)
    model: nn.Module = module.STDiT3(module.STDiT3Config(**options))
    return model.eval()
