"""A mail server on loopback: a real one (aiosmtpd), a stand-in only in that it keeps what it takes.

A provider's server cannot be reached from a test. It misbehaves on request: ``550`` refuses the receiver,
``450`` asks to come later, ``554`` refuses the content, ``timeout`` takes the message and answers only when
let go, ``drop`` takes it and hangs up.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.component.cloud_ingest.certificate import made_certificate

__all__ = ["LOGIN", "SmtpStandIn", "smtp_running"]

LOGIN = ("ward", "hush-hush")


class SmtpStandIn:
    """``taken`` are (receiver, message) that it accepted; ``port`` is where."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, EmailMessage]] = []
        self.behaviour: deque[str] = deque()
        self.let_go = asyncio.Event()
        self.port = 0
        self.ca_file: Path | None = None
        self.tls_used: list[bool] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.behaviour and self.behaviour[0] == "550":
            self.behaviour.popleft()
            return f"550 <{address}> unknown"
        self.tls_used.append(server.transport.get_extra_info("ssl_object") is not None)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        how = self.behaviour.popleft() if self.behaviour else "take"
        if how in {"450", "554"}:
            return f"{how} as asked"
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.taken.append((envelope.rcpt_tos[0], message))
        if how == "timeout":
            await self.let_go.wait()
        if how == "drop":
            server.transport.abort()
        return "250 OK"

    def log_in(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == tuple(
            part.encode() for part in LOGIN
        )
        return AuthResult(success=good, handled=good)


@asynccontextmanager
async def smtp_running(
    folder: Path, *, security: str = "starttls", login: bool = True
) -> AsyncIterator[SmtpStandIn]:
    """A server that speaks as told: ``starttls``, ``tls`` or ``plain``."""
    standin = SmtpStandIn()
    context = None
    if security != "plain":
        standin.ca_file, key = made_certificate(folder)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(standin.ca_file, key)

    def protocol() -> SMTP:
        return SMTP(
            standin,
            hostname="localhost",
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            authenticator=standin.log_in,
            auth_required=login,
            auth_require_tls=security == "starttls",
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if security == "tls" else None)
    standin.port = server.sockets[0].getsockname()[1]
    try:
        yield standin
    finally:
        standin.let_go.set()
        server.close()
        await server.wait_closed()
