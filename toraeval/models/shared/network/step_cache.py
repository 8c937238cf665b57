"""What a sampling run may take from its earlier steps instead of computing it again: blocks or attention outputs.

Two published ideas, reimplemented from their descriptions; both change the pixels, so they are off by default and named
in the fingerprint of every run that uses them.

`teacache` (TeaCache, arXiv 2411.19108): a step whose modulated first input has changed little since the last computed
step keeps that step's change by all blocks. The changes are summed up without the polynomial that the authors fit to
each model: none is published for the networks here.

`pab` (Pyramid Attention Broadcast, arXiv 2408.12588): within a range of time steps an attention output serves several
steps: spatial ones 2, temporal ones 4, caption ones 6, as the authors' configuration for Open-Sora has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from toraeval.allowed import POSITIVE, check_option

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("none", "teacache", "pab")
THRESHOLD = 0.1  # summed relative change up to which a step is skipped
PAB_TIMES = (450.0, 930.0)  # time steps between which attention outputs are kept, on 0..1000
PAB_STEPS = {"spatial": 2, "temporal": 4, "caption": 6}  # steps that one output serves
Kind = Literal["spatial", "temporal", "caption"]


def check_cache(model: str, method: str, threshold: float) -> None:
    """Refuse an unknown method and a threshold that is not positive.

    Raises:
        UserError: names what is allowed.
    """
    check_option(model, "cache", method, METHODS)
    check_option(model, "cache_threshold", threshold, POSITIVE)


@dataclass
class StepCache:
    """Memory of one sampling run; a new run takes a new one.

    Attributes:
        method: `teacache` or `pab`.
        steps: of the run; the first and the last one are always computed.
        threshold: of `teacache`.
        computed: steps, or attention outputs, that were computed.
        reused: those that were not.
    """

    method: str
    steps: int
    threshold: float = THRESHOLD
    computed: int = 0
    reused: int = 0
    _step: int = -1
    _keeps: bool = False  # whether this step lies in the range of `pab`
    _since: int = 0  # steps since that range was entered
    _signal: Tensor | None = None
    _change: Tensor | None = None
    _summed: float = 0.0
    _outputs: dict[tuple[object, ...], Tensor] = field(default_factory=dict)

    def begin_step(self, timestep: Tensor) -> None:
        """Say that the network is called for the next step, at `timestep` [B] on 0..1000."""
        self._step += 1
        inside = PAB_TIMES[0] < float(timestep.flatten()[0]) < PAB_TIMES[1]
        self._since = self._since + 1 if inside and self._keeps else 0
        self._keeps = inside

    def blocks(
        self, tokens: Tensor, signal: Callable[[], Tensor], compute: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return what all blocks make of the tokens, or with `teacache` what they changed in an earlier step.

        Args:
            tokens: [B,T,S,C].
            signal: returns the modulated input of the first block, the same shape.
            compute: runs the blocks.
        """
        if self.method != "teacache":
            return compute(tokens)
        now, before = signal(), self._signal
        self._signal = now
        if before is not None and self._change is not None and self._step < self.steps - 1:
            self._summed += float((now - before).abs().mean() / before.abs().mean().clamp_min(1e-12))
            if self._summed < self.threshold:
                self.reused += 1
                return tokens + self._change
        self._summed = 0.0
        out = compute(tokens)
        self._change = out - tokens
        self.computed += 1
        return out

    def attention(self, kind: Kind, place: tuple[object, ...], compute: Callable[[], Tensor]) -> Tensor:
        """Return an attention output, or with `pab` the one of an earlier step.

        Args:
            kind: of the attention.
            place: names the layer and the part of the tokens, the same in every step.
            compute: runs the layer.
        """
        if self.method != "pab":
            return compute()
        key = (kind, *place)
        if self._keeps and self._since % PAB_STEPS[kind] and key in self._outputs:
            self.reused += 1
            return self._outputs[key]
        out = compute()
        if self._keeps:
            self._outputs[key] = out
        else:
            self._outputs.pop(key, None)
        self.computed += 1
        return out


def joint_facts(caches: Sequence[StepCache]) -> dict[str, object]:
    """Return what the record of a clip says of the caches of its sampling runs; nothing if there are none."""
    if not caches:
        return {}
    what = "steps" if caches[0].method == "teacache" else "attention_outputs"
    return {
        "cache": caches[0].method,
        f"{what}_computed": sum(cache.computed for cache in caches),
        f"{what}_reused": sum(cache.reused for cache in caches),
    }
