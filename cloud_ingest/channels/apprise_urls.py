"""Many other services by their apprise URLs: WeCom, DingTalk, Feishu, Slack, PagerDuty and so on.

Source: the ``apprise`` library, whose plugins tell only whether it worked; why not, they log. Those lines
are read for a status and go no further: they name hosts, and at lower levels secrets.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar

from cloud_ingest.channels.answers import refusal
from cloud_ingest.channels.base import ENDPOINT, Handover, Message
from cloud_ingest.channels.libraries import library
from hearthward.core.addresses import is_loopback
from hearthward.core.errors import ConfigError, DeliveryError, DeliveryPermanent, DeliveryTemporary

__all__ = ["AppriseChannel"]

T = TypeVar("T")

THREADS: Final = 8
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
_KINDS: Final = {"high": "failure", "medium": "warning", "low": "info"}
_HTTP_PORTS: Final = {True: 443, False: 80}
CONNECT_S: Final = 5.0
"""For looking whether a service can be reached."""


_lines: Final[ContextVar[list[str] | None]] = ContextVar("apprise_lines", default=None)


class _Captured(logging.Handler):
    """Keeps apprise's warnings with the message that they are about, and shows them to nobody."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        lines = _lines.get()
        if lines is not None:
            lines.append(record.getMessage())


_captured: Final = _Captured(logging.WARNING)


class AppriseChannel:
    """Sends to the URLs of the settings by their names; targets are ``@name``.

    Each message has a plugin of its own: a shared one would hold many at once back for seconds.
    """

    name = "apprise"
    confirms = False

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="apprise")

    def validate(self) -> None:
        """Look at all URLs; imports the library. Blocking. Raises ConfigError naming the setting."""
        for name in self._urls:
            try:
                self._plugin(name)
            except DeliveryPermanent as error:
                raise ConfigError(error.message, key=f"apprise.{name}") from error

    async def send(self, message: Message) -> Handover:
        """Hand over to the service. Raises DeliveryError."""
        name = message.target.removeprefix(ENDPOINT)
        await self._in_thread(partial(self._notify, name, message))
        return Handover(f"{name}:{message.id}")

    async def check(self) -> None:
        """Whether the services that have a host in their URL can be reached. Raises DeliveryError."""
        for name in self._urls:
            plugin = await self._in_thread(partial(self._plugin, name))
            host = getattr(plugin, "host", None)
            if not isinstance(host, str) or ("." not in host and not is_loopback(host)):
                continue  # the service's host is in its plugin; what is in the URL is a token
            port = getattr(plugin, "port", None) or _HTTP_PORTS[bool(getattr(plugin, "secure", True))]
            await self._reach(name, host, int(port))

    async def close(self) -> None:
        """Wait for what is being sent (bounded by the plugins' timeouts)."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _reach(self, name: str, host: str, port: int) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            msg = f"the service of apprise.{name} cannot be reached: {type(error).__name__}"
            raise DeliveryTemporary(msg, channel=self.name) from error
        writer.close()

    def _notify(self, name: str, message: Message) -> None:
        plugin = self._plugin(name)
        library = _library()
        sender = library.Apprise(asset=plugin.asset)
        sender.add(plugin)
        lines: list[str] = []
        token = _lines.set(lines)
        try:
            done = sender.notify(
                body=message.linked_text,
                title=message.subject,
                notify_type=library.NotifyType(_KINDS[message.priority]),
                body_format=library.NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001 - plugins of many authors
            msg = f"the service of apprise.{name} failed: {type(error).__name__}"
            raise DeliveryTemporary(msg, channel=self.name) from None
        finally:
            _lines.reset(token)
        if not done:
            raise self._refused(name, lines)

    def _refused(self, name: str, lines: list[str]) -> DeliveryError:
        found = [int(status) for line in lines for status in _STATUS.findall(line)]
        service = f"the service of apprise.{name}"
        if found:
            return refusal(self.name, service, found[-1], {}, credentials=f"the URL of apprise.{name}")
        msg = f"{service} did not take the message, or cannot be reached"
        return DeliveryTemporary(msg, channel=self.name)

    def _plugin(self, name: str) -> Any:
        """A new plugin for a name. Raises DeliveryPermanent."""
        url = self._urls.get(name)
        if url is None:
            msg = "no such apprise URL in the settings any more"
            raise DeliveryPermanent(msg, channel=self.name)
        library = _library()
        asset = library.AppriseAsset(
            app_id="Hearthward", app_desc="Hearthward", app_url="", image_url_mask=""
        )
        plugin = library.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if plugin is None:
            msg = f"apprise.{name} is no URL that apprise knows: see its list of services"
            raise DeliveryPermanent(msg, channel=self.name)
        if _in_the_clear(plugin, url):
            msg = f"apprise.{name} would send texts in the clear: use {_secure(plugin)}://"
            raise DeliveryPermanent(msg, channel=self.name)
        return plugin


def _library() -> Any:
    """The library, with its log kept to ourselves."""
    log = logging.getLogger("apprise")
    if _captured not in log.handlers:
        log.addHandler(_captured)
        log.setLevel(logging.WARNING)
        log.propagate = False
        wire = logging.getLogger("urllib3")  # at DEBUG it logs paths, which hold tokens
        wire.setLevel(max(wire.level, logging.INFO))
    return library("apprise")


def _protocols(plugin: Any, name: str) -> tuple[str, ...]:
    found = getattr(plugin, name, None) or ()
    return (found,) if isinstance(found, str) else tuple(found)


def _in_the_clear(plugin: Any, url: str) -> bool:
    scheme = url.partition("://")[0].lower()
    secure = _protocols(plugin, "secure_protocol")
    plain = bool(secure) and scheme not in secure and scheme in _protocols(plugin, "protocol")
    return plain and not is_loopback(getattr(plugin, "host", "") or "")


def _secure(plugin: Any) -> str:
    return _protocols(plugin, "secure_protocol")[0]
