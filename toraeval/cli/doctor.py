"""`doctor`: what is installed, what is missing, and the command that gets it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from tabulate import tabulate

from toraeval import assets, optional, registry
from toraeval.assets import programs
from toraeval.assets.program_table import PROGRAMS
from toraeval.cli.arguments import split
from toraeval.cli.listing import missing_of
from toraeval.machine import cpu_count, free_memory
from toraeval.run.parts import Builder
from toraeval.store import record
from toraeval.store.disk import megabytes
from toraeval.types import MissingAsset, UserError, counted

HELP = """Say what is installed, what is missing, and how to get it. Exit code 3 if the embedded preset cannot run.

  python -m toraeval doctor
"""
CORE = (
    "torch", "numpy", "scipy", "pandas", "hydra", "omegaconf", "matplotlib", "av", "cv2", "PIL", "safetensors",
    "pooch", "tqdm", "tabulate", "jinja2",
)  # fmt: skip
OPTIONAL = {
    "transformers": "tora",
    "diffusers": "cogvideox",
    "lpips": "lpips",
    "tensorboard": "train",
    "submitit": "slurm",
}
EMBEDDED = (("model", "tora"), ("model", "ground_truth"), ("model", "static"), ("suite", "shapes"),
            ("tracker", "lucas_kanade"), ("metric", "traj_error"))  # fmt: skip
NEEDED_MEMORY_GB = 3.0
NEEDED_DISK_GB = 0.5


def main(argv: list[str]) -> int:
    """Run the verb and return its exit code."""
    words, values = split("doctor", argv, {"results": "results"})
    if words:
        raise UserError(f"doctor: '{words[0]}' is not an option; give results=DIR or nothing")
    rows, broken = [], []
    for check in (_machine(Path(values["results"])), _packages(), _torchvision(), _parts(), _assets()):
        for name, state, vital in check:
            rows.append((name, state))
            if vital:
                broken.append(f"{name}: {state}")
    print(tabulate(rows, tablefmt="plain", disable_numparse=True))
    if broken:
        print("the embedded preset cannot run: " + "; ".join(broken))
        return 3
    print("the embedded preset can run: python -m toraeval run preset=smoke")
    return 0


Finding = tuple[str, str, bool]


def _machine(results: Path) -> list[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    place = results
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    old = sys.version_info < (3, 11)
    little = " (little)" if memory < NEEDED_MEMORY_GB else ""
    return [
        ("toraeval", record.versions().get("toraeval", "not installed, run from a checkout"), False),
        ("python", platform.python_version() + (" (3.11 or newer is needed)" if old else ""), old),
        ("CPU cores", str(cpu_count()), False),
        ("memory", f"{memory:.1f} GB{little}, {megabytes(free_memory())} free", False),
        (f"disk of {results}", f"{megabytes(free)} free", free < NEEDED_DISK_GB * 1e9),
    ]


def _packages() -> list[Finding]:
    found: list[Finding] = []
    for module in CORE:
        probe = optional.probe(module)
        state = f"{probe.version}" if probe.ok else f"{probe.reason}; run: {optional.install_command()}"
        if module == "torch" and probe.ok:
            import torch

            gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
            state += f", {counted(torch.get_num_threads(), 'thread')}, {gpu}"
        found.append((module, state, not probe.ok))
    for module, extra in OPTIONAL.items():
        probe = optional.probe(module)
        state = (
            str(probe.version)
            if probe.ok
            else f"{probe.reason} (optional; {optional.install_command(extra)})"
        )
        found.append((module, state, False))
    return found


def _torchvision() -> list[Finding]:
    probe = optional.probe("torchvision")
    if probe.absent:
        return [("torchvision", "absent, as it should be: nothing needs it", False)]
    if probe.ok:
        return [("torchvision", f"{probe.version}, works (not needed)", False)]
    return [("torchvision", f"{probe.reason}; it breaks other packages: pip uninstall torchvision", False)]


def _parts() -> list[Finding]:
    found = []
    for kind in registry.KINDS:
        for name in registry.names(kind):
            vital = (kind, name) in EMBEDDED
            missing = missing_of(kind, name)
            if not missing and vital:
                missing = _not_loading(kind, name)
            found.append((f"{kind} {name}", "; ".join(missing) or "ready", vital and bool(missing)))
    return found


def _not_loading(kind: str, name: str) -> list[str]:
    """Build a part of the embedded preset and ask for its fingerprint, which hashes its weights."""
    try:
        Builder().build(kind, {"name": name}).fingerprint()
    except (UserError, ImportError, RuntimeError, OSError) as error:
        return [" ".join(str(error).split())]
    return []


def _assets() -> list[Finding]:
    return [
        ("cache", str(assets.cache_dir()), False),
        (
            "downloads",
            "forbidden by TORAEVAL_OFFLINE" if assets.offline() else "allowed, only by fetch",
            False,
        ),
        *((f"file {name}", _state(name), False) for name in assets.ASSETS),
        *((f"upstream {name}", programs.state(name), False) for name in PROGRAMS),
    ]


def _state(name: str) -> str:
    try:
        return str(assets.path(name))
    except MissingAsset as error:
        return str(error)
