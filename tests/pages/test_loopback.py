"""The server of the pages answers its own page and nobody else."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.browser import serving
from toraeval.pages import loopback
from toraeval.pages.loopback import Loopback, Served
from toraeval.types import UserError


def refuse(value):
    raise UserError(f"not {value}")


@pytest.fixture
def server(tmp_path):
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"film")
    loop = Loopback(Served("<p>page</p>", {"twice": lambda value: value * 2, "refuse": refuse}, {"a": clip}))
    with serving(loop):
        yield loop


def ask(server, method, place, body=None, token=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    path = f"/{server.token if token is None else token}/{place}"
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def post(server, place, text, **headers):
    return ask(server, "POST", place, text, **{"Content_Type": "application/json", **headers})


def test_page_action_and_clip(server):
    status, content, headers = ask(server, "GET", "")
    assert (status, content) == (200, b"<p>page</p>")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert post(server, "twice", "21")[:2] == (200, b"42")
    assert ask(server, "GET", "clips/a")[1] == b"film"
    assert ask(server, "GET", "clips/../a")[0] == 404
    assert ask(server, "GET", "clips/b")[0] == 404
    assert server.server_address[0] == "127.0.0.1"


def test_no_other_site_and_nobody_without_the_token(server):
    assert ask(server, "GET", "", token="guess")[0] == 403
    assert ask(server, "GET", "", token="")[0] == 403
    assert ask(server, "GET", "", Host="evil.example")[0] == 403
    assert ask(server, "GET", "", Host=f"evil.example:{server.server_port}")[0] == 403
    assert post(server, "twice", "1", Origin="http://evil.example")[0] == 403
    assert post(server, "twice", "1", Origin=f"http://127.0.0.1:{server.server_port}")[0] == 200
    # a form of another site can send text/plain without asking first
    assert post(server, "twice", "1", Content_Type="text/plain")[0] == 415


def test_bad_requests_get_one_sentence(server, monkeypatch):
    assert json.loads(post(server, "refuse", '"<b>"')[1]) == {"error": "not <b>"}
    assert post(server, "twice", "{")[0] == 400
    assert post(server, "twice", "[" * 100_000)[0] == 400
    assert post(server, "twice", b"\xff")[0] == 400
    assert post(server, "twice", "null")[0] == 400
    assert post(server, "absent", "1")[0] == 404
    monkeypatch.setattr(loopback, "MAX_BODY", 10)
    assert post(server, "twice", "1" * 11)[0] == 413


def test_a_port_that_is_taken_is_said(server):
    with pytest.raises(UserError, match="port="):
        Loopback(Served(""), server.server_port)
