"""Check what `python -m toraeval run preset=smoke` wrote against smoke.csv beside this file.

python .ci/check_smoke.py RESULTS              compare errors with the reference
python .ci/check_smoke.py RESULTS --same-as B  and require byte-identical CSVs in B
python .ci/check_smoke.py RESULTS --update     write the reference again (after new weights or a new version)
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

REFERENCE = Path(__file__).with_name("smoke.csv")
KEPT = ("model", "sample", "frames", "traj_error", "static_error")
# The tracker is deterministic up to float rounding of the processor; a network in reduced precision is less so.
# one try of the tracker that another processor's rounding decides otherwise moves a clip by a tenth of a pixel
TOLERANCE_PX = {"ground_truth": 0.2, "static": 0.05}
TOLERANCE_SHARE = 0.15
FLOOR_PX = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--same-as", type=Path)
    parser.add_argument("--update", action="store_true")
    args = parser.parse_args()
    rows = read_runs(args.results)
    if args.update:
        write_reference(rows)
    faults = compare(rows) + (differences(args.results, args.same_as) if args.same_as else [])
    for fault in faults:
        print(f"smoke: {fault}", file=sys.stderr)
    print(f"smoke: {len(rows)} samples, {len(faults)} faults")
    sys.exit(bool(faults))


def read_runs(results: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the rows of every cases.csv below `results`, by model and sample."""
    rows = {}
    for path in sorted(results.glob("runs/*/*/*/cases.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows.update({(row["model"], row["sample"]): row for row in csv.DictReader(file)})
    return rows


def compare(rows: dict[tuple[str, str], dict[str, str]]) -> list[str]:
    """Return what differs from the reference, one line each."""
    with REFERENCE.open(newline="", encoding="utf-8") as file:
        reference = {(row["model"], row["sample"]): row for row in csv.DictReader(file)}
    faults = []
    if rows.keys() != reference.keys():
        faults.append(f"samples are {sorted(rows)}; the reference has {sorted(reference)}")
    for key in sorted(rows.keys() & reference.keys()):
        row, expected = rows[key], reference[key]
        name = " ".join(key)
        if row["status"] != "ok":
            faults.append(f"{name}: {row['status']}: {row['error']}")
            continue
        if row["frames"] != expected["frames"] or row["frames_scored"] != row["frames"]:
            faults.append(
                f"{name}: {row['frames_scored']} of {row['frames']} frames, not {expected['frames']}"
            )
        error, wanted = float(row["traj_error"]), float(expected["traj_error"])
        tolerance = TOLERANCE_PX.get(key[0], TOLERANCE_SHARE * wanted)
        if not abs(error - wanted) <= tolerance:
            faults.append(f"{name}: traj_error {error:.3f} px, reference {wanted:.3f} +- {tolerance:.3f}")
        if not 0 <= float(row["tracker_floor"]) < FLOOR_PX:
            faults.append(f"{name}: tracker floor {row['tracker_floor']} px, allowed below {FLOOR_PX}")
    return faults


def differences(results: Path, other: Path) -> list[str]:
    """Return the cases.csv files that are not byte-identical in both folders."""
    here = {path.relative_to(results): path.read_bytes() for path in results.glob("runs/*/*/*/cases.csv")}
    there = {path.relative_to(other): path.read_bytes() for path in other.glob("runs/*/*/*/cases.csv")}
    return [
        f"{path} differs in {other}"
        for path in here.keys() | there.keys()
        if here.get(path) != there.get(path)
    ]


def write_reference(rows: dict[tuple[str, str], dict[str, str]]) -> None:
    with REFERENCE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, KEPT, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))


if __name__ == "__main__":
    main()
