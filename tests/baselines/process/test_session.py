"""One child process for all jobs: what it may do wrong, and that nothing of it stays behind."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.process.clip_files import read_frames
from baselines.process.protocol import MARK, decode, encode
from baselines.process.session import Child, Session
from toraeval.types import MissingAsset, UserError

DRIVER = Path(__file__).with_name("fake_upstream.py")
SHAPE = (4, 6, 8)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Any]:
    made: list[Session] = []

    def make(python: Path | str = sys.executable, **settings: Any) -> Session:
        times = {
            name: settings.pop(name) for name in ("start_timeout_s", "case_timeout_s") if name in settings
        }
        given = {"shape": SHAPE, "checkpoint": str(DRIVER), **settings}
        child = Child(
            "fake size=upstream", Path(python), DRIVER, tmp_path, given, cure="run: fetch model=fake", **times
        )
        made.append(Session(child))
        return made[-1]

    yield make
    for session in made:
        session.close()


def gone(process: int) -> bool:
    """Return True once the process has ended, reaped or not."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_one_process_serves_every_job_and_ends_with_the_session(sessions: Any, tmp_path: Path) -> None:
    session = sessions()
    facts = session.start()
    assert facts["protocol"] == 1
    assert facts["checkpoint_sha256"] == hashlib.sha256(DRIVER.read_bytes()).hexdigest()
    for job in ("alpha", "beta"):
        session.ask(job, tmp_path)
        frames = read_frames(tmp_path, SHAPE, job)
    np.testing.assert_array_equal(frames[:, 0, 0, 0], [0, 42, 85, 127])  # truncated, not rounded
    assert session.start()["process"] == facts["process"]
    session.close()
    assert gone(facts["process"])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("crash", r"the process ended with exit code 9 while making beta; its last lines: "
                  r"Traceback line 10 \| .* \| Traceback line 29$"),
        ("killed", r"the process was killed by SIGKILL while making beta; .*loading fake weights"),
        ("raise", r"failed at beta: RuntimeError: CUDA out of memory; its traceback: .*fake_upstream.py"),
        ("nothing", r"failed at beta: ValueError: Object arrays cannot be saved"),
        ("hang", r"no answer within 0.3 s while making beta, .*model.case_timeout_s=SECONDS"),
    ],
)  # fmt: skip
def test_a_job_that_goes_wrong_stops_no_other(sessions: Any, tmp_path: Path, how: str, message: str) -> None:
    session = sessions(bad={"beta": how}, **({"case_timeout_s": 0.3} if how == "hang" else {}))
    session.start()
    session.ask("alpha", tmp_path)
    first = session.start()["process"]
    with pytest.raises(UserError, match=message):
        session.ask("beta", tmp_path)
    restarted = how not in ("raise", "nothing")
    if restarted:
        assert gone(first)
    (tmp_path / "frames.npy").unlink()
    session.ask("gamma", tmp_path)
    read_frames(tmp_path, SHAPE, "gamma")
    assert (session.start()["process"] != first) is restarted


def test_a_start_that_fails_is_told_and_not_tried_for_every_case(sessions: Any, tmp_path: Path) -> None:
    session = sessions(start="crash")
    for _ in range(2):
        with pytest.raises(UserError, match=r"exit code 7 while it was starting; .*no kernel image"):
            session.ask("alpha", tmp_path)
    with pytest.raises(UserError, match=r"not started again after 2 failures; the last: .*exit code 7"):
        session.ask("alpha", tmp_path)
    with pytest.raises(UserError, match=r"no answer within 0.3 s while it was starting"):
        sessions(start="hang", start_timeout_s=0.3).start()


def test_what_is_missing_ends_the_run(sessions: Any, tmp_path: Path) -> None:
    with pytest.raises(
        MissingAsset, match=r"No module named 'a_package_that_nobody_has'.*run: fetch model=fake"
    ):
        sessions(start="missing").start()
    with pytest.raises(MissingAsset, match=r"none/python cannot be started in .*No such file.*run: fetch"):
        sessions(python=tmp_path / "none/python").start()


def test_an_interpreter_that_prints_or_speaks_nonsense(sessions: Any, tmp_path: Path) -> None:
    chatty = tmp_path / "chatty"
    chatty.write_text(f'#!/bin/sh\necho "welcome to your environment"\nexec {sys.executable} "$@"\n')
    nonsense = tmp_path / "nonsense"
    nonsense.write_text(f"#!/bin/sh\necho 'a banner'\necho '{MARK}not json'\nexit 3\n")
    for script in (chatty, nonsense):
        script.chmod(0o755)
    sessions(python=chatty).start()
    with pytest.raises(UserError, match=r"exit code 3 while it was starting; its last lines: .*a banner"):
        sessions(python=nonsense).start()


def test_children_of_the_child_end_too(sessions: Any, tmp_path: Path) -> None:
    script = tmp_path / "forks"
    script.write_text(f'#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/pid\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    session = sessions(python=script)
    session.start()
    session.close()
    assert gone(int((tmp_path / "pid").read_text()))


def test_the_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom baselines.process.session import Child, Session\n"
        f"driver = Path({str(DRIVER)!r})\n"
        f"child = Child('fake', Path({sys.executable!r}), driver, Path('.'), {{'checkpoint': str(driver)}})\n"
        "s = Session(child)\n"
        "print(s.start()['process'], flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -9
    assert gone(int(done.stdout))


def test_bytes_stay_bytes(tmp_path: Path) -> None:
    exact = np.arange(4 * 6 * 8 * 3, dtype=np.uint8).reshape(4, 6, 8, 3)
    np.save(tmp_path / "frames.npy", exact)
    np.testing.assert_array_equal(read_frames(tmp_path, SHAPE, "x"), exact)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((3, 6, 8, 3)), r"wrote an array \(3, 6, 8, 3\); expected \(4, 6, 8, 3\)"),
        (np.zeros((4, 6, 7, 3)), r"wrote an array \(4, 6, 7, 3\)"),
        (np.full((4, 6, 8, 3), [0, 0, np.nan]), r"4 of 4 frames hold NaN or infinity, first 0"),
        (np.zeros((4, 6, 8, 3), int), r"wrote int64; expected uint8, float32 or float64"),
        (np.full((4, 6, 8, 3), 1.5), r"values from 1.5 to 1.5; expected 0 to 1"),
        (None, r"said it was done, but frames.npy cannot be read \(.*No such file"),
    ],
)
def test_frames_are_checked(tmp_path: Path, frames: np.ndarray | None, message: str) -> None:
    if frames is not None:
        np.save(tmp_path / "frames.npy", frames)
    with pytest.raises(UserError, match=f"^fake, case alpha: {message}"):
        read_frames(tmp_path, SHAPE, "fake, case alpha")


def test_messages_are_one_marked_line() -> None:
    line = encode("job", id="a\nb")
    assert line.count("\n") == 1
    assert decode(line) == {"kind": "job", "id": "a\nb"}
    for other in ("", "{}", '{"kind": "job"}', MARK + "[1]", MARK + "{"):
        assert decode(other) is None
