"""Give the samples of a results folder that an earlier version wrote the checksums that this version asks for.

What lies there is taken as it is: damage that came before is sealed in. Tables and records are written again by the
next command in the folder.

  python -m benchmarks.seal_store DIR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from toraeval.store.keys import file_sha256
from toraeval.store.sealed import CHECKSUM, write_arrays, write_json
from toraeval.store.slot import FAILURE, PREVIEW, SCORE, SCORE_ARRAYS, TRACKS, VIDEO, VIDEO_META


def main(root: Path) -> int:
    """Seal every sample below a folder whose `video.json` has no checksum; returns how many."""
    folders = [path.parent for path in sorted(root.rglob(VIDEO_META)) if CHECKSUM not in _read(path)]
    for folder in folders:
        _seal(folder)
    return len(folders)


def _seal(folder: Path) -> None:
    for name in (TRACKS, SCORE_ARRAYS):
        if (folder / name).is_file():
            with np.load(folder / name, allow_pickle=False) as stored:
                arrays = dict(stored)
            write_arrays(folder / name, arrays)
    if (folder / SCORE).is_file() and (folder / SCORE_ARRAYS).is_file():
        score = {**_read(folder / SCORE), "arrays_sha256": file_sha256(folder / SCORE_ARRAYS)}
        write_json(folder / SCORE, score)
    if (folder / FAILURE).is_file():
        write_json(folder / FAILURE, _read(folder / FAILURE))
    meta = _read(folder / VIDEO_META)
    if (folder / PREVIEW).is_file():
        known = meta.get("preview")
        meta["preview"] = {
            **(known if isinstance(known, dict) else {}),
            "sha256": file_sha256(folder / PREVIEW),
        }
    if (folder / VIDEO).is_file():
        meta["lossless_sha256"] = file_sha256(folder / VIDEO)
    write_json(folder / VIDEO_META, meta)  # last, so that a run that was cut off begins this folder again


def _read(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(path.read_bytes())
    if path.name != VIDEO_META:
        content.pop(CHECKSUM, None)  # of a former attempt
    return content


if __name__ == "__main__":
    print(f"{main(Path(sys.argv[1]))} samples sealed")
