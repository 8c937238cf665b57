"""The verbs that serve a page: what they print, and how they end."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize("verb", ["draw", "rate"])
def test_a_page_is_served_until_interrupted(verb, two_runs, tmp_path):
    words = (
        [*map(str, two_runs), f"out={tmp_path / 'key'}"] if verb == "rate" else ["size=[64,48]", "out=kept"]
    )
    command = [sys.executable, "-m", "toraeval", verb, *words]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        first = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)(/\S+/)", first)
        assert found, first
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
        connection.request("GET", found[2])
        answer = connection.getresponse()
        assert answer.status == 200
        assert b"Content-Security-Policy" in answer.read()
        connection.close()
        server.send_signal(signal.SIGINT)
        _, complaints = server.communicate(timeout=20)
    assert server.returncode == 0
    assert "Traceback" not in complaints
