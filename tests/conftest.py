"""What every test gets: no network, fixed seeds, one thread per process."""

from __future__ import annotations

import gc
import os

# Set before anything imports torch or numpy: pytest workers share two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["TORAEVAL_OFFLINE"] = "1"

import random
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "toraeval",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("toraeval")

# A shell's background jobs ignore Ctrl-C, and so would every command that a test starts and interrupts.
if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

LOCAL_HOSTS = {"127.0.0.1", "::1", "localhost"}

AMOUNTS = (
    ("kills", 3, "how often a bench is killed, with each number of workers; 50 in full"),
    ("stops", 1, "how often it gets SIGTERM, Ctrl-C, or loses a worker; 5 in full"),
    ("malformed", 15, "damaged copies of each kind of input; 60 in full"),
    ("damages", 1, "single-bit flips of each kind of stored file; 20 in full"),
)


class NetworkBlocked(RuntimeError):
    """A test tried to leave this machine."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection and name look-up except those to this machine."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(sock: socket.socket, address: Any) -> None:
        if sock.family != socket.AF_UNIX and address[0] not in LOCAL_HOSTS:
            raise NetworkBlocked(f"tests must not use the network; refused a connection to {address!r}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self, address)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and host not in LOCAL_HOSTS:
            raise NetworkBlocked(f"tests must not use the network; refused to look up {host!r}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Leave flushing to the system: it is most of the time of small runs, and no test pulls the plug."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of the robustness suite is run; the defaults are the share of the continuous integration."""
    group = parser.getgroup("robust", "robustness suite (-m robust)")
    for option, share, what in AMOUNTS:
        group.addoption(f"--{option}", type=int, default=share, help=f"{what} (default: {share})")
    group.addoption("--bench-overlap", default="auto", help="overlap of every bench (auto)")
    group.addoption(
        "--bench-workers", default="1,2", help="workers of a bench that is killed or stopped (1,2)"
    )


def pytest_collection_finish() -> None:
    """Spare the collector of cycles what stays to the end: models that give memory back start it in full each time."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up what the robustness suite counted, for docs/reliability.md."""
    counted: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        counted.update({name: value for name, value in report.user_properties if isinstance(value, int)})
    for name, value in sorted(counted.items()):
        terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often a bench is killed, for each number of workers."""
    return int(request.config.getoption("--kills"))


@pytest.fixture
def stops(request: pytest.FixtureRequest) -> int:
    """How often a bench is asked to stop, for each signal."""
    return int(request.config.getoption("--stops"))


@pytest.fixture
def malformed(request: pytest.FixtureRequest) -> int:
    """How often each kind of input is damaged."""
    return int(request.config.getoption("--malformed"))


@pytest.fixture
def damages(request: pytest.FixtureRequest) -> int:
    """How many bits of each kind of stored file are flipped."""
    return int(request.config.getoption("--damages"))


@pytest.fixture
def fakes() -> Iterator[None]:
    """The fake parts under the names that `tests.fake_parts.config` uses."""
    from tests.fake_parts import registered

    with registered():
        yield


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Start every test from the same global random state, and torch (when loaded) on one thread."""
    random.seed(0)
    np.random.seed(0)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of small test files."""
    return Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium; tests that ask for it are skipped where there is none."""
    from tests.browser import chromium_browser

    with chromium_browser() as browser:
        yield browser


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page of 1440 x 900 that fails the test if it logs an error or asks for anything outside this machine."""
    from tests.browser import watched_page

    with watched_page(chromium, viewport={"width": 1440, "height": 900}) as page:
        yield page
