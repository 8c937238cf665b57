"""Every kind of stored file, damaged in every way: found, and made again by the next run."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import store_damage, suite_damage
from toraeval.__main__ import main
from toraeval.store.claims import Claims
from toraeval.store.journal import Journal

pytestmark = [pytest.mark.robust, pytest.mark.timeout(3000)]
FAILURES = ("reader accepted", "reader traceback", "run accepted", "run traceback")


def test_damage_is_found_and_mended(
    tmp_path: Path, damages: int, record_property: Callable[[str, object], None]
) -> None:
    found = store_damage.attack_all(tmp_path / "results", damages)
    wrong = {
        kind: {name: counts[name] for name in FAILURES if counts[name]}
        for kind, counts in found.items()
        if any(counts[name] for name in FAILURES)
    }
    assert wrong == {}
    assert len(found) >= 10
    tried = sum(
        value for counts in found.values() for name, value in counts.items() if name.startswith("run ")
    )
    record_property("damaged files of results", tried)


def test_damaged_journals_and_claims(
    tmp_path: Path,
    malformed: int,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    run = "runs/shapes-v2/static/16f-64x64-0"
    journal = Journal(
        tmp_path, "c", {run: {"label": "l", "asked": ["a", "b"], "to_do": {"a": 1.0, "b": 2.0}}}
    )
    for sample in ("a", "b"):
        journal.add(run, sample, False, 7, {"generate": 0.5})
    claims = Claims()
    assert claims.take(tmp_path / run, "b")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    sound = {path: path.read_bytes() for path in files}
    assert len(files) == 3
    draw = random.Random(0)
    for number in range(2 * malformed):
        path = files[number % len(files)]
        suite_damage.spoil(path, files, draw)
        assert main(["status", str(tmp_path)]) in (0, 1, 2), capsys.readouterr()
        assert isinstance(Claims().take(tmp_path / run, "b"), bool)
        for other, content in sound.items():
            other.write_bytes(content)
        for other in (tmp_path / run / ".claims").glob("*"):
            if other not in sound:
                other.unlink()
    record_property("damaged journals and claims", 2 * malformed)


@pytest.mark.parametrize(("folder", "suite"), [("flexbench", "flexbench")])
def test_damaged_suites(
    folder: str, suite: str, data_dir: Path, damages: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    tries = 2 * damages
    monkeypatch.setattr("sys.argv", ["suite_damage", f"{data_dir / folder}={suite}", "--tries", str(tries)])
    assert suite_damage.main() == 0, capsys.readouterr().out
    record_property("damaged files of suites", tries * len(suite_damage.kinds(data_dir / folder)))
