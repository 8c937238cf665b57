"""Every kind of stored file, damaged in every way: found, and made again by the next run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import store_damage, suite_damage

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


@pytest.mark.parametrize(("folder", "suite"), [("flexbench", "flexbench")])
def test_damaged_suites(
    folder: str, suite: str, data_dir: Path, damages: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    tries = 2 * damages
    monkeypatch.setattr("sys.argv", ["suite_damage", f"{data_dir / folder}={suite}", "--tries", str(tries)])
    assert suite_damage.main() == 0, capsys.readouterr().out
    record_property("damaged files of suites", tries * len(suite_damage.kinds(data_dir / folder)))
