"""One child process in the user's own environment that serves all cases of a run, so that weights load once."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import signal
import subprocess
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from toraeval.types import MissingAsset, UserError

from .protocol import PROTOCOL, decode, encode

SERVE = Path(__file__).with_name("serve.py")
TAIL_LINES = 20
LONGEST_LINE = 300
START_ATTEMPTS = 2  # a start that fails twice running fails for every case
GRACE_S = 2.0
READER_S = 2.0


@dataclass(frozen=True)
class Child:
    """What to start.

    Attributes:
        what: name for messages, e.g. `motionctrl size=upstream`.
        python: interpreter of the upstream environment.
        driver: file with `load` and `make`, see `serve`.
        folder: working folder, the checkout.
        settings: JSON-able argument of `load`.
        environment: variables on top of this process's own.
        start_timeout_s, case_timeout_s: seconds until the process counts as hung.
        cure: what to do when something is missing.
    """

    what: str
    python: Path
    driver: Path
    folder: Path
    settings: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 1800.0
    case_timeout_s: float = 1800.0
    cure: str = ""


class Session:
    """Starts the child on demand, restarts it after a crash, and never leaves one behind.

    Args:
        child: what to start.
    """

    def __init__(self, child: Child) -> None:
        self.child = child
        self._running: _Running | None = None
        self._failed_starts = 0
        self._why = ""

    def start(self) -> dict[str, Any]:
        """Start the child unless it runs already; returns what it said of itself.

        Raises:
            MissingAsset: interpreter, package or file absent.
            UserError: it crashed, hung or speaks another protocol; the last lines it wrote are in the message.
        """
        if self._running is not None and self._running.alive():
            return self._running.facts
        self.close()
        if self._failed_starts >= START_ATTEMPTS:
            raise UserError(f"not started again after {START_ATTEMPTS} failures; the last: {self._why}")
        try:
            running = self._begin()
        except UserError as error:
            self._failed_starts, self._why = self._failed_starts + 1, str(error)
            raise
        finally:
            if self._running is not None and not self._running.facts:
                self.close()
        self._failed_starts = 0
        return running.facts

    def _begin(self) -> _Running:
        child = self.child
        self._running = running = _Running(child)
        weakref.finalize(self, running.close)  # also at exit
        running.send("start", settings=dict(child.settings))
        answer = running.receive(child.start_timeout_s, "while it was starting", "model.start_timeout_s")
        if answer["kind"] != "ready" or answer.get("protocol") != PROTOCOL:
            if answer.get("missing"):
                raise MissingAsset(f"{child.what}: {answer['error']} ({child.python}); {child.cure}")
            raise UserError(f"{child.what} did not start: {_told(answer)}")
        running.facts = {"protocol": PROTOCOL, **answer["facts"]}
        return running

    def ask(self, job: str, folder: Path, **fields: Any) -> None:
        """Have one job done; its files are then in `folder`.

        Raises:
            MissingAsset: see `start`.
            UserError: the job failed, or the child crashed, was killed or took too long. A later call starts it again.
        """
        self.start()
        assert self._running is not None
        try:
            self._running.send("job", id=job, folder=str(folder), **fields)
            answer = self._running.receive(
                self.child.case_timeout_s, f"while making {job}", "model.case_timeout_s"
            )
        except BaseException:
            self.close()
            raise
        if answer["kind"] != "done" or answer.get("id") != job:
            raise UserError(f"{self.child.what} failed at {job}: {_told(answer)}")

    def close(self) -> None:
        """End the child and everything it started."""
        if self._running is not None:
            self._running.close()
            self._running = None


class _Running:
    """A started child with the threads that read its two streams."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.facts: dict[str, Any] = {}
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._closed = False
        command = [str(child.python), "-u", str(SERVE), str(child.driver)]
        try:
            self._process = _popen(command, child.folder, {**os.environ, **child.environment})
        except OSError as error:
            raise MissingAsset(
                f"{child.what}: {child.python} cannot be started in {child.folder} ({error.strerror}); {child.cure}"
            ) from error
        self._readers = [
            threading.Thread(target=self._read_messages, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, kind: str, **fields: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a dead child is reported by `receive`, with its last words
            self._process.stdin.write(encode(kind, **fields).encode())
            self._process.stdin.flush()

    def receive(self, timeout_s: float, doing: str, option: str) -> dict[str, Any]:
        """Return the next message.

        Raises:
            UserError: no message within `timeout_s`, or the child is gone.
        """
        what = self.child.what
        try:
            message = self._messages.get(timeout=timeout_s)
        except queue.Empty:
            raise UserError(
                f"{what}: no answer within {timeout_s:g} s {doing}, so the process was ended "
                f"(a longer time: {option}=SECONDS); {self._last_words()}"
            ) from None
        if message is not None:
            return message
        self._readers[1].join(READER_S)
        try:
            code = self._process.wait(GRACE_S)
            how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            how = "closed its output"
        raise UserError(f"{what}: the process {how} {doing}; {self._last_words()}")

    def close(self) -> None:
        """Ask the process group to end, then kill it; the child's own children go with it."""
        process = self._process
        if self._closed:  # its number may belong to another process by now
            return
        self._closed = True
        if process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever of the group is left
        process.wait()
        for reader in self._readers:
            reader.join(READER_S)
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()

    def _last_words(self) -> str:
        if not self._tail:
            return "it wrote nothing to stderr"
        return f"its last lines: {' | '.join(self._tail)}"

    def _read_messages(self) -> None:
        for line in _lines(self._process.stdout):
            message = decode(line)
            if message is None:
                self._tail.append(f"(stdout) {line.strip()[:LONGEST_LINE]}")
            else:
                self._messages.put(message)
        self._messages.put(None)

    def _read_errors(self) -> None:
        for line in _lines(self._process.stderr):
            shown = line.rstrip().split("\r")[-1].strip()  # of a progress bar, its last state
            if shown:
                self._tail.append(shown[:LONGEST_LINE])


def _popen(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches this process only, which then ends the whole group
    )


def _lines(stream: IO[bytes] | None) -> Iterator[str]:
    """Yield the lines of a stream until it ends, whatever bytes they hold; a progress bar is one line."""
    assert stream is not None
    with io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="\n") as text:
        yield from text


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _told(answer: Mapping[str, Any]) -> str:
    error = str(answer.get("error", f"unexpected answer {answer['kind']}"))
    trace = " | ".join(line.strip() for line in str(answer.get("traceback", "")).splitlines()[-TAIL_LINES:])
    return f"{error}; its traceback: {trace}" if trace else error
