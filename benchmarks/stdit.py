"""Time the diffusion transformer: beside Open-Sora's own on the CPU, or a whole sampling run on a GPU.

    python -m benchmarks.stdit --upstream ~/Open-Sora                  # XL/2 width, depth 2, 16 frames at 512x512
    python -m benchmarks.stdit --upstream ~/Open-Sora --frames 51 --size 256 --dtype bfloat16
    python -m benchmarks.stdit --device cuda                           # full xl2, 128x512x512, 30 steps with guidance

Beside upstream both networks hold the same random weights and take turns, so that other load falls on both. On a
machine with other load take `--threads 1` and the processor time, which counts this process alone. Peak memory is
that of one forward pass in a fresh process each (Linux with glibc). The checkout is Open-Sora v1.2.0; einops and
rotary-embedding-torch have to be importable (`benchmarks/open_sora.py` names what stands in for the rest).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.machine import describe, parser_of, use_threads
from benchmarks.open_sora import build_upstream
from benchmarks.stdit_sampling import build_ours, latent_shape, sampling
from toraeval.models.shared.network.config import xl2
from toraeval.types import UserError


def main() -> None:
    args = parse()
    try:
        if args.only:
            print(json.dumps(measure_memory(args)))
        elif args.upstream:
            compare(args)
        else:
            sampling(args)
    except UserError as error:
        sys.exit(f"error: {error}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--upstream", type=Path, help="checkout of Open-Sora v1.2.0 to compare with")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--depth", type=int, help="block pairs (default: 2 beside upstream, else 28)")
    parser.add_argument("--frames", type=int, help="pixel frames (default: 16 beside upstream, else 128)")
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels (default: 512)")
    parser.add_argument("--batch", type=int, default=2, help="samples beside upstream (default: 2, guidance)")
    parser.add_argument("--text-tokens", type=int, default=120, help="caption tokens kept (default: 120)")
    parser.add_argument("--frame-mask", action="store_true", help="pass x_mask, as upstream's sampler does")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: float32 beside upstream")
    parser.add_argument("--steps", type=int, default=30, help="steps of a sampling run (default: 30)")
    parser.add_argument("--compile", action="store_true", help="sampling: torch.compile the blocks")
    parser.add_argument("--repeat", type=int, default=3, help="passes of each network (default: 3)")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: torch's own choice)")
    parser.add_argument("--only", choices=("ours", "upstream"), help=argparse.SUPPRESS)  # one memory reading
    args = parser.parse_args()
    beside = args.upstream is not None
    args.depth = args.depth or (2 if beside else 28)
    args.frames = args.frames or (16 if beside else 128)
    args.dtype = args.dtype or ("float32" if beside else "bfloat16")
    use_threads(args.threads)
    return args


def make_inputs(args: argparse.Namespace) -> dict[str, Tensor]:
    """Return random arguments that both networks take."""
    generator = torch.Generator().manual_seed(1)
    batch = args.batch
    shape = latent_shape(args, batch)
    mask = torch.zeros(batch, 300, dtype=torch.long)
    mask[:, : args.text_tokens] = 1
    dtype = getattr(torch, args.dtype)  # upstream's own scripts give sizes and rates in the weights' dtype
    inputs = {
        "x": torch.randn(shape, generator=generator),
        "timestep": torch.full((batch,), 700.0),
        "y": torch.randn(batch, 1, 300, 4096, generator=generator),
        "mask": mask,
        "fps": torch.full((batch,), 24.0, dtype=dtype),
        "height": torch.full((batch,), float(args.size), dtype=dtype),
        "width": torch.full((batch,), float(args.size), dtype=dtype),
    }
    if args.frame_mask:
        inputs["x_mask"] = torch.ones(batch, shape[2], dtype=torch.bool)
    return inputs


def build(which: str, args: argparse.Namespace) -> nn.Module:
    """Build one of the two networks; the weights are equal."""
    ours = build_ours(xl2(depth=args.depth), args.dtype)
    if which == "ours":
        return ours
    upstream = build_upstream(args.upstream, depth=args.depth).to(getattr(torch, args.dtype))
    upstream.load_state_dict(ours.state_dict())
    return upstream


@torch.no_grad()
def compare(args: argparse.Namespace) -> None:
    """Print seconds, memory and difference of both networks."""
    print(describe())
    models = {which: build(which, args) for which in ("upstream", "ours")}
    inputs = make_inputs(args)
    outputs = {which: model(**inputs) for which, model in models.items()}  # also warms up
    wall: dict[str, list[float]] = {which: [] for which in models}
    cpu: dict[str, list[float]] = {which: [] for which in models}
    for _ in range(args.repeat):
        for which, model in models.items():
            begin = time.perf_counter(), time.process_time()
            model(**inputs)
            wall[which].append(time.perf_counter() - begin[0])
            cpu[which].append(time.process_time() - begin[1])
    memory = {which: memory_of(which) for which in models}
    batch, _, frames, rows, columns = inputs["x"].shape
    print(
        f"XL/2 width, depth {args.depth}, {args.dtype}, batch {batch}, {args.frames} frames at "
        f"{args.size}x{args.size} (latent {frames}x{rows}x{columns}), {args.text_tokens} caption tokens"
    )
    for which in models:
        print(
            f"{which:9} wall {statistics.median(wall[which]):6.2f} s (min {min(wall[which]):.2f})   "
            f"processor {statistics.median(cpu[which]):6.2f} s (min {min(cpu[which]):.2f})   "
            f"peak of the pass {memory[which]:6.0f} MiB"
        )
    by_wall, by_cpu = (statistics.median(v["upstream"]) / statistics.median(v["ours"]) for v in (wall, cpu))
    difference = (outputs["ours"] - outputs["upstream"]).abs().max()
    print(
        f"speed x{by_wall:.2f} by the wall clock, x{by_cpu:.2f} by processor time; "
        f"memory x{memory['ours'] / memory['upstream']:.2f}; "
        f"largest difference {difference:.1e} of {outputs['upstream'].abs().max():.1f}"
    )


def memory_of(which: str) -> float:
    """Measure a network's memory in a fresh process with this process's options; MiB."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.stdit", *sys.argv[1:], "--only", which]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"measuring the memory of {which} failed: {done.stderr.strip()[-500:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


@torch.no_grad()
def measure_memory(args: argparse.Namespace) -> float:
    """Return by how many MiB one forward pass raises the resident size at its peak."""
    model, inputs = build(args.only, args), make_inputs(args)
    small = {**inputs, "x": inputs["x"][:, :, :1, :2, :2]}
    small.pop("x_mask", None)
    model(**small)  # what libraries allocate once is not the pass's
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what building the network freed must not serve the pass uncounted
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of building the network
    except (OSError, AttributeError) as error:
        raise UserError(f"peak memory is read as on Linux with glibc; here: {error}") from None
    before = resident("VmRSS")
    model(**inputs)
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """Return a memory field of this process's status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
