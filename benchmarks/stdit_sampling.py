"""A sampling run of the full-size diffusion transformer: seconds, peak memory, and share of the device's peak."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.flops import forward_flops, text_flops
from benchmarks.machine import describe, peak_memory_gib
from toraeval.models.shared.network import attention, blocks
from toraeval.models.shared.network.config import STDiTConfig, xl2
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.rectified_flow import ClipSize, RectifiedFlow
from toraeval.models.tora.conditions.compression import latent_intervals
from toraeval.types import UserError

VAE_CHUNK = 17  # frames that the video autoencoder packs together
MATMUL_SIDE = {"cpu": 2048, "cuda": 8192}


@torch.no_grad()
def sampling(args: argparse.Namespace) -> None:
    """Print the run of our network and that of an eager baseline with the same weights.

    Raises:
        UserError: the device is not there.
    """
    kind = torch.device(args.device).type
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {args.device}: torch sees no GPU here; allowed: cpu")
    config, dtype = xl2(depth=args.depth), getattr(torch, args.dtype)
    model = build_ours(config, args.dtype, args.device)
    shape = latent_shape(args, 1)
    rows = -(-shape[3] // 2)
    grid = (shape[2], rows, rows)
    once = text_flops(config, 2, args.text_tokens)
    step = forward_flops(config, 2, grid, args.text_tokens)
    peak = matmul_peak(args.device, dtype, MATMUL_SIDE.get(kind, MATMUL_SIDE["cuda"]))
    print(describe() + (f", {torch.cuda.get_device_name()}" if kind == "cuda" else ""))
    print(
        f"xl2 depth {args.depth}, {args.dtype}, {args.frames} frames at {args.size}x{args.size}, {args.steps} steps "
        f"with guidance: {(args.steps * step + once) / 1e12:.1f} TFLOP; matmul peak {peak:.1f} TFLOP/s"
    )
    seconds = {}
    with eager_baseline():
        seconds["baseline"] = report("baseline", args, model, shape, args.steps * step + once, peak)
    if args.compile:
        model.compile_blocks()
    name = "ours, compiled" if args.compile else "ours"
    seconds["ours"] = report(name, args, model, shape, args.steps * step + once, peak)
    print(f"speed x{seconds['baseline'] / seconds['ours']:.2f}")


def report(
    name: str,
    args: argparse.Namespace,
    model: STDiT3,
    shape: tuple[int, int, int, int, int],
    flops: int,
    peak: float,
) -> float:
    """Run once for one step to warm up and once in full; print the line; return the seconds."""
    cuda = torch.device(args.device).type == "cuda"
    run(args, model, shape, steps=1, cached=name != "baseline")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    out = run(args, model, shape, args.steps, cached=name != "baseline")
    finite = bool(out.isfinite().all())  # also waits for the device
    seconds = time.perf_counter() - begin
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else peak_memory_gib()
    rate = flops / seconds / 1e12
    of = "" if cuda else " (of the process so far)"
    print(
        f"{name:15} {seconds:8.2f} s   peak memory {memory:6.2f} GiB{of}   {rate:7.2f} TFLOP/s = "
        f"{rate / peak:.0%} of the matmul peak{'' if finite else '   NOT FINITE'}"
    )
    return seconds


def run(
    args: argparse.Namespace,
    model: STDiT3,
    shape: tuple[int, int, int, int, int],
    steps: int,
    cached: bool,
) -> Tensor:
    """Sample a latent from noise with guidance; `cached` projects the captions once instead of in every step."""
    generator = torch.Generator().manual_seed(0)
    prompt = torch.randn(
        1, 1, model.config.model_max_length, model.config.caption_channels, generator=generator
    )
    y = torch.cat((prompt.to(args.device), model.y_embedder.null(1)))
    mask = torch.zeros(1, y.shape[2], dtype=torch.long, device=args.device)
    mask[:, : args.text_tokens] = 1
    text = model.precompute_text(y, mask) if cached else None

    def denoise(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        size = float(args.size)
        if text is None:
            return model(x, timestep, y, mask, x_mask, height=size, width=size)  # type: ignore[no-any-return]
        return model(x, timestep, text=text, x_mask=x_mask, height=size, width=size)  # type: ignore[no-any-return]

    noise = torch.randn(shape, generator=generator).to(args.device)
    clip = ClipSize(args.size, args.size, args.frames)
    return RectifiedFlow().sample(denoise, noise, steps, size=clip)


@contextmanager
def eager_baseline() -> Iterator[None]:
    """Compute as upstream does without its optional kernels: softmax of all scores in float32, nothing in slices."""
    fused: Callable[..., Tensor] = attention.attend
    slices = dict(blocks.SLICE_BYTES)
    attention.attend = dense_attention
    blocks.SLICE_BYTES.update(dict.fromkeys(slices, 2**62))
    try:
        yield
    finally:
        attention.attend = fused  # type: ignore[assignment]
        blocks.SLICE_BYTES.update(slices)


def dense_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of scaled queries by two products with a float32 softmax between them."""
    scores = q @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.float().softmax(-1).to(q.dtype) @ v


def matmul_peak(device: str, dtype: torch.dtype, side: int, repeat: int = 10) -> float:
    """Return the TFLOP/s of the fastest of `repeat` square matrix products."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeat + 1):
        begin = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for the device
        seconds.append(time.perf_counter() - begin)
    return float(2 * side**3 / min(seconds[1:]) / 1e12)


def latent_shape(args: argparse.Namespace, batch: int) -> tuple[int, int, int, int, int]:
    """Return the latent shape [B,C,T,H,W] of the clip asked for."""
    side = args.size // 8
    return batch, 4, len(latent_intervals(args.frames, VAE_CHUNK)), side, side


def build_ours(config: STDiTConfig, dtype: str, device: str = "cpu") -> STDiT3:
    """Build our network with random weights, none of them zero."""
    torch.manual_seed(0)
    with torch.device(device):
        model = STDiT3(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    return model.to(getattr(torch, dtype))
