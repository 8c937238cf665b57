"""Damage every kind of stored file in every way, and see what a reader and the next run make of it.

Each attempt damages one file of a finished store, reads the store as a report does, and runs the same command again:

  equal      the run left the bytes of the undamaged store
  refused    it ended in one line
  accepted   it left other bytes, or the reader gave other values, without a word
  traceback  anything that is not a message for the user

  python -m benchmarks.store_damage            5 kinds of damage and 200 single-bit flips of every kind of file
  python -m benchmarks.store_damage flips=20 files=score.json,score.npz
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from toraeval.cli import overrides
from toraeval.report.collect import collect
from toraeval.run import bench
from toraeval.run.ending import Progress
from toraeval.store import keys, record, sealed
from toraeval.store.journal import FOLDER as JOURNALS
from toraeval.store.tables.tidy import load_results
from toraeval.types import UserError

OUTCOMES = ("equal", "refused", "accepted", "traceback")
DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut": lambda path: _put(path, path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: _put(path, b""),
    "gone": lambda path: path.unlink(),
    "zeros": lambda path: _put(path, _zeroed(path.read_bytes())),
    "longer": lambda path: _put(path, path.read_bytes() + b"\n0"),
}
"""Damage by name; `flip` is apart, because it is drawn."""
Store = Callable[[], None]


def attack(
    folder: Path,
    files: Iterable[Path],
    again: Store,
    flips: int,
    read: Callable[[Path], str] | None = None,
    seed: int = 0,
) -> dict[str, Counter[str]]:
    """Damage files of a store, one at a time, and count what the reader and the next run did.

    Args:
        folder: a store that `again` has finished.
        files: below it.
        again: brings the store up to date.
        read: what a report reads of the store; `values` by default.
        flips: single-bit flips per file, besides one of each of `DAMAGES`.
        seed: of the bits.

    Returns:
        File (relative) -> outcome -> count; `reader ` and `run ` stand before the outcomes.
    """
    read = read or values
    with frozen(), tempfile.TemporaryDirectory() as spare:
        again()
        kept = Path(spare) / "kept"
        shutil.copytree(folder, kept)
        whole, true = snapshot(folder), read(folder)
        found: dict[str, Counter[str]] = {}
        for file in files:
            relative = file.relative_to(folder)
            counts = found[str(relative)] = Counter()
            draw = random.Random(f"{seed} {relative}")
            for damage in [*DAMAGES.values(), *(_flip(draw) for _ in range(flips))]:
                damage(file)
                _new_process()
                reader = _judge(lambda: read(folder) == true)
                _new_process()
                run = _judge(lambda: _run(again) and snapshot(folder) == whole)
                counts.update([f"reader {reader}", f"run {run}"])
                if run != "equal":
                    shutil.rmtree(folder)
                    shutil.copytree(kept, folder)
        return found


def snapshot(folder: Path) -> dict[str, object]:
    """Return the bytes of every file, without what a record or a journal says of one run of the command."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.parent.name == JOURNALS.name:
            continue
        if path.name == "record.json":
            content = sealed.read_json(path) or {}
            for value in (content, *content.get("runs", {}).values()):
                value.get("counts", {}).pop("computed_now", None)
                value.pop("utilisation", None)
            found[str(path.relative_to(folder))] = content
        elif path.is_file() and path.name != ".lock":
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def values(folder: Path) -> str:
    """Return everything that a report reads of the runs below a folder."""
    runs = load_results(folder)
    parts = [runs.cases, runs.timings, runs.skips, runs.set_scores, runs.curves]
    texts = [part.to_csv() for part in parts]
    for run in runs.loaded:
        for sample in run.cases["sample"]:
            case = run.load_case(sample)
            texts.append(f"{sample} {case.tracks_NT2.tobytes().hex()} {case.preview is None}")
    groups = collect([run.run_dir for run in runs.loaded])
    texts += [repr(group.definitions) for group in groups]
    return "\n".join(texts)


def _run(again: Store) -> bool:
    again()
    return True


def _judge(same: Callable[[], bool]) -> str:
    try:
        return "equal" if same() else "accepted"
    except UserError as error:
        return "refused" if "\n" not in str(error) else "traceback"
    except Exception:
        return "traceback"


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _zeroed(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + bytes(len(content) - 2 * third) + content[len(content) - third :]


def _flip(draw: random.Random) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        place = draw.randrange(len(content) * 8)
        content[place // 8] ^= 1 << place % 8
        _put(path, bytes(content))

    return damage


def _new_process() -> None:
    """Forget what one process remembers of files."""
    keys._sha256_of.cache_clear()
    sealed._report_once.cache_clear()


@contextmanager
def frozen() -> Iterator[None]:
    """Let no time pass and no memory grow, so that equal work leaves equal bytes."""
    with (
        mock.patch("time.perf_counter", return_value=0.0),
        mock.patch.object(record, "peak_memory_mb", return_value=0),
        mock.patch("os.fsync"),  # most of the time of such small runs
    ):
        yield


def smoke_store(results: Path) -> Store:
    """Return what brings a small bench in `results` up to date: the ground truth and a metric of the set."""
    values = [
        "preset=smoke", "models=[ground_truth]", "frames=[16]", "height=64", "width=64", "keep=lossless",
        "metric=[fvd,traj_error]", "metrics.fvd.min_videos=2", f"results={results}",
    ]  # fmt: skip
    (config,) = overrides.check("bench", values, False, None).configs
    from omegaconf import OmegaConf

    options = OmegaConf.to_container(config, resolve=True)
    assert isinstance(options, dict)

    planned = bench.plan_bench({str(key): value for key, value in options.items()})

    def again() -> None:
        bench.run(planned, Progress(), "bench")

    return again


def _kind(folder: Path, path: Path) -> str:
    if path.parent == folder:
        return f"{path.name} of the bench"
    return "features/*.npz" if path.parent.name == "features" else path.name


def _benched(folder: Path) -> str:
    return f"{bench.recorded(folder)} {values(folder)}"


def _scored_again(folder: Path, again: Store) -> Store:
    def scored_again() -> None:
        for path in folder.rglob("score.json"):
            path.unlink()
        again()

    return scored_again


def attack_all(folder: Path, flips: int, wanted: Iterable[str] = ()) -> dict[str, Counter[str]]:
    """Make a small bench in a folder and attack one file of each kind, or of those named; returns counts by kind."""
    again, only = smoke_store(folder), [name for name in wanted if name]
    with frozen():
        again()
    by_kind: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"):
        if path.parent.name == JOURNALS.name:
            continue  # only `status` reads it, and old ones are removed
        by_kind.setdefault(_kind(folder, path), path)
    found = {}
    for kind, path in by_kind.items():
        if only and kind.split(" ")[0] not in only:
            continue
        # a feature of the reference is read when something is scored again
        needed = _scored_again(folder, again) if kind.startswith("features") else again
        (found[kind],) = attack(folder, [path], needed, flips, _benched).values()
        print(kind, dict(found[kind]), file=sys.stderr, flush=True)
    return found


def main(argv: list[str]) -> int:
    """Attack a fresh store and print a table; returns 1 if anything was accepted or ended in a traceback."""
    given = dict(word.split("=") for word in argv)
    flips, wanted = int(given.get("flips", 200)), given.get("files", "").split(",")
    with tempfile.TemporaryDirectory() as place:
        found = attack_all(Path(place) / "results", flips, wanted)
    names = [f"{who} {outcome}" for who in ("reader", "run") for outcome in OUTCOMES]
    print("| file | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name, counts in found.items():
        print(f"| {name} | " + " | ".join(str(counts[outcome]) for outcome in names) + " |")
    return int(
        any(c[f"{who} {bad}"] for c in found.values() for who in ("reader", "run") for bad in OUTCOMES[2:])
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
