"""Options that several generators have: steps, guidance, precision, and the device with the time spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toraeval.allowed import check_options
from toraeval.models.shared.base import GUIDANCE, STEPS
from toraeval.types import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

PRECISIONS = {"bf16": "bfloat16", "fp32": "float32"}
"""Names of torch's types of numbers by our own ones."""


@dataclass(frozen=True)
class SamplingOptions:
    """How to sample.

    Attributes:
        steps: Euler steps.
        guidance: classifier-free guidance scale; 1 turns it off and halves the cost.
        precision: `bf16` or `fp32` for the network.
    """

    steps: int
    guidance: float = 1.0
    precision: str = "bf16"


def sampling_options(
    model: str,
    given: tuple[int | None, float | None, str],
    steps: int = 1,
    guidance: float = 1.0,
) -> SamplingOptions:
    """Return the given steps, guidance and precision, with the defaults where they are None.

    Raises:
        UserError: steps outside 1 to 1000, a guidance below 1 or not finite, or an unknown precision.
    """
    made = SamplingOptions(
        steps if given[0] is None else given[0], guidance if given[1] is None else given[1], given[2]
    )
    check_options(model, made, steps=STEPS, guidance=GUIDANCE, precision=PRECISIONS)
    return made


def dtype_of(precision: str) -> torch.dtype:
    """Return torch's type of numbers of a precision."""
    import torch

    dtype: torch.dtype = getattr(torch, PRECISIONS[precision])
    return dtype


def resolve_device(model: str, name: str) -> torch.device:
    """Return the device that a name stands for; `auto` is a GPU if there is one, else the CPU.

    Raises:
        UserError: an unknown name, or a GPU that is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"{model}: device={name}; allowed: auto, cpu, cuda, cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UserError(
            f"{model}: device={name}, but torch sees {torch.cuda.device_count()} GPU(s); allowed: cpu"
        )
    return torch.device(name)


@contextmanager
def at_work(network: nn.Module, device: torch.device | str, offload: bool) -> Iterator[None]:
    """Have a network on its device while the block runs; with `offload` it is on the CPU afterwards."""
    import torch

    network.to(device)
    try:
        yield
    finally:
        if offload:
            network.to("cpu")
            if torch.device(device).type == "cuda":
                torch.cuda.empty_cache()
