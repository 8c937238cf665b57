"""Measure every stage at several lengths and sizes, and others' code beside ours; writes docs/performance.md.

    python -m benchmarks.all                                        # about a quarter of an hour of one core
    python -m benchmarks.all --frames 16 64 --sizes 256x256         # less
    python -m benchmarks.all --tapnet ~/tapnet --co-tracker ~/co-tracker --open-sora ~/Open-Sora

Everything runs in fresh processes with one thread, one after another; times are those of the processor. What a peer
needs is said by `benchmarks.peers`; what is not there is a line that says so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.machine import describe, parser_of
from benchmarks.stages import HELD

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
SIZES = ("256x256", "512x512", "1280x720")
LENGTHS = (16, 64, 128, 512)
FITTED_FROM = 64  # shorter clips are governed by what a stage costs once
STEEP = 1.1
Found = dict[tuple[str, int], dict[str, Any]]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="WIDTHxHEIGHT")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page (default: docs/performance.md)")
    for name in ("tapnet", "co-tracker", "open-sora"):
        parser.add_argument(f"--{name}", type=Path, help="a checkout, see benchmarks.peers")
    args = parser.parse_args()
    stages: Found = {}
    held: Found = {}
    for size in args.sizes:
        for frames in args.frames:
            print(f"{size}, {frames} frames", file=sys.stderr, flush=True)
            words = ("stages", "--frames", str(frames), "--size", *size.split("x"))
            stages[size, frames] = child(*words, check=False)
            held[size, frames] = child(*words, "--held", check=False, environment=HELD)
    cases = {count: child("harness_cost", "--child", str(count)) for count in (10, 100)}
    peers = child("peers", *checkouts(args))
    args.out.write_text(page(stages, held, cases, peers))
    print(args.out)


def checkouts(args: argparse.Namespace) -> list[str]:
    """Return the words that hand the given checkouts on."""
    words = []
    for name in ("tapnet", "co_tracker", "open_sora"):
        folder = getattr(args, name)
        words += [f"--{name.replace('_', '-')}", str(folder.resolve())] if folder else []
    return words


def child(
    module: str, *words: str, check: bool = True, environment: Mapping[str, str] = MappingProxyType({})
) -> Any:
    """Run a benchmark in a fresh process with one thread and return the JSON that it prints."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **one, **environment}
    )
    if done.returncode:
        if check:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        reason = "out of memory" if done.returncode < 0 else done.stderr.strip().splitlines()[-1]
        return {"everything": f"ended with {done.returncode}: {reason}"}
    return json.loads(done.stdout.splitlines()[-1])


def page(stages: Found, held: Found, cases: dict[int, float], peers: list[dict[str, Any]]) -> str:
    """Return the page in Markdown."""
    few, many = cases.values()
    growth = (
        f"Scoring {min(cases)} small clips takes {few:.0f} MiB at its peak, {max(cases)} clips {many:.0f} MiB: "
        f"x{many / few:.2f}."
    )
    return "\n".join(
        [
            "# Performance",
            "",
            "Written by `python -m benchmarks.all`; times of whole commands, and of the model at full width, are in "
            "[benchmarks.md](benchmarks.md).",
            "",
            f"Machine: {describe()}. One process with one thread; seconds of the processor, one clip each. With other "
            "load they are up to twice those of a quiet machine; ratios and exponents hardly move.",
            "",
            "## Seconds of each stage",
            "",
            "Metrics that look at a fixed number of frames (`clipsim`, `lpips`, `ssim`, `psnr`) do not grow with the "
            "clip; `fvd` includes the features of the reference clip, which a bench computes once for all models, and "
            "`clipsim` and `lpips` find their frames resized by it where they share a recipe.",
            "",
            per_stage(stages, "seconds", 3),
            "",
            not_possible(stages),
            "",
            "## Memory that a stage adds at its peak, MiB",
            "",
            "Above what the process holds when the stage begins; memory that an earlier stage gave back is used again "
            "and counts as nothing. `process` is the peak of the whole process, libraries and networks included.",
            "",
            per_stage(stages, "mib", 0),
            "",
            "## Growth",
            "",
            f"Exponent b of seconds = a * frames^b, fitted from {FITTED_FROM} frames on. What grows faster than "
            f"frames^{STEEP} is marked. The seconds are those of a second process that has touched as much memory as "
            "two clips and keeps what it frees: handing out fresh memory is the work of the system, which takes "
            "longer for each further page on some virtual machines. It is in the seconds above; `fresh memory for "
            "one clip` is what merely filling a new array of the clip's size takes.",
            "",
            exponents(held),
            "",
            growth,
            "",
            "## Beside others",
            "",
            "Both take turns in one process; ratio is the median of theirs / ours, above 1 where ours is faster. "
            "Reading does more here than PyAV or decord: every frame is counted, damage is found, and colours of "
            "lossy files are interpolated at full resolution.",
            "",
            beside(peers),
            "",
        ]
    )


def names_of(stages: Found) -> list[str]:
    """Return the names of all stages in the order they ran."""
    return list(dict.fromkeys(name for found in stages.values() for name in found))


def per_stage(stages: Found, key: str, digits: int) -> str:
    """Return one table per size, stages down, lengths across."""
    tables = []
    for size in dict.fromkeys(size for size, _ in stages):
        lengths = [frames for each, frames in stages if each == size]
        rows = [
            [name, *(_cell(stages[size, frames].get(name), key, digits) for frames in lengths)]
            for name in names_of(stages)
        ]
        rows = [row for row in rows if any(row[1:])]
        heads = [size, *(f"{frames} frames" for frames in lengths)]
        tables.append(tabulate(rows, heads, tablefmt="github", disable_numparse=True))
    return "\n\n".join(tables)


def _cell(found: Any, key: str, digits: int) -> str:
    if found is None:
        return ""
    if isinstance(found, str):
        return "not possible"
    value = found.get(key)
    return "" if value is None or math.isnan(value) else f"{max(value, 0.0):.{digits}f}"


def not_possible(stages: Found) -> str:
    """Return why stages could not be measured, a line each."""
    reasons = {
        f"`{name}` at {size}: {why}"
        for (size, _), found in stages.items()
        for name, why in found.items()
        if isinstance(why, str)
    }
    return "\n".join(f"- {reason}" for reason in sorted(reasons))


def exponents(stages: Found) -> str:
    """Return the fitted exponents, stages down, sizes across."""
    sizes = list(dict.fromkeys(size for size, _ in stages))
    rows = []
    for name in names_of(stages):
        cells = [_exponent(stages, size, name) for size in sizes]
        if any(cells):
            rows.append([name, *cells])
    return tabulate(rows, ["stage", *sizes], tablefmt="github", disable_numparse=True)


def _exponent(stages: Found, size: str, name: str) -> str:
    points = [
        (frames, found[name]["seconds"])
        for (each, frames), found in stages.items()
        if each == size and frames >= FITTED_FROM and "seconds" in (found.get(name) or {})
    ]
    points = [(frames, seconds) for frames, seconds in points if seconds > 0]
    if len(points) < 2:
        return ""
    moments, seconds = np.log(np.array(points)).T
    slope = float(np.polyfit(moments, seconds, 1)[0])
    return f"{slope:.2f}{' (above)' if slope > STEEP else ''}"


def beside(peers: list[dict[str, Any]]) -> str:
    """Return the table of pairs; what could not be measured is a row with its reason."""
    rows = [
        [p["task"], "skipped", "", "", p["skipped"]]
        if "skipped" in p
        else [p["task"], p["peer"], f"{1e3 * p['theirs']:.3g}", f"{1e3 * p['ours']:.3g}", f"{p['ratio']:.2f}"]
        for p in peers
    ]
    heads = ["task", "peer", "theirs, ms", "ours, ms", "theirs / ours"]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    main()
