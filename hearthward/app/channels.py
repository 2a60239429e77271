"""Builds the channels from the settings, and says at start what a channel cannot do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from cloud_ingest.channels.base import Channel, Message
from cloud_ingest.channels.subscriptions import Subscriptions
from cloud_ingest.channels.twilio_callbacks import verify
from hearthward.core.clock import Clock
from hearthward.core.settings import EmailSettings, Settings, endpoints_of

__all__ = ["build_channels", "names_of", "twilio_verifier"]

log = logging.getLogger(__name__)

VAPID_FILE: Final = "vapid.pem"


def build_channels(
    settings: Settings,
    *,
    publish: Callable[[Message], None],
    subscriptions: Subscriptions,
    clock: Clock,
) -> list[Channel]:
    """All channels that are set, in-app first; each is to be closed. ``clock`` must be real time.

    Blocking: makes the key for web push when there is none, and looks at apprise's URLs. Raises ConfigError.
    """
    from cloud_ingest.channels.in_app import InAppChannel

    channels: list[Channel] = [InAppChannel(publish)]
    channels += _twilio(settings)
    if settings.email.enabled:
        channels.append(_email(settings.email, clock, _named(settings, "email", settings.email.to_addresses)))
    if settings.push.enabled:
        channels.append(_push(settings, subscriptions))
    if settings.webhooks:
        from cloud_ingest.channels.webhook import Receiver, WebhookChannel

        receivers = {
            name: Receiver(hook.url, hook.secret.get_secret_value())
            for name, hook in settings.webhooks.items()
        }
        channels.append(WebhookChannel(receivers, clock))
    if settings.apprise:
        from cloud_ingest.channels.apprise_urls import AppriseChannel

        apprise = AppriseChannel({n: url.get_secret_value() for n, url in settings.apprise.items()})
        apprise.validate()
        channels.append(apprise)
    return channels


def names_of(settings: Settings) -> tuple[str, ...]:
    """The names of the channels that ``build_channels`` would build, without building any."""
    there = {
        "in_app": True,
        "sms": settings.sms.enabled,
        "voice": settings.voice.enabled,
        "email": settings.email.enabled,
        "push": settings.push.enabled,
        "webhook": bool(settings.webhooks),
        "apprise": bool(settings.apprise),
    }
    return tuple(name for name, on in there.items() if on)


def twilio_verifier(settings: Settings) -> Callable[[str, Mapping[str, str], str], bool] | None:
    """Says of (URL, form, signature) whether Twilio signed it; None where nothing is called back."""
    if settings.web.public_url is None or settings.sms.auth_token is None:
        return None
    return partial(verify, settings.sms.auth_token.get_secret_value())


def _named(settings: Settings, channel: str, addresses: tuple[str, ...]) -> dict[str, str]:
    """The addresses of a channel's endpoints by their names."""
    return dict(zip(endpoints_of(settings).get(channel, ()), addresses, strict=True))


def _twilio(settings: Settings) -> list[Channel]:
    """SMS and voice, as far as they are set."""
    from cloud_ingest.channels.sms import SmsChannel
    from cloud_ingest.channels.voice import VoiceChannel

    sms, voice, public_url = settings.sms, settings.voice, settings.web.public_url
    found: list[Channel] = []
    if sms.account_sid is None or sms.auth_token is None:
        return found
    account_sid, auth_token = sms.account_sid, sms.auth_token.get_secret_value()
    if sms.from_number is not None:
        found.append(
            SmsChannel(
                account_sid=account_sid,
                auth_token=auth_token,
                from_number=sms.from_number,
                base_url=sms.base_url,
                endpoints=_named(settings, "sms", sms.to_numbers),
                public_url=public_url,
            )
        )
    if voice.from_number is not None:
        found.append(
            VoiceChannel(
                account_sid=account_sid,
                auth_token=auth_token,
                from_number=voice.from_number,
                base_url=sms.base_url,
                endpoints=_named(settings, "voice", voice.to_numbers),
                public_url=public_url,
                ring_s=voice.ring_s,
            )
        )
    if found and public_url is None:
        log.warning(
            "web.public_url is not set: nobody can answer a voice call by key, and nobody reports whether "
            "an SMS arrived"
        )
    return found


def _email(settings: EmailSettings, clock: Clock, endpoints: Mapping[str, str]) -> Channel:
    from cloud_ingest.channels.email import EmailChannel, MailServer

    login = None
    if settings.username is not None and settings.password is not None:
        login = (settings.username, settings.password.get_secret_value())
    server = MailServer(
        settings.host or "", settings.real_port, settings.security, login, ca_file=settings.ca_file
    )
    return EmailChannel(server, settings.from_address or "", clock, endpoints=endpoints)


def _push(settings: Settings, subscriptions: Subscriptions) -> Channel:
    from cloud_ingest.channels.push import PushChannel
    from cloud_ingest.channels.vapid import VapidKey

    own = settings.push.key_file
    path: Path = settings.data / "cloud" / VAPID_FILE if own is None else own
    key = VapidKey.of_file(path, make=own is None)
    return PushChannel(
        subscriptions, key, contact=settings.push.contact or "", services=settings.push.services
    )
