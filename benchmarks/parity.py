"""Compare our modules with recordings of the upstream code, file by file.

    python -m benchmarks.parity tests/data/open_sora tests/data/tora
    python -m benchmarks.parity DIR --all       # every comparison, not only the worst of each file

Prints one line per file and exits 1 when a difference exceeds its tolerance or a recording has no check.
docs/parity.md says which module each kind of file is compared with, and how to build that from a state dict.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks import (
    parity_autoencoders,
    parity_cogvideox,
    parity_motion,
    parity_open_sora,
    parity_tables,
    parity_tora,
)
from benchmarks.machine import parser_of
from benchmarks.parity_data import Check, Recording, Row
from toraeval.types import UserError

# beginning (or else any part) of a file's name -> check; the longest that fits counts
ARRAYS: dict[str, Check] = {
    "stdit3_tiny": parity_open_sora.transformer,
    "embeddings": parity_open_sora.embeddings,
    "rectified_flow": parity_open_sora.rectified_flow,
    "vae_temporal": parity_autoencoders.temporal_autoencoder,
    "vae_spatial": parity_autoencoders.spatial_autoencoder,
    "traj_flow": parity_motion.motion_pictures,
    "motionctrl_flow": parity_motion.motionctrl_flow,
    "sparse_sampling": parity_motion.training_motion,
    "traj_extractor": parity_tora.extractor,
    "mgf": parity_tora.fuser,
    "tora_cogvideox": parity_cogvideox.cogvideox,
    "tora_sat": parity_cogvideox.sat,
    "scheduler_cfg": parity_cogvideox.scheduler,
    "pipeline": parity_cogvideox.pipeline,
}
TABLES: dict[str, Callable[[Path], Iterator[Row]]] = {
    "latent_sizes": parity_tables.latent_sizes,
    "buckets": parity_tables.buckets,
    "mask_strategy": parity_tables.mask_strategy,
    "text_cleaning": parity_tables.text_cleaning,
}
NO_RECORDING = (
    "index",
    "manifest",
    "sat_key_map",
    "caption_cleaning",
)  # listings, and what has its own tests


def find(folder: Path) -> list[Path]:
    """Return the recordings of a folder, sorted.

    Raises:
        UserError: no folder, or none in it.
    """
    files = [
        path
        for path in sorted(folder.glob("*"))
        if path.suffix in (".npz", ".json") and not path.name.startswith(NO_RECORDING)
    ]
    if not files:
        raise UserError(f"parity: no recordings (*.npz, *.json) in {folder}")
    return files


@torch.no_grad()
def compare(path: Path) -> tuple[list[Row], int]:
    """Run all comparisons of one recording.

    Returns:
        the rows and the number of arrays that were neither compared nor needed as an input.

    Raises:
        UserError: no check for a file of this name, or nothing in it that could be compared.
    """
    table = ARRAYS if path.suffix == ".npz" else TABLES
    names = [name for name in table if path.stem.startswith(name)]
    names = names or [name for name in table if name in path.stem]
    if not names:
        raise UserError(f"parity: no check for {path.name}; known beginnings: {', '.join(table)}")
    name = max(names, key=len)
    recording = Recording(path) if path.suffix == ".npz" else None
    rows = list(TABLES[name](path) if recording is None else ARRAYS[name](recording))
    if not rows:
        raise UserError(f"parity: {path.name} holds nothing that is compared")
    return rows, len(recording.unread) if recording else 0


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of recordings")
    parser.add_argument("--all", action="store_true", help="print every comparison")
    args = parser.parse_args()
    failed = False
    print(f"{'file':34} {'comparison':28} {'largest':>10} {'allowed':>9}      n  unused")
    for path in (path for folder in args.folders for path in find(folder)):
        try:
            rows, unused = compare(path)
        except Exception as error:  # one file that cannot be compared must not hide the others
            print(f"{path.name:34} failed: {type(error).__name__}: {error}")
            failed = True
            continue
        worst = max(
            rows, key=lambda row: (not row.ok, row.error / row.tolerance if row.tolerance else row.error)
        )
        bad = [row for row in rows if not row.ok]
        failed |= bool(bad)
        for row in rows if args.all else bad or [worst]:
            state = "ok" if row.ok else "BAD"
            numbers = f"{row.error:10.2e} {row.tolerance:9.0e} {state:3} {len(rows):3} {unused:5}"
            print(f"{path.name:34} {row.group:28} {numbers}")
    return int(failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
