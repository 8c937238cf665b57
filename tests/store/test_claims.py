from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from toraeval.store import claims
from toraeval.store.claims import Claims


def test_one_of_many_gets_a_sample_and_it_is_free_again_afterwards(tmp_path: Path) -> None:
    for round_ in range(20):
        start, won = threading.Barrier(4), []

        def contend(round_: int = round_, start: threading.Barrier = start, won: list[int] = won) -> None:
            mine = Claims()
            start.wait()
            if mine.take(tmp_path, f"case.{round_}"):
                won.append(1)

        threads = [threading.Thread(target=contend) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [1]
    with Claims() as mine:
        assert mine.take(tmp_path, "case")
        assert not mine.take(tmp_path, "case")
        assert not Claims().take(tmp_path, "case")
        assert Claims().take(tmp_path, "case.seed1"), "another sample, though its name begins alike"
    assert Claims().take(tmp_path, "case")


def test_the_claim_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    script = (
        "import sys, os, signal; from pathlib import Path; from toraeval.store.claims import Claims\n"
        "assert Claims().take(Path(sys.argv[1]), 'case'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    assert claims.running(tmp_path) == set()
    mine = Claims()
    assert mine.take(tmp_path, "case")
    assert claims.running(tmp_path) == {"case"}
    assert len(list((tmp_path / claims.FOLDER).iterdir())) == 1


def test_a_claim_of_another_machine_expires_unless_it_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    theirs = tmp_path / claims.FOLDER / "case@0"
    theirs.parent.mkdir()
    theirs.write_text(json.dumps({"pid": 1, "machine": "another"}))
    mine = Claims(expiry_s=100)
    for second, renewed in ((0.0, False), (90.0, True), (101.0, False), (180.0, False)):
        now[0] = second
        if renewed:
            os.utime(theirs, ns=(0, int(second)))
        assert not mine.take(tmp_path, "case"), second
    now[0] = 202.0
    assert mine.take(tmp_path, "case")
    assert not theirs.exists()


def test_claims_are_renewed_in_the_background(tmp_path: Path) -> None:
    with Claims(expiry_s=0.08) as mine:
        assert mine.take(tmp_path, "case")
        (file,) = (tmp_path / claims.FOLDER).iterdir()
        before = file.stat().st_mtime_ns
        renewed = threading.Event()
        for _ in range(500):
            if file.stat().st_mtime_ns != before:
                renewed.set()
                break
            renewed.wait(0.01)
        assert renewed.is_set()
