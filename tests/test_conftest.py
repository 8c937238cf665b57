"""The guards of the test suite hold."""

from __future__ import annotations

import random
import socket

import pytest


def test_outside_connections_are_refused() -> None:
    with socket.socket() as sock, pytest.raises(RuntimeError, match="must not use the network"):
        sock.connect(("192.0.2.1", 80))
    with socket.socket() as sock, pytest.raises(RuntimeError, match="must not use the network"):
        sock.connect_ex(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="refused to look up"):
        socket.create_connection(("example.org", 80), timeout=1)


def test_this_machine_is_reachable() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize("repetition", [0, 1])
def test_every_test_starts_from_the_same_random_state(repetition: int) -> None:
    assert random.random() == random.Random(0).random()
