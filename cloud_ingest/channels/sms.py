"""SMS by Twilio's API, through Twilio's own client.

Source: Twilio Programmable Messaging, ``POST /2010-04-01/Accounts/{sid}/Messages.json``. That a phone has it
is reported to the status callback, where there is one; nobody need have read it even so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cloud_ingest.channels.base import Handover, Message, address_of
from cloud_ingest.channels.twilio_account import TIMEOUT_S, TwilioAccount
from cloud_ingest.channels.twilio_callbacks import status_url

if TYPE_CHECKING:
    from twilio.rest import Client  # type: ignore[import-untyped]

__all__ = ["SmsChannel"]


class SmsChannel:
    """Sends from one number of one account; targets are numbers such as ``+4930123456`` or ``@name``.

    Reports of delivery come back only with ``public_url``, how this server is reached from outside.
    """

    name = "sms"
    confirms = False

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        from_number: str,
        base_url: str | None = None,
        endpoints: Mapping[str, str] | None = None,
        public_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._account = TwilioAccount(
            self.name, account_sid=account_sid, auth_token=auth_token, base_url=base_url, timeout_s=timeout_s
        )
        self._from = from_number
        self._endpoints = dict(endpoints or {})
        self._public_url = public_url

    async def send(self, message: Message) -> Handover:
        """Hand over to Twilio; the reference is the message's SID. Raises DeliveryError."""
        to = address_of(self.name, message.target, self._endpoints)
        options = {}
        if self._public_url and message.answer:
            options["status_callback"] = status_url(self._public_url, message.answer)

        def post(client: Client) -> str:
            taken = client.messages.create(to=to, from_=self._from, body=message.linked_text, **options)
            return str(taken.sid)

        return Handover(await self._account.call(post))

    async def check(self) -> None:
        """Whether the account can be used. Raises DeliveryError."""
        await self._account.check()

    async def close(self) -> None:
        """Wait for what is being sent and close the connections."""
        await self._account.close()
