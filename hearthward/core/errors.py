"""The error tree of the whole project.

    HearthwardError
    +-- ConfigError          a setting, profile, rule or input file is wrong: says which, where, what to do
    +-- DeviceError
    |   +-- DecodeError      bytes that the matched profile refuses
    |   +-- LinkError        the connection to a device (usually worth a retry)
    |   +-- UnsupportedDevice
    +-- UplinkError          the way from the edge to the broker
    +-- StoreError
    |   +-- StoreUnavailable (retry)
    |   +-- StoreRejected    (do not retry: dead-letter it)
    +-- RuleError
    +-- DeliveryError
    |   +-- DeliveryTemporary (retry)
    |   +-- DeliveryPermanent
    +-- AccessError          authentication, permission or scope

Each error carries data (what, where, offset...) in ``details`` and says in ``retry`` whether trying
again may help.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AccessError",
    "ConfigError",
    "DecodeError",
    "DeliveryError",
    "DeliveryPermanent",
    "DeliveryTemporary",
    "DeviceError",
    "HearthwardError",
    "LinkError",
    "RuleError",
    "StoreError",
    "StoreRejected",
    "StoreUnavailable",
    "UnsupportedDevice",
    "UplinkError",
]

Detail = str | int | float | bool | None


class HearthwardError(Exception):
    """Root of every error raised on purpose; ``str(e)`` is fit to show to the person concerned."""

    retry: ClassVar[bool] = False

    def __init__(self, message: str, **details: Detail) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class ConfigError(HearthwardError):
    """A setting, profile, rule or input file is wrong."""

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, **details: Detail
    ) -> None:
        where = "" if file is None else file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {message}" if where else message, **details)
        self.file = file
        self.line = line


class DeviceError(HearthwardError):
    """Something about one device."""


class DecodeError(DeviceError):
    """A frame that the profile refuses; ``reason`` is a short, countable word such as ``truncated``."""

    def __init__(self, message: str, *, reason: str, offset: int | None = None, **details: Detail) -> None:
        super().__init__(message, reason=reason, offset=offset, **details)
        self.reason = reason
        self.offset = offset


class LinkError(DeviceError):
    """The connection to a device failed or was lost."""

    retry = True


class UnsupportedDevice(DeviceError):
    """No profile matches the device, or more than one does."""


class UplinkError(HearthwardError):
    """The way from the edge to the broker."""

    retry = True


class StoreError(HearthwardError):
    """A store did not take or give data."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or written now."""

    retry = True


class StoreRejected(StoreError):
    """The store refuses this data and always will."""


class RuleError(HearthwardError):
    """A rule cannot be evaluated or applied."""


class DeliveryError(HearthwardError):
    """A notification was not delivered."""


class DeliveryTemporary(DeliveryError):
    """The channel may take it later."""

    retry = True


class DeliveryPermanent(DeliveryError):
    """The channel will never take it (bad number, refused content, wrong credentials)."""


class AccessError(HearthwardError):
    """Not authenticated, not allowed, or outside the scope."""

    def __init__(self, message: str, *, authenticated: bool = True, **details: Detail) -> None:
        super().__init__(message, **details)
        self.authenticated = authenticated
