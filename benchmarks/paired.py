"""Compare the processor time of the embedded bench with that of another checkout, in alternation on one machine.

    git worktree add ~/44122f0 44122f0
    python -m benchmarks.paired ~/44122f0                       # 2 cases, every model, 16, 64 and 128 frames, 3 times
    python -m benchmarks.paired ~/44122f0 --frames 128 --models tora --cases 3 --repeat 5

Each repetition runs `bench` on an empty results folder in a fresh process of either checkout, the order swapped every
time, with one worker and threads as they come; both sides compute the metrics that both have. What is compared is the
time of the processor, which other work on the machine changes less than the clock's. The last lines run the finished
benches again, once as they are and once with one metric more.
"""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.machine import describe, parser_of
from toraeval.types import counted

CHILD = """
import importlib, json, os, resource, runpy, sys, time
out, words = sys.argv[1], sys.argv[2:]
# an editable installation would give either side the folders of the checkout that was installed
sys.meta_path[:] = [f for f in sys.meta_path if not getattr(f, "__module__", "").startswith("__editable__")]
if not os.path.exists(next(word for word in words if word.startswith("results="))[len("results="):]):
    import torch  # there is work to do: whichever stage needs it first would hold its import
import toraeval
toraeval.__path__.append(os.getcwd())
seconds = {}
def timed(owner, name, label):
    inner = getattr(owner, name)
    inner = getattr(inner, "inner", inner)  # a base class may be timed already, and would count it twice
    def around(*args, **options):
        start = time.process_time()
        try:
            return inner(*args, **options)
        finally:
            seconds[label] = seconds.get(label, 0.0) + time.process_time() - start
    around.inner = inner
    setattr(owner, name, around)
from toraeval import registry
build = registry.build
wrapped = set()
def watched(kind, config):
    part = build(kind, config)
    # of what was built: the class in the registry may only choose the one that does the work
    owner, method = type(part), {"model": "generate", "tracker": "track", "metric": "score"}.get(kind)
    if method and owner not in wrapped:
        wrapped.add(owner)
        timed(owner, method, kind + " " + config["name"] if kind == "metric" else method)
    return part
registry.build = watched
for module, name in (("store.slot", "write_preview"), ("videoio", "write_preview"), ("cli.bench", "draw"),
                     ("run.sample", "video_sha256"), ("videoio", "video_sha256")):
    try:
        timed(importlib.import_module("toraeval." + module), name, name)
    except (ImportError, AttributeError):
        pass
sys.argv = ["toraeval", *words]
code = 0
try:
    runpy.run_module("toraeval", run_name="__main__")
except SystemExit as end:
    code = end.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
json.dump({"code": code, "all": time.process_time(), "peak_gib": peak, "stages": seconds}, open(out, "w"))
"""


def main() -> int:
    """Run both sides and print ratios; returns the exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("old", type=Path, help="the other checkout")
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--models", nargs="+", default=None, help="entries of bench.models (default: all)")
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    words = [f"frames={args.frames}", f"limit={args.cases}", "workers=1"]
    words += [f"models=[{','.join(args.models)}]"] if args.models else []
    sides = {"old": args.old.resolve(), "new": Path(__file__).resolve().parent.parent}
    shared = [name for name in metrics(sides["new"]) if name in metrics(sides["old"])]
    words += [f"metric=[{','.join(shared)}]"]
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        rounds = []
        for number in range(args.repeat):
            order = list(sides) if number % 2 == 0 else list(reversed(sides))
            rounds.append(
                {side: bench(sides[side], Path(folder) / f"{side}{number}", words) for side in order}
            )
        print(table(rounds))
        print(differences(*(stored(Path(folder) / f"{side}0") for side in sides)))
        one_more = [*words[:-1], f"metric=[{','.join([*shared, 'direction_error'])}]"]
        for title, asked in (("again", words), ("one metric more", one_more)):
            found = {
                side: bench(path, Path(folder) / f"{side}0", asked)["all"] for side, path in sides.items()
            }
            print(f"{title}: old {found['old']:.2f} s, new {found['new']:.2f} s of the processor")
    return 0


def metrics(checkout: Path) -> list[str]:
    """Return the metrics that a checkout's bench has unless others are asked for."""
    known = re.search(r"- metric: \[(.*)\]", (checkout / "conf" / "bench.yaml").read_text())
    assert known is not None
    return known[1].split(", ")


def bench(checkout: Path, results: Path, words: list[str]) -> dict[str, Any]:
    """Run `bench` of a checkout in a fresh process and return what it took.

    Raises:
        SystemExit: it failed.
    """
    out = results.with_suffix(".json")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(out), "bench", f"results={results}", *words],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {"code": done.returncode}
    if found["code"] != 0:
        raise SystemExit(f"bench in {checkout} ended with {found['code']}:\n{done.stderr[-3000:]}")
    return found


def table(rounds: list[dict[str, dict[str, Any]]]) -> str:
    """Return seconds of both sides and the median of the ratios, by stage."""
    names = sorted({name for round_ in rounds for side in round_.values() for name in side["stages"]})
    rows = [
        _row(name, [{s: r[s]["stages"].get(name, math.nan) for s in r} for r in rounds]) for name in names
    ]
    rows.append(_row("in all", [{s: r[s]["all"] for s in r} for r in rounds]))
    rows.append(_row("peak memory, GiB", [{s: r[s]["peak_gib"] for s in r} for r in rounds]))
    return tabulate(rows, ["processor seconds", "old", "new", "new / old"], floatfmt=".3f")


def _row(name: str, pairs: list[dict[str, float]]) -> list[Any]:
    old, new = (statistics.median(pair[side] for pair in pairs) for side in ("old", "new"))
    return [name, old, new, statistics.median(pair["new"] / (pair["old"] or math.nan) for pair in pairs)]


Values = dict[tuple[str, int, str], dict[str, float]]


def stored(results: Path) -> Values:
    """Return the stored values of every sample of a results folder, by model, frames and sample."""
    found: Values = {}
    for path in results.glob("runs/**/score.json"):
        content = json.loads(path.read_text())
        facts = content["facts"]
        values = {k: v for metric in content["metrics"].values() for k, v in metric["values"].items()}
        # two rows of one model differ in options only, which its label tells or its folder
        found[str(facts["model"]) + path.parents[2].name[:8], int(facts["frames"]), str(facts["sample"])] = (
            values
        )
    return found


def differences(old: Values, new: Values) -> str:
    """Return how far the values of the samples that both sides have lie apart, a line for each value that moved."""
    worst: dict[str, float] = {}
    shared = old.keys() & new.keys()
    for key in shared:
        for name, value in _common(old[key], new[key]).items():
            worst[name] = max(worst.get(name, 0.0), value)
    lines = [
        f"{counted(len(shared), 'sample')} on both sides, {counted(sum(v == 0 for v in worst.values()), 'value')} "
        "equal everywhere"
    ]
    lines += [f"  {name}: up to {value:.3g} apart" for name, value in sorted(worst.items()) if value]
    return "\n".join(lines)


def _common(old: Mapping[str, float], new: Mapping[str, float]) -> dict[str, float]:
    return {name: abs(old[name] - new[name]) for name in old.keys() & new.keys()}


if __name__ == "__main__":
    sys.exit(main())
