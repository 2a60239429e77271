"""The settings of the channels by which people and other systems are told of alarms.

People have their numbers and addresses with their accounts. What stands here besides the credentials are
*endpoints*: numbers, addresses and systems that belong to nobody and are told by name (``@number-1``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from hearthward.core.addresses import MAIL_ADDRESS, NUMBER, check_https, is_loopback

__all__ = [
    "AppriseUrl",
    "EmailSettings",
    "EndpointName",
    "HeartbeatSettings",
    "MessageSettings",
    "Part",
    "PushSettings",
    "SmsSettings",
    "VoiceSettings",
    "WebhookSettings",
]

_NUMBER_SAID: Final = "a number with its country, such as +4930123456"
_ADDRESS_SAID: Final = "an address such as ward@example.org, without a name"
SECRET_LENGTH: Final = 16
"""A webhook's secret has at least so many characters."""
_MAIL_PORTS: Final = {"starttls": 587, "tls": 465, "plain": 25}

EndpointName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$"),
    Field(description="a name of up to 32 of the characters a-z 0-9 -"),
]
Number = Annotated[str, StringConstraints(pattern=NUMBER)]
Address = Annotated[str, StringConstraints(pattern=MAIL_ADDRESS)]


class Part(BaseModel):
    """A table of the settings: nothing unknown in it, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SmsSettings(Part):
    """SMS by Twilio's API, and the account for voice calls; off unless set."""

    account_sid: str | None = Field(
        None, pattern=r"^AC[0-9a-fA-F]{32}$", description="AC and 32 hexadecimal digits, of Twilio's console"
    )
    auth_token: SecretStr | None = Field(None, description="also proves that what calls back is Twilio")
    from_number: str | None = Field(
        None,
        pattern=r"^(\+[1-9][0-9]{6,14}|[0-9]{5,6}|[A-Za-z0-9 ]{0,10}[A-Za-z][A-Za-z0-9 ]{0,10})$",
        description="the sender: a number such as +4930123456, a short code, or a name of up to 11 letters",
    )
    to_numbers: tuple[Number, ...] = Field((), description=f"endpoints @number-1...: {_NUMBER_SAID}")
    base_url: str | None = Field(None, description="another address with the same API (a stand-in)")

    @property
    def account(self) -> bool:
        """Whether the account can be used."""
        return bool(self.account_sid and self.auth_token)

    @property
    def enabled(self) -> bool:
        """Whether SMS can be sent."""
        return bool(self.account and self.from_number)

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, url: str | None) -> str | None:
        return None if url is None else check_https(url)

    @model_validator(mode="after")
    def _whole(self) -> SmsSettings:
        given = {
            "account_sid": bool(self.account_sid),
            "auth_token": self.auth_token is not None and bool(self.auth_token.get_secret_value()),
        }
        if any(given.values()) != all(given.values()):
            raise ValueError(_lacks(given))
        given["from_number"] = bool(self.from_number)
        if (self.from_number or self.to_numbers) and not all(given.values()):
            raise ValueError(_lacks(given))
        return self


class VoiceSettings(Part):
    """Voice calls by the account of ``sms``; off unless ``from_number`` is set."""

    from_number: Number | None = Field(None, description=f"the caller: {_NUMBER_SAID}")
    to_numbers: tuple[Number, ...] = Field((), description=f"endpoints @number-1...: {_NUMBER_SAID}")
    ring_s: int = Field(30, ge=5, le=120, description="let it ring so long")

    @property
    def enabled(self) -> bool:
        """Whether calls can be made."""
        return self.from_number is not None

    @model_validator(mode="after")
    def _whole(self) -> VoiceSettings:
        if self.to_numbers and not self.from_number:
            raise ValueError(_lacks({"from_number": False}))
        return self


class EmailSettings(Part):
    """E-mail by SMTP; off unless host and sender are set."""

    host: str | None = Field(None, pattern=r"^[A-Za-z0-9._:-]+$", description="a host name or address")
    port: int | None = Field(
        None, ge=1, le=65535, description="587 with starttls, 465 with tls and 25 with plain unless set"
    )
    username: str | None = None
    password: SecretStr | None = None
    from_address: Address | None = Field(None, description=_ADDRESS_SAID)
    security: Literal["starttls", "tls", "plain"] = Field(
        "starttls", description="plain only to a server on this machine"
    )
    to_addresses: tuple[Address, ...] = Field((), description=f"endpoints @address-1...: {_ADDRESS_SAID}")
    ca_file: Path | None = Field(
        None, description="the certificate authority of a server of your own (PEM); the system's unless set"
    )

    @property
    def enabled(self) -> bool:
        """Whether e-mail can be sent."""
        return bool(self.host and self.from_address)

    @property
    def real_port(self) -> int:
        """The port, by the kind of connection unless set."""
        return self.port or _MAIL_PORTS[self.security]

    @model_validator(mode="after")
    def _whole(self) -> EmailSettings:
        used = self.host or self.from_address or self.to_addresses or self.username or self.password
        given = {"host": bool(self.host), "from_address": bool(self.from_address)}
        if used and not all(given.values()):
            raise ValueError(_lacks(given))
        login = {"username": bool(self.username), "password": self.password is not None}
        if any(login.values()) and not all(login.values()):
            raise ValueError(_lacks(login))
        if self.security == "plain" and not is_loopback(self.host or "localhost"):
            msg = "security 'plain' would send texts in the clear: only for a server on this machine"
            raise ValueError(msg)
        return self


class PushSettings(Part):
    """Web push to the browsers that people have subscribed; off unless ``contact`` is set."""

    contact: str | None = Field(
        None,
        pattern=r"^(mailto:[^\s@]+@[^\s@]+|https://\S+)$",
        description="whom the push services may write to: mailto:it@example.org or https://...",
    )
    key_file: Path | None = Field(
        None, description="this server's private key (PEM, P-256); made once in the data folder unless set"
    )
    services: tuple[str, ...] = Field(
        ("fcm.googleapis.com", "push.services.mozilla.com", "notify.windows.com", "push.apple.com"),
        description="the domains of push services that may be sent to; a browser's subscription names one",
    )

    @property
    def enabled(self) -> bool:
        """Whether push can be sent."""
        return self.contact is not None


class WebhookSettings(Part):
    """Another system that takes alarms as signed JSON."""

    url: str = Field(repr=False, description="where to post to")
    secret: SecretStr = Field(
        min_length=SECRET_LENGTH, description=f"shared with the receiver; at least {SECRET_LENGTH} characters"
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        return check_https(url)


def _apprise(url: SecretStr) -> SecretStr:
    scheme, _, rest = url.get_secret_value().partition("://")
    if not scheme.isalnum() or not rest:
        msg = "must be an apprise URL such as slack://... or dingtalk://..."
        raise ValueError(msg)
    return url


AppriseUrl = Annotated[SecretStr, AfterValidator(_apprise)]


class MessageSettings(Part):
    """How much is said outside of the app, and how."""

    detail: Literal["reference", "place", "values"] = Field(
        "values",
        description="reference: only that there is an alarm and its number; "
        "place: also ward and bed; values: also what is wrong",
    )
    link: bool = Field(default=True, description="whether messages link to the alarm (needs web.public_url)")
    language: Literal["en", "zh"] = Field("en", description="of endpoints; people have their own")


class HeartbeatSettings(Part):
    """A dead-man's switch outside: whoever watches the URL tells of it when the calls stay away."""

    url: str | None = Field(None, repr=False, description="is called every every_s while all is well")
    every_s: float = Field(60.0, ge=5, le=3600)

    @field_validator("url")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        return None if url is None else check_https(url)


def _lacks(given: dict[str, bool]) -> str:
    """What is missing where something else is set."""
    missing = [name for name, there in given.items() if not there]
    return f"not complete: set {' and '.join(missing)} as well, or nothing of it"
