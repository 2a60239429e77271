"""The port of the web that is about channels, calls from outside, push, and the burden of alarms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from cloud_ingest.burden import Asked, Burden
from dashboards.channel_models import (
    Called,
    ChannelTest,
    ChannelView,
    CheckResult,
    PushDevice,
    TestTarget,
)
from hearthward.trust.access import Principal, Scope

__all__ = ["ChannelsPort"]


class ChannelsPort(Protocol):
    """What the web needs of channels. Refusals are DirectoryError (field, code, value)."""

    # --- channels -------------------------------------------------------------------------------
    async def channels(self, scope: Scope) -> Sequence[ChannelView]:
        """Every channel that there could be, those in use first."""
        ...

    async def test_targets(self, who: Principal, channel: str) -> Sequence[TestTarget] | None:
        """Where somebody may send a test by a channel; None when it is not in use."""
        ...

    async def test_channel(self, who: Principal, channel: str, target: str) -> ChannelTest | None:
        """Send a test, which says that it is one, and keep how that went; None as above.

        Refused: ``target`` unknown. A channel that fails is no refusal: the answer says so.
        """
        ...

    async def check_channel(self, channel: str) -> CheckResult | None:
        """Look whether a channel could be used now, telling nobody; None as above."""
        ...

    # --- calls from outside -------------------------------------------------------------------------
    async def called(self, token: str) -> Called | None:
        """What the token of a callback stands for; None when we never made it, or it is forgotten."""
        ...

    async def delivered(self, found: Called, state: Literal["confirmed", "failed"], detail: str = "") -> None:
        """A channel says from outside what became of a notification or of a test."""
        ...

    # --- push ---------------------------------------------------------------------------------------
    async def push_key(self) -> str | None:
        """This server's public key (base64url) for browsers; None when push is not in use."""
        ...

    async def push_devices(self, who: Principal) -> Sequence[PushDevice]:
        """The browsers that take notifications for somebody, the newest first."""
        ...

    async def subscribe_push(self, who: Principal, endpoint: str, keys: Mapping[str, str]) -> PushDevice:
        """Add a browser; the same endpoint again changes its keys and its owner.

        Refused: ``endpoint`` invalid (no push service that may be sent to), ``push`` unknown (not in use).
        """
        ...

    async def unsubscribe_push(self, who: Principal, key: str) -> PushDevice | None:
        """Take a browser of somebody's away; None when they have none of that id."""
        ...

    # --- burden -------------------------------------------------------------------------------------
    async def burden(self, scope: Scope, asked: Asked, shown: Callable[[str], bool]) -> Burden:
        """What the alarms of the scope ask of people; subjects that are not ``shown`` go together."""
        ...
