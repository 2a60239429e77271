"""HTTP servers on loopback that keep what is posted: a webhook's receiver, a push service, any other service.

The real ones (a hospital's system, the browsers' makers' push services, Slack...) cannot be reached from a
test. They misbehave on request: a status answers so (429 and 503 with ``Retry-After``), ``timeout`` keeps the
request and answers only when let go, ``drop`` keeps it and hangs up.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import http_ece  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_ingest.channels.subscriptions import Subscription

__all__ = ["RETRY_AFTER", "Browser", "HttpStandIn", "Posted"]

RETRY_AFTER = "7"


@dataclass(frozen=True)
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128


class HttpStandIn:
    """``with``: serves until left; ``taken`` are the POSTs that it accepted, ``asked`` all (method, path)."""

    def __init__(self) -> None:
        self.taken: list[Posted] = []
        self.asked: list[tuple[str, str]] = []
        self.behaviour: deque[str] = deque()
        self.let_go = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def note(self, method: str, posted: Posted) -> str:
        """Keep a request, and say how it is answered: a status, or ``drop``."""
        self.asked.append((method, posted.path))
        how = self.behaviour.popleft() if self.behaviour else "201"
        if method == "POST" and not (how.isdecimal() and int(how) >= 300):
            self.taken.append(posted)
        if how == "timeout":
            self.let_go.wait(60)
        return "201" if how == "timeout" else how

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 2  # a client that was not closed does not keep the test from ending

            def do_HEAD(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def _answer(self, body: bytes) -> None:
                how = standin.note(self.command, Posted(self.path, dict(self.headers), body))
                if how == "drop":
                    self.close_connection = True
                    return
                try:
                    self.send_response(int(how))
                    if how in {"429", "503"}:
                        self.send_header("Retry-After", RETRY_AFTER)
                    if how.startswith("3"):
                        self.send_header("Location", f"{standin.url}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client has given up: that is the test

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        return Handler


class Browser:
    """A browser that has subscribed: it alone can read what is posted for it."""

    def __init__(self, endpoint: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = os.urandom(16)
        self._endpoint = endpoint

    def subscription(self, ident: str) -> Subscription:
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return Subscription(ident, self._endpoint, _base64(point), _base64(self._auth))

    def read(self, posted: Posted) -> Any:
        """The payload, decrypted as RFC 8291 says."""
        assert posted.headers["content-encoding"] == "aes128gcm"
        return json.loads(http_ece.decrypt(posted.body, private_key=self._key, auth_secret=self._auth))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
