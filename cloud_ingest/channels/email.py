"""E-mail by SMTP, through ``aiosmtplib``; by TLS, but for a server on this machine.

Sources: RFC 5321 (replies: 4xx later, 5xx never), RFC 5322, RFC 3834 (``Auto-Submitted``). A message that is
sent again has the same ``Message-ID``, so that mail programs show it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from cloud_ingest.channels.base import Handover, Message, address_of
from hearthward.core.addresses import is_loopback, is_mail_address
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError, DeliveryError, DeliveryPermanent, DeliveryTemporary

if TYPE_CHECKING:
    from aiosmtplib import SMTP

__all__ = ["EmailChannel", "MailServer"]

TIMEOUT_S: Final = 10.0
"""For the connection and for each answer."""
NEVER: Final = 500
"""SMTP replies from here on are for good."""
_URGENT: Final = {"X-Priority": "1", "Importance": "high"}
_LANGUAGES: Final = {"en": "en", "zh": "zh-Hans"}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over; ``ca_file`` is the authority of a server with a certificate of one's own."""

    host: str
    port: int
    security: Literal["starttls", "tls", "plain"] = "starttls"
    login: tuple[str, str] | None = field(default=None, repr=False)
    ca_file: Path | None = None


class EmailChannel:
    """Sends from one address by one server; targets are addresses, or ``@name``.

    Raises ConfigError when texts would go in the clear beyond this machine.
    """

    name = "email"
    confirms = False

    def __init__(
        self,
        server: MailServer,
        from_address: str,
        clock: Clock,
        *,
        endpoints: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if server.security == "plain" and not is_loopback(server.host):
            msg = "email.security 'plain' would send texts in the clear: only for a server on this machine"
            raise ConfigError(msg, key="email.security")
        self._server = server
        self._from = from_address
        self._clock = clock
        self._endpoints = dict(endpoints or {})
        self._timeout_s = timeout_s
        self._context: ssl.SSLContext | None = None

    async def send(self, message: Message) -> Handover:
        """Hand over to the server; the reference is the ``Message-ID``. Raises DeliveryError."""
        to = address_of(self.name, message.target, self._endpoints)
        if not is_mail_address(to):
            msg = "no valid address"
            raise DeliveryPermanent(msg, channel=self.name)
        composed = self._compose(message, to)
        async with self._connected() as smtp:
            await smtp.send_message(composed, sender=self._from, recipients=[to])
        return Handover(str(composed["Message-ID"]))

    async def check(self) -> None:
        """Whether the server can be reached and takes the login. Raises DeliveryError."""
        async with self._connected() as smtp:
            await smtp.noop()

    async def close(self) -> None:
        """Nothing is held: each message has a connection of its own."""

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[SMTP]:
        """A connection that is logged in; what goes wrong in it is raised as DeliveryError."""
        import aiosmtplib

        username, password = self._server.login or (None, None)
        smtp = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=username,
            password=password,
            timeout=self._timeout_s,
            use_tls=self._server.security == "tls",
            start_tls=self._server.security == "starttls",
            tls_context=await self._tls(),
        )
        try:
            await smtp.connect()
            yield smtp
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):  # it was taken before
                await smtp.quit()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._error(error) from None  # its text may hold an address
        finally:
            smtp.close()

    async def _tls(self) -> ssl.SSLContext | None:
        if self._server.security == "plain":
            return None
        if self._context is None:
            path = None if self._server.ca_file is None else str(self._server.ca_file)
            try:
                self._context = await asyncio.to_thread(ssl.create_default_context, cafile=path)
            except OSError as error:
                msg = "email.ca_file cannot be read as PEM certificates"
                raise DeliveryPermanent(msg, channel=self.name) from error
        return self._context

    def _compose(self, message: Message, to: str) -> EmailMessage:
        domain = self._from.rpartition("@")[2]
        composed = EmailMessage(policy=SMTP_POLICY)
        composed["From"] = self._from
        composed["To"] = to
        composed["Subject"] = _line(message.subject or message.text)
        composed["Date"] = format_datetime(datetime.fromtimestamp(self._clock.now_ns() / SECOND, UTC))
        composed["Message-ID"] = f"<{message.id}@{domain}>"
        if message.alarm:
            composed["References"] = f"<{message.alarm}@{domain}>"
        composed["Auto-Submitted"] = "auto-generated"
        for name, value in _URGENT.items() if message.priority == "high" else ():
            composed[name] = value
        composed.set_content(message.linked_text, charset="utf-8")  # takes other Content- headers away
        composed["Content-Language"] = _LANGUAGES.get(message.language, message.language)
        return composed

    def _error(self, error: Exception) -> DeliveryError:
        """The error in our words: without the server's text, which may repeat an address."""
        import aiosmtplib

        if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
            error = error.recipients[0]
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return self._refused(error)
        if isinstance(error.__cause__ or error, ssl.SSLError):
            msg = "the mail server's certificate or TLS is refused: check email.host, security and ca_file"
            return DeliveryTemporary(msg, channel=self.name)
        if isinstance(error, aiosmtplib.SMTPNotSupported) or type(error) is aiosmtplib.SMTPException:
            msg = "the mail server does not offer what is set (email.security, email.username)"
            return DeliveryPermanent(msg, channel=self.name)
        if isinstance(error, aiosmtplib.SMTPReadTimeoutError):
            msg = "the mail server did not answer in time; it may have been taken all the same"
            return DeliveryTemporary(msg, channel=self.name)
        msg = f"the mail server cannot be reached: {type(error).__name__}"
        return DeliveryTemporary(msg, channel=self.name)

    def _refused(self, error: Exception) -> DeliveryError:
        import aiosmtplib

        code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else 0
        if code < NEVER:
            msg = f"the mail server cannot take the message now (SMTP {code})"
            return DeliveryTemporary(msg, channel=self.name, status=code)
        what = "refuses the message"
        if isinstance(error, aiosmtplib.SMTPAuthenticationError):
            what = "refuses the credentials: check email.username and email.password"
        elif isinstance(error, aiosmtplib.SMTPRecipientRefused):
            what = "refuses the address"
        elif isinstance(error, aiosmtplib.SMTPSenderRefused):
            what = "refuses the sender: check email.from_address and email.username"
        return DeliveryPermanent(f"the mail server {what} (SMTP {code})", channel=self.name, status=code)


def _line(text: str) -> str:
    """A text as one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
