"""The same bench by every engine: one process, several, jobs of submitit, actors of Ray on two nodes; bytes and time.

    python -m benchmarks.engines 'frames=[16]' limit=4
    python -m benchmarks.engines --engines one,two            without the extras `slurm` and `ray`

Every run starts from an empty folder. The CSV files of all of them must be equal, times aside; the wall time of each is
given beside that of one process. Arguments are those of `python -m toraeval bench`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import describe, parser_of

ENGINES = {
    "one": ["workers=1"],
    "two": ["workers=2"],
    "auto": ["workers=auto"],
    "slurm": ["executor=slurm", "cluster.scheduler=local", "cluster.jobs=2"],
    "ray": ["executor=ray", "cluster.jobs=2"],
}
TIMES = ("timings.csv", "table1.csv")
"""Tables that hold seconds."""


def hashes(results: Path) -> dict[str, str]:
    """Return the SHA-256 of every table of a results folder that holds no seconds."""
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*.csv"))
        if path.name not in TIMES
    }


def run(command: Sequence[str], engine: str, results: Path) -> float:
    """Run a command by an engine and return its wall seconds.

    Raises:
        SystemExit: it failed.
    """
    with two_nodes() if engine == "ray" else nothing() as more:
        start = time.perf_counter()
        ended = subprocess.run([*command, *ENGINES[engine], *more, f"results={results}"], check=False)
        seconds = time.perf_counter() - start
    if ended.returncode:
        raise SystemExit(f"{engine}: exit code {ended.returncode}")
    return seconds


@contextmanager
def nothing() -> Iterator[list[str]]:
    yield []


@contextmanager
def two_nodes() -> Iterator[list[str]]:
    """Run a Ray cluster of two nodes with one processor each on this machine."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes.add_node(num_cpus=1)
        yield [f"cluster.address='{nodes.address}'"]
    finally:
        nodes.shutdown()


def compare(command: Sequence[str], engines: Sequence[str], folder: Path) -> bool:
    """Run a command by several engines, print a line for each; returns whether all gave the same tables."""
    first: dict[str, str] = {}
    alone, same = 0.0, True
    for engine in engines:
        seconds = run(command, engine, folder / engine)
        found = hashes(folder / engine)
        first, alone = first or found, alone or seconds
        equal = found == first
        same &= equal and bool(found)
        told = f"{len(found)} tables {'equal' if equal else 'DIFFERENT'}"
        print(f"{engine:<6} {seconds:7.1f} s  {seconds / alone:5.2f} of {engines[0]}  {told}", flush=True)
    return same


def main() -> int:
    """Compare the engines on one bench; returns 1 if their tables differ."""
    parser = parser_of(__doc__)
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"some of {', '.join(ENGINES)}")
    arguments, bench = parser.parse_known_args()
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "toraeval", "bench", *bench]
        return int(not compare(command, arguments.engines.split(","), Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
