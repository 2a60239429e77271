"""Voice calls by Twilio's API: the alarm is read out twice, and one key accepts or rejects it.

Source: Twilio Programmable Voice, ``POST /2010-04-01/Accounts/{sid}/Calls.json`` with ``Twiml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from cloud_ingest.channels.base import ENDPOINT, Handover, Message, address_of
from cloud_ingest.channels.speech import call_twiml
from cloud_ingest.channels.twilio_account import TIMEOUT_S, TwilioAccount
from cloud_ingest.channels.twilio_callbacks import status_url, voice_url

if TYPE_CHECKING:
    from twilio.rest import Client  # type: ignore[import-untyped]

__all__ = ["VoiceChannel"]

RING_S: Final = 30
TEST: Final = "test"
"""The kind of a message that says it is a test: whoever gets it may answer."""


class VoiceChannel:
    """Calls from one number of one account; targets are numbers such as ``+4930123456`` or ``@name``.

    Without ``public_url``, how this server is reached from outside, nobody can answer: the call says so.
    """

    name = "voice"

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        from_number: str,
        base_url: str | None = None,
        endpoints: Mapping[str, str] | None = None,
        public_url: str | None = None,
        ring_s: int = RING_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._account = TwilioAccount(
            self.name, account_sid=account_sid, auth_token=auth_token, base_url=base_url, timeout_s=timeout_s
        )
        self._from = from_number
        self._endpoints = dict(endpoints or {})
        self._public_url = public_url
        self._ring_s = ring_s
        self.confirms = public_url is not None

    async def send(self, message: Message) -> Handover:
        """Have Twilio call; the reference is the call's SID. Raises DeliveryError."""
        to = address_of(self.name, message.target, self._endpoints)
        options: dict[str, Any] = {"timeout": self._ring_s}
        action = None
        if self._public_url and message.answer:
            if message.kind == TEST or not message.target.startswith(ENDPOINT):
                # an endpoint is nobody: its key would not be taken
                action = voice_url(self._public_url, message.answer)
            options["status_callback"] = status_url(self._public_url, message.answer)
            options["status_callback_event"] = ["completed"]
        twiml = call_twiml(message.text, message.language, action)

        def post(client: Client) -> str:
            return str(client.calls.create(to=to, from_=self._from, twiml=twiml, **options).sid)

        return Handover(await self._account.call(post))

    async def check(self) -> None:
        """Whether the account can be used. Raises DeliveryError."""
        await self._account.check()

    async def close(self) -> None:
        """Wait for what is being sent and close the connections."""
        await self._account.close()
