"""A stand-in for Twilio on this machine: takes messages and calls, rings nobody.

It exists because neither the tests nor ``hearthward demo`` may call real people, or can reach Twilio's cloud.
It follows Twilio's published contract: paths, basic authentication, required fields, error codes, statuses,
and callbacks signed as *Validating requests* says. It is no part of a real set-up.

``behave`` has the next requests misbehave: an HTTP status (``400``, ``401``, ``429``, ``500``, ``503``),
``timeout`` (takes it, and answers only when let go), or ``garbage`` (takes it, and answers what is no JSON).
What is in ``down`` (``Messages``, ``Calls``) answers 503 for as long.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode
from urllib.request import ProxyHandler, Request, build_opener
from xml.etree import ElementTree as ET

__all__ = ["SID", "TOKEN", "Call", "Sms", "TwilioStandIn"]

SID: Final = "AC" + "0" * 32
TOKEN: Final = "a-token-of-the-stand-in"  # noqa: S105 - of the stand-in only
RETRY_AFTER_S: Final = 7
"""What it asks for with 429."""
HELD_S: Final = 60.0
"""How long a ``timeout`` is held at most."""
CALLBACK_S: Final = 10.0
LONGEST_SMS: Final = 1600
LONGEST_TWIML: Final = 4000
_DIRECT: Final = build_opener(ProxyHandler({}))
_Take = Callable[[dict[str, str]], dict[str, object]]


@dataclass
class Sms:
    """A message that was taken."""

    sid: str
    form: dict[str, str] = field(repr=False)

    @property
    def to(self) -> str:
        """The receiver's number."""
        return self.form["To"]

    @property
    def text(self) -> str:
        """What they would read."""
        return self.form["Body"]


@dataclass
class Call:
    """A call that was taken; ``twiml`` is what is being played, ``heard`` all that was said."""

    sid: str
    form: dict[str, str] = field(repr=False)
    twiml: str = ""
    heard: list[str] = field(default_factory=list)
    over: bool = False

    @property
    def to(self) -> str:
        """The number called."""
        return self.form["To"]

    @property
    def text(self) -> str:
        """What is being said now."""
        return self.heard[-1]

    @property
    def action(self) -> str | None:
        """Where a key would be posted to; None: no key is waited for."""
        gather = None if self.over else ET.fromstring(self.twiml).find("Gather")  # noqa: S314 - our own
        return None if gather is None else gather.get("action")

    def play(self, twiml: str) -> None:
        """Go on with a document."""
        root = ET.fromstring(twiml)  # noqa: S314 - our own server's
        self.twiml = twiml
        self.heard.append(" ".join(say.text or "" for say in root.iter("Say")))
        self.over = root.find("Hangup") is not None


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128  # http.server's 5 would have the sixth of many at once wait for a second


class TwilioStandIn:
    """``with``: serves until left; ``messages`` and ``calls`` are what it took."""

    def __init__(self, *, port: int = 0, sid: str = SID, token: str = TOKEN) -> None:
        self.sid = sid
        self.token = token
        self.messages: list[Sms] = []
        self.calls: list[Call] = []
        self.account_status = "active"
        self.down: set[str] = set()
        self.taken = threading.Condition()
        self.let_go = threading.Event()
        self._behaviour: deque[str] = deque()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="twilio")

    @property
    def url(self) -> str:
        """Its base URL, for ``sms.base_url``."""
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

    # -- what people would do

    def behave(self, *how: str) -> None:
        """Misbehave with the next requests, in order."""
        self._behaviour.extend(how)

    def wait_for_call(self, n: int = 1, timeout_s: float = 30.0) -> Call:
        """The ``n``-th call (from 1), when it has come. Blocking. Raises TimeoutError."""
        with self.taken:
            if not self.taken.wait_for(lambda: len(self.calls) >= n, timeout_s):
                msg = f"{len(self.calls)} calls after {timeout_s:g} s, not {n}"
                raise TimeoutError(msg)
            return self.calls[n - 1]

    def wait_for_sms(self, n: int = 1, timeout_s: float = 30.0) -> Sms:
        """The ``n``-th message (from 1), when it has come. Blocking. Raises TimeoutError."""
        with self.taken:
            if not self.taken.wait_for(lambda: len(self.messages) >= n, timeout_s):
                msg = f"{len(self.messages)} messages after {timeout_s:g} s, not {n}"
                raise TimeoutError(msg)
            return self.messages[n - 1]

    def press(self, call: Call, digit: str) -> str:
        """Press a key: post it to the document's action, play the answer and return what it says.

        Blocking. Raises ValueError when the call waits for no key.
        """
        if call.action is None:
            msg = "the call waits for no key"
            raise ValueError(msg)
        status, answer = self.post(call.action, {**self._of_call(call, "in-progress"), "Digits": digit})
        if status != 200:  # noqa: PLR2004 - the only one that Twilio plays
            return f"HTTP {status}"
        call.play(answer)
        return call.text

    def end(self, call: Call, status: str = "completed") -> int | None:
        """Tell the status callback how the call ended; returns its HTTP status (None: there is none)."""
        call.over = True
        url = call.form.get("StatusCallback")
        return (
            None if url is None else self.post(url, {**self._of_call(call, status), "CallDuration": "20"})[0]
        )

    def report(self, sms: Sms, status: str = "delivered", error_code: int | None = None) -> int | None:
        """Tell the status callback what became of a message; returns its HTTP status, if there is one."""
        url = sms.form.get("StatusCallback")
        form = {
            "AccountSid": self.sid,
            "ApiVersion": "2010-04-01",
            "From": sms.form["From"],
            "To": sms.to,
            "MessageSid": sms.sid,
            "SmsSid": sms.sid,
            "MessageStatus": status,
            "SmsStatus": status,
        }
        if error_code is not None:
            form["ErrorCode"] = str(error_code)
        return None if url is None else self.post(url, form)[0]

    def post(self, url: str, form: Mapping[str, str], *, signature: str | None = None) -> tuple[int, str]:
        """Status and body of a signed POST, as Twilio makes it. Blocking."""
        request = Request(  # noqa: S310 - to the address that we were given
            url,
            data=urlencode(form).encode(),
            headers={
                "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
                "X-Twilio-Signature": self.signature(url, form) if signature is None else signature,
            },
        )
        try:
            with _DIRECT.open(request, timeout=CALLBACK_S) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def signature(self, url: str, form: Mapping[str, str]) -> str:
        """Base64 of HMAC-SHA1 of the URL with all names and values, sorted."""
        signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
        return base64.b64encode(hmac.digest(self.token.encode(), signed.encode(), hashlib.sha1)).decode()

    def _of_call(self, call: Call, status: str) -> dict[str, str]:
        return {
            "AccountSid": self.sid,
            "ApiVersion": "2010-04-01",
            "CallSid": call.sid,
            "CallStatus": status,
            "Called": call.to,
            "Caller": call.form["From"],
            "Direction": "outbound-api",
            "From": call.form["From"],
            "To": call.to,
        }

    # -- the API

    def answer(self, method: str, path: str, authorization: str, form: dict[str, str]) -> tuple[int, object]:
        """Status and JSON for one request; None for what is no JSON."""
        good = base64.b64encode(f"{self.sid}:{self.token}".encode()).decode()
        if authorization != f"Basic {good}":
            return _problem(401, 20003, "Authenticate")
        account = f"/2010-04-01/Accounts/{self.sid}"
        if (method, path) == ("GET", f"{account}.json"):
            how = self._next()
            if how.isdecimal():
                return _problem(int(how), 20000 + int(how), "as asked")
            return 200, {"sid": self.sid, "status": self.account_status, "friendly_name": "stand-in"}
        if (method, path) == ("POST", f"{account}/Messages.json"):
            return self._take("Messages", _wrong_message(form), form, self._message)
        if (method, path) == ("POST", f"{account}/Calls.json"):
            return self._take("Calls", _wrong_call(form), form, self._call)
        return _problem(404, 20404, f"The requested resource {path} was not found")

    def _next(self) -> str:
        return self._behaviour.popleft() if self._behaviour else "take"

    def _take(
        self, resource: str, wrong: tuple[int, str] | None, form: dict[str, str], take: _Take
    ) -> tuple[int, object]:
        if wrong is not None:
            return _problem(400, *wrong)
        how = "503" if resource in self.down else self._next()
        if how.isdecimal():
            return _problem(int(how), 20000 + int(how), "as asked")
        with self.taken:
            answer = take(form)
            self.taken.notify_all()
        if how == "timeout":
            self.let_go.wait(HELD_S)
        return 201, None if how == "garbage" else answer

    def _message(self, form: dict[str, str]) -> dict[str, object]:
        sms = Sms(f"SM{len(self.messages) + 1:032x}", form)
        self.messages.append(sms)
        said = {"to": sms.to, "from": form["From"], "body": sms.text, "num_segments": "1"}
        return {"sid": sms.sid, "account_sid": self.sid, "status": "queued", **said}

    def _call(self, form: dict[str, str]) -> dict[str, object]:
        call = Call(f"CA{len(self.calls) + 1:032x}", form)
        call.play(form["Twiml"])
        self.calls.append(call)
        said = {"to": call.to, "from": form["From"], "direction": "outbound-api"}
        return {"sid": call.sid, "account_sid": self.sid, "status": "queued", **said}


def _number(text: str) -> bool:
    return text.startswith("+") and text[1:].isdecimal() and 8 <= len(text) <= 16  # noqa: PLR2004 - E.164


def _wrong_message(form: Mapping[str, str]) -> tuple[int, str] | None:
    """What the real one would refuse a message for: code and text."""
    to, body, back = form.get("To", ""), form.get("Body", ""), form.get("StatusCallback", "http://")
    wrong = {
        (21604, "A 'To' phone number is required."): not to,
        (21211, f"The 'To' number {to} is not a valid phone number."): not _number(to),
        (21603, "A 'From' phone number is required."): not form.get("From"),
        (21602, "Message body is required."): not body,
        (21617, "The concatenated message body exceeds the 1600 character limit."): len(body) > LONGEST_SMS,
        (21609, "The 'StatusCallback' URL is not a valid URL."): not back.startswith(("http://", "https://")),
    }
    return next((problem for problem, found in wrong.items() if found), None)


def _wrong_call(form: Mapping[str, str]) -> tuple[int, str] | None:
    """What the real one would refuse a call for: code and text."""
    to, twiml = form.get("To", ""), form.get("Twiml", "")
    wrong = {
        (21201, "No 'To' number is specified"): not to,
        (21211, f"The phone number you are attempting to call, {to}, is not valid."): not _number(to),
        (21213, "No 'From' number is specified"): not form.get("From"),
        (21205, "Url parameter is required."): not twiml,
        (21218, "The Twiml parameter is too long"): len(twiml) > LONGEST_TWIML,
        (12100, "Document parse failure"): not _is_twiml(twiml),
    }
    return next((problem for problem, found in wrong.items() if found), None)


def _is_twiml(text: str) -> bool:
    try:
        return ET.fromstring(text).tag == "Response"  # noqa: S314 - our own
    except ET.ParseError:
        return False


def _problem(status: int, code: int, message: str) -> tuple[int, object]:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return status, {"code": code, "message": message, "more_info": more, "status": status}


def _handler(standin: TwilioStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def _serve(self, method: str) -> None:
            length = int(self.headers.get("Content-Length", 0))
            parsed = parse_qs(self.rfile.read(length).decode(), keep_blank_values=True)
            form = {name: values[0] for name, values in parsed.items()}
            status, answer = standin.answer(method, self.path, self.headers.get("Authorization", ""), form)
            payload = b"<html>" if answer is None else json.dumps(answer).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                if status == 429:  # noqa: PLR2004 - too many requests
                    self.send_header("Retry-After", str(RETRY_AFTER_S))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(payload)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has given up

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    return Handler
