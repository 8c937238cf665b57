"""The reproducibility record: everything a reader needs to make the same numbers again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import resource
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from toraeval.machine import cpu_count

PACKAGES = (
    "toraeval", "torch", "numpy", "scipy", "pandas", "hydra-core", "omegaconf", "av", "opencv-python-headless",
    "pillow", "safetensors", "torchmetrics", "matplotlib", "transformers", "diffusers", "torchvision",
)  # fmt: skip


def command_line(argv: Sequence[str] | None = None) -> str:
    """Return the command of this process as it can be pasted into a shell."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return shlex.join(["python", "-m", "toraeval", *arguments])


@cache
def versions() -> dict[str, str]:
    """Return the installed versions of the packages that can change a number; absent ones are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """Return commit and hash of the uncommitted difference of the checkout, or None outside of one.

    What a bench writes into `results/` is no difference: it makes the numbers no others, and holds this very hash.
    """
    folder = folder or Path(__file__).resolve().parents[1]
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    difference = _git(folder, "diff", "HEAD", "--", ":(top)", ":(top,exclude)results") or ""
    dirty = hashlib.sha256(difference.encode()).hexdigest() if difference else None
    return {"commit": commit, "dirty_diff_sha256": dirty}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=20,
            check=True,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Return what the numbers were made on; torch's facts only if something has loaded it."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": cpu_count(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["torch"] = {
            "threads": torch.get_num_threads(),
            "cuda": torch.version.cuda,
            "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
            "matmul_precision": torch.get_float32_matmul_precision(),
            "tf32_matmul": bool(torch.backends.cuda.matmul.allow_tf32),
            "tf32_cudnn": bool(torch.backends.cudnn.allow_tf32),
        }
    return facts


def peak_memory_mb() -> int:
    """Return the peak resident memory of this process or, if larger, of one of its children, in MB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # macOS counts bytes
    return max(own, children) // unit


def environment(wall_s: float, former: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the code, the packages and the machine of this process, and what it took: seconds and memory.

    Args:
        wall_s: seconds.
        former: the record of the command that computed what is there, where this one computes nothing: its machine
            stays.
    """
    return {
        "git": git_state(),
        "packages": versions(),
        "machine": (former or {}).get("machine") or machine(),
        "wall_s": round(wall_s, 3),
        "peak_memory_mb": peak_memory_mb(),
    }
