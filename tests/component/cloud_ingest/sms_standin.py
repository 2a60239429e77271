"""A stand-in for Twilio's Messages API on loopback, because Twilio's cloud cannot be reached from a test.

It checks path, method, credentials and form as the real one documents them, and misbehaves on request:
``500``, ``429``, ``400`` and ``401`` answer so; ``timeout`` takes the message and answers only when let go;
``garbage`` answers 201 with what is no JSON.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs

__all__ = ["SID", "TOKEN", "SmsStandIn"]

SID = "AC" + "0" * 32
TOKEN = "a-token-of-the-test"  # noqa: S105 - of the stand-in only


class SmsStandIn:
    """``async with`` or ``with``: serves until left; ``taken`` are the messages it accepted."""

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        self.behaviour: deque[str] = deque()
        self.let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

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

    def answer(self, path: str, authorization: str, form: dict[str, list[str]]) -> tuple[int, object]:
        """Status and JSON for one POST."""
        good = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if authorization != f"Basic {good}":
            return 401, _problem(20003, "Authenticate", 401)
        if path != f"/2010-04-01/Accounts/{SID}/Messages.json":
            return 404, _problem(20404, f"The requested resource {path} was not found", 404)
        if not all(form.get(name) for name in ("To", "From", "Body")):
            return 400, _problem(21604, "A 'To' phone number is required.", 400)
        how = self.behaviour.popleft() if self.behaviour else "take"
        if how in {"400", "429", "500", "503"}:
            return int(how), _problem(20000 + int(how), "as asked", int(how))
        message = {name: form[name][0] for name in ("To", "From", "Body")}
        self.taken.append(message)
        if how == "timeout":
            self.let_go.wait(60)
        if how == "garbage":
            return 201, None
        sid = f"SM{len(self.taken):032d}"
        return 201, {
            "sid": sid,
            "account_sid": SID,
            "status": "queued",
            "to": message["To"],
            "from": message["From"],
            "body": message["Body"],
            "num_segments": "1",
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                form = parse_qs(self.rfile.read(length).decode())
                status, answer = standin.answer(self.path, self.headers.get("Authorization", ""), form)
                payload = b"<html>" if answer is None else json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(payload)))
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.write(payload)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client has given up: that is the test

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        return Handler


def _problem(code: int, message: str, status: int) -> dict[str, object]:
    return {"code": code, "message": message, "more_info": "", "status": status}
