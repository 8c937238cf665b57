"""Count the functions and files of toraeval that one small run passes through.

    python -m benchmarks.path_length                       # run model=tora frames=16 limit=1 metric=traj_error
    python -m benchmarks.path_length --list                # every function that was entered, by file
    python -m benchmarks.path_length --files               # every file, with the number of its functions entered
    python -m benchmarks.path_length run model=static      # another command

The command runs in a fresh process and an empty results folder, which is removed afterwards. Every code object of
`toraeval/` and `baselines/` counts once, however often and in whatever thread it is entered. A function is what has a
name: lambdas and comprehensions belong to the function around them (which Python versions handle differently), as do
`__init__`s that a dataclass makes; what Jinja compiles a template to is none of ours. Bodies of modules and classes,
which run because of an import, are counted apart.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import subprocess
import sys
import tempfile
import threading
import types
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("toraeval", "baselines")
COMMAND = ("run", "model=tora", "frames=16", "limit=1", "metric=traj_error")

Entered = tuple[str, int, str, bool]
"""File below the checkout, first line, qualified name, and whether it is the body of a module or class."""


def trace(arguments: list[str]) -> tuple[int, set[Entered]]:
    """Run a command of toraeval in this process; returns its exit code and what it entered."""
    seen: set[types.CodeType] = set()

    def profile(frame: types.FrameType, event: str, argument: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        from toraeval.__main__ import main

        with contextlib.redirect_stdout(sys.stderr):
            code = main(arguments)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return code, {entry for one in seen.copy() if (entry := _entry(one))}


def _entry(code: types.CodeType) -> Entered | None:
    path = Path(code.co_filename).resolve()
    if not path.is_relative_to(ROOT) or path.suffix != ".py":  # a template that jinja2 compiled is a text
        return None
    file = path.relative_to(ROOT)
    body = not code.co_flags & inspect.CO_OPTIMIZED
    if file.parts[0] not in PACKAGES or (code.co_name.startswith("<") and not body):
        return None
    return str(file), code.co_firstlineno, code.co_qualname, body


def measure(command: list[str]) -> set[Entered]:
    """Run a command in a fresh process and an empty results folder.

    Raises:
        SystemExit: the command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "entered.json"
        arguments = [*command, f"results={folder}/results"]
        inside = [sys.executable, "-m", "benchmarks.path_length", "--inside", str(found), *arguments]
        done = subprocess.run(inside, cwd=ROOT, capture_output=True, text=True)
        if done.returncode or not found.is_file():
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        return {(file, line, name, body) for file, line, name, body in json.loads(found.read_text())}


def summary(entered: set[Entered]) -> str:
    """Return the two counts, with and without what only an import runs."""
    functions = [entry for entry in entered if not entry[3]]
    lines = [
        f"{len(group)} {what} in {len({file for file, *_ in group})} files"
        for group, what in (
            (functions, "functions"),
            (entered, "functions and bodies of modules and classes"),
        )
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the counts and, when asked for, what they consist of."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print every function and body entered")
    parser.add_argument(
        "--files", action="store_true", help="print every file with the functions entered in it"
    )
    parser.add_argument("--inside", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="a command of toraeval with its options")
    options = parser.parse_args()
    if options.inside:
        code, entered = trace(options.command)
        Path(options.inside).write_text(json.dumps(sorted(entered)))
        return code
    entered = measure(options.command or list(COMMAND))
    if options.files:
        counts = Counter({file: 0 for file, *_ in entered})
        counts.update(file for file, _, _, body in entered if not body)
        for file, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
            print(f"{count:4d} {file}")
    if options.list:
        for file, line, name, body in sorted(entered):
            print(f"{file}:{line} {name}{' (body)' if body and name != '<module>' else ''}")
    print(summary(entered))
    return 0


if __name__ == "__main__":
    sys.exit(main())
