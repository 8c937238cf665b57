"""The sat checkpoint of Tora, `mp_rank_00_model_states.pt`, read under the names of the diffusers layout.

The names follow from the number of layers by rule. Three groups of tensors are laid out differently: sat joins
query, key and value, joins the modulation of both norms of a layer, and lists video before text in each half.
TensorSource: alibaba/Tora 9a23dce, `sat/dit_video_concat.py` (module names) against `ToraTransformer3DModel` of its
diffusers version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from toraeval.models.shared.weight_files import StateReader

SAT_FILE = "mp_rank_00_model_states.pt"
PREFIX = "model.diffusion_model."
# Tables that the network computes itself, and the other networks of a training checkpoint.
DROPPED = (
    f"{PREFIX}mixins.pos_embed.freqs_sin",
    f"{PREFIX}mixins.pos_embed.freqs_cos",
    f"{PREFIX}transformer.position_embeddings.",
    "first_stage_model.",
    "conditioner.",
)
MODULATION_PARTS = 12
NORM_PARTS = {"norm1": (0, 1, 2, 6, 7, 8), "norm2": (3, 4, 5, 9, 10, 11)}
QKV = ("to_q", "to_k", "to_v")
_PLAIN = (
    ("mixins.pos_embed.pos_embedding", "patch_embed.pos_embedding"),
    ("mixins.patch_embed.", "patch_embed."),
    ("mixins.final_layer.norm_final.", "norm_out.norm."),
    ("mixins.final_layer.adaLN_modulation.1.", "norm_out.linear."),
    ("mixins.final_layer.linear.", "proj_out."),
    ("transformer.final_layernorm.", "norm_final."),
    ("time_embed.0.", "time_embedding.linear_1."),
    ("time_embed.2.", "time_embedding.linear_2."),
    ("traj_extractor.", "traj_extractor."),
)
_LAYER = (
    ("transformer.layers.{i}.input_layernorm.", "norm1.norm."),
    ("transformer.layers.{i}.attention.dense.", "attn1.to_out.0."),
    ("transformer.layers.{i}.post_attention_layernorm.", "norm2.norm."),
    ("transformer.layers.{i}.mlp.dense_h_to_4h.", "ff.net.0.proj."),
    ("transformer.layers.{i}.mlp.dense_4h_to_h.", "ff.net.2."),
    ("mixins.adaln_layer.query_layernorm_list.{i}.", "attn1.norm_q."),
    ("mixins.adaln_layer.key_layernorm_list.{i}.", "attn1.norm_k."),
)


@dataclass(frozen=True)
class TensorSource:
    """Where a tensor comes from.

    Attributes:
        name: name in the checkpoint, without `model.diffusion_model.`.
        parts: which equal parts of the first axis, in this order; empty for the whole tensor.
        of: number of parts of that tensor.
    """

    name: str
    parts: tuple[int, ...] = ()
    of: int = 1

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the wanted tensor; that of the whole one where it cannot be parted."""
        if not self.parts or not stored or stored[0] % self.of:
            return stored
        return (stored[0] // self.of * len(self.parts), *stored[1:])

    def take(self, stored: Tensor) -> Tensor:
        """Return the wanted tensor."""
        if not self.parts:
            return stored
        chunks = stored.chunk(self.of)
        return torch.cat([chunks[part] for part in self.parts])


def source_of(target: str) -> TensorSource:
    """Return where a tensor of the diffusers layout lies in a sat checkpoint.

    Args:
        target: name in the state dict of `ToraCogVideoXTransformer`.

    Raises:
        KeyError: no such name in that network.
    """
    head, _, rest = target.partition(".")
    if head == "fuser":
        return TensorSource(f"mixins.adaln_layer.fuser_list.{rest}")
    if head == "transformer_blocks":
        index, _, inner = rest.partition(".")
        return _layer_source(int(index), inner)
    for name, own in _PLAIN:
        if target.startswith(own):
            return TensorSource(name + target.removeprefix(own))
    raise KeyError(target)


def _layer_source(index: int, inner: str) -> TensorSource:
    for name, own in _LAYER:
        if inner.startswith(own):
            return TensorSource(name.format(i=index) + inner.removeprefix(own))
    leaf = inner.rpartition(".")[2]
    for norm, parts in NORM_PARTS.items():
        if inner.startswith(f"{norm}.linear."):
            name = f"mixins.adaln_layer.adaLN_modulations.{index}.1.{leaf}"
            return TensorSource(name, parts, MODULATION_PARTS)
    for part, own in enumerate(QKV):
        if inner.startswith(f"attn1.{own}."):
            name = f"transformer.layers.{index}.attention.query_key_value.{leaf}"
            return TensorSource(name, (part,), len(QKV))
    raise KeyError(f"transformer_blocks.{index}.{inner}")


class SatReader(StateReader):
    """A sat checkpoint that offers its tensors under the names of the diffusers layout.

    Tensors that the network does not know stay in `shapes` under their own names, so that they are reported.

    Args:
        path: the checkpoint file, or the folder with it.
        targets: names of the network's state dict.
        what, cure: for messages, see `StateReader`.
    """

    def __init__(self, path: Path | str, targets: Iterable[str], what: str, cure: str) -> None:
        super().__init__(path, what, cure)
        stored = {name: shape for name, shape in self.shapes.items() if not name.startswith(DROPPED)}
        self._sources = {name: source_of(name) for name in targets}
        used = {PREFIX + source.name for source in self._sources.values()}
        self.shapes = {name: shape for name, shape in stored.items() if name not in used}
        self.shapes |= {
            name: source.shape(stored[PREFIX + source.name])
            for name, source in self._sources.items()
            if PREFIX + source.name in stored
        }

    def tensor(self, name: str) -> Tensor:
        source = self._sources[name]
        return source.take(super().tensor(PREFIX + source.name))
