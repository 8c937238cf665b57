"""A small server for one page on this machine: nobody without its address, and no other site, can use it."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from toraeval.inputs.text_files import parse_json
from toraeval.types import UserError

HOST = "127.0.0.1"
MAX_BODY = 96 << 20
WAIT_S = 30
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Served:
    """What the server answers.

    Attributes:
        page: HTML text of the address itself.
        actions: name -> function of a posted JSON value that returns one; a `UserError` of it is shown in the page.
        clips: name -> MP4 file that can be fetched as `clips/<name>`.
    """

    page: str
    actions: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    clips: Mapping[str, Path] = field(default_factory=dict)


class Loopback(ThreadingHTTPServer):
    """Serves one page on 127.0.0.1 under an address with a random token.

    Args:
        served: page and actions.
        port: 0 for any that is free.

    Raises:
        UserError: the port is taken or not allowed.
    """

    def __init__(self, served: Served, port: int = 0) -> None:
        self.served, self.token = served, secrets.token_urlsafe(18)
        self.lock = threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UserError(
                f"port={port}: {error.strerror}; allowed: a free port, or port=0 for any"
            ) from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a browser that leaves in the middle of an answer go without a traceback."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def until_interrupted(self, browser: bool) -> None:
        """Serve until Ctrl-C, after the page was opened in a browser if wanted."""
        if browser:
            import webbrowser

            webbrowser.open(self.url)
        try:
            self.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One request: the Host header keeps out names that other sites point at this machine, the token everyone else."""

    server: Loopback
    timeout = WAIT_S

    def do_GET(self) -> None:
        place = self._place()
        if place is None:
            return
        if place == "":
            self._send(200, self.server.served.page.encode(), "text/html; charset=utf-8")
            return
        clip = self.server.served.clips.get(place.removeprefix("clips/"))
        if clip is None or not place.startswith("clips/"):
            self._fail(404, "there is nothing here")
            return
        try:
            self._send(200, clip.read_bytes(), "video/mp4")
        except OSError as error:
            self._fail(404, f"the clip cannot be read: {error.strerror}")

    def do_POST(self) -> None:
        place = self._place()
        if place is None:
            return
        action = self.server.served.actions.get(place)
        if action is None:
            self._fail(404, "there is no such action")
        elif self.headers.get("Content-Type", "").split(";")[0] != "application/json":
            self._fail(415, "only application/json is taken")
        elif (body := self._body()) is not None:
            try:
                with self.server.lock:
                    self._json(200, action(parse_json(body)))
            except UserError as error:
                self._fail(400, str(error))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                self._fail(400, f"the request is not what this page sends ({type(error).__name__}: {error})")

    def _place(self) -> str | None:
        """Return what follows the token in the address, or answer with a refusal and return None."""
        port = self.server.server_port
        hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in hosts or origin not in {
            None,
            *(f"http://{host}" for host in hosts),
        }:
            self._fail(403, "this page is only for the browser on its own machine")
            return None
        token, _, place = self.path.partition("?")[0].lstrip("/").partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._fail(403, "the address lacks its token; open the one that the terminal shows")
            return None
        return place

    def _body(self) -> str | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._fail(411, "the length is not known")
        elif int(length) > MAX_BODY:
            self._fail(413, f"too large: {int(length):,} bytes; allowed: {MAX_BODY:,}")
        else:
            try:
                return self.rfile.read(int(length)).decode()
            except UnicodeDecodeError:
                self._fail(400, "not UTF-8")
        return None

    def _json(self, status: int, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _fail(self, status: int, text: str) -> None:
        self._json(status, {"error": text})

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the address with its token belongs in no log."""
