"""Damage files of public benchmarks at random and see that every importer ends in one clear line.

    python -m benchmarks.suite_damage MoveBench=movebench MC-Bench=mc_bench    # FOLDER=SUITE
    python -m benchmarks.suite_damage tests/data/flexbench=flexbench           # made here
    python -m benchmarks.suite_damage tapvid=tapvid --tries 300 --seed 7

There are 100 tries for each kind of file; files whose names differ in digits only are one kind (`clip_#/a.json`).
Each try copies the folder, spoils one file (cut, flipped bits, zeros, foreign bytes, another file's content, empty,
absent) and reads all of it: scan, checks, cases, first frames, real clips and masks. Printed are the tries, those that
were refused, and whatever was neither read nor refused in one line, or took more than 10 processor seconds; the exit
code is 1 if there is any.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.machine import parser_of
from toraeval import registry
from toraeval.types import UserError

SIZE = (9, 32, 48)  # frames, height and width that small fixtures can fill
SLOW_S = 10.0
CHOOSING = ("language", "tracks", "paths", "maps")
"""Options of suites by which other files are read: all their values are tried; those of others are drawn."""
KINDS = ("cut", "flip", "zero", "insert", "swap", "empty", "delete")


def spoil(file: Path, others: list[Path], draw: random.Random) -> str:
    """Damage a file in one of `KINDS` and return which."""
    kind = draw.choice(KINDS)
    data = bytearray(file.read_bytes())
    place = draw.randrange(len(data) + 1)
    if kind == "delete":
        file.unlink()
        return kind
    if kind == "cut":
        data = data[:place]
    elif kind == "flip" and data:
        for _ in range(draw.choice((1, 3, 20))):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == "zero":
        data[place : place + 64] = bytes(64)
    elif kind == "insert":
        data[place:place] = draw.randbytes(20)
    elif kind == "swap":
        data = bytearray(draw.choice(others).read_bytes())
    elif kind == "empty":
        data = bytearray()
    file.write_bytes(data)
    return kind


def variants(name: str, draw: random.Random) -> list[dict[str, Any]]:
    """Return options of a suite such that every file of its layout is read by one of them."""
    choices = registry.load("suite", name).choices
    values = [choices[key] if key in CHOOSING else (draw.choice(choices[key]),) for key in choices]
    allow_missing = draw.random() < 0.5
    return [
        {**dict(zip(choices, one, strict=True)), "allow_missing": allow_missing} for one in product(*values)
    ]


def read_all(name: str, folder: Path, options: dict[str, Any]) -> None:
    """Read every case of a suite with all that belongs to it.

    Raises:
        UserError: something is wrong with it.
    """
    suite = registry.build("suite", {"name": name, "path": str(folder), **options})
    for clip in suite.clips:
        suite.odd(clip)
        case = suite.case(clip, *SIZE)
        assert case.first_frame_HWC is not None
        reference = case.reference() if case.reference else None
        if reference and reference.masks:
            reference.masks()


def kinds(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder, relative to it, by what they are: the name with digits as `#`."""
    found: dict[str, list[Path]] = {}
    for path in sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()):
        found.setdefault(re.sub(r"\d+", "#", path.with_suffix("").as_posix()) + path.suffix, []).append(path)
    return found


def attempt(folder: Path, name: str, among: list[Path], draw: random.Random) -> tuple[bool, str]:
    """Damage one of some files in a copy of a folder and read it; return whether it was refused, and what is wrong."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / folder.name
        shutil.copytree(folder, copy)
        files = sorted(path for path in copy.rglob("*") if path.is_file())
        file = copy / draw.choice(among)
        what = f"{spoil(file, files, draw)} {file.relative_to(copy).as_posix()}"
        start = time.process_time()
        refused = False
        for options in variants(name, draw):
            try:
                read_all(name, copy, options)
            except UserError as error:
                refused = True
                if "\n" in str(error):
                    return refused, f"{what}: more than one line: {error}"
            except Exception as error:
                return False, f"{what}: {type(error).__name__}: {error}"
        seconds = time.process_time() - start
        return refused, f"{what}: {seconds:.0f} s" if seconds > SLOW_S else ""


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("folders", nargs="+", help="FOLDER=SUITE")
    parser.add_argument("--tries", type=int, default=100, help="damaged copies for each kind (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    wrong: list[str] = []
    for pair in args.folders:
        folder, _, name = pair.rpartition("=")
        for kind, files in kinds(Path(folder)).items():
            draw = random.Random(f"{args.seed} {name} {kind}")
            results = [attempt(Path(folder), name, files, draw) for _ in range(args.tries)]
            counted = Counter(refused for refused, _ in results)
            print(
                f"{name} {kind}: {args.tries} tries, {counted[True]} refused, {counted[False]} read",
                flush=True,
            )
            wrong += [f"{name}: {problem}" for _, problem in results if problem]
    print("\n".join(wrong) or "every try ended in one line")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
