"""The configuration document in force, kept in a file that is never half-written, and in a copy of that.

What has no cloud and no document has no devices and no rules: one damaged file must not come to that.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final

from hearthward.core.errors import ConfigError, DecodeError, StoreUnavailable
from hearthward.core.files import write_durably
from hearthward.core.packing import unpack
from hearthward.core.wire import ConfigDocument

__all__ = ["ConfigStore", "check_document"]

log = logging.getLogger(__name__)

FORMER: Final = 1
"""The version of messages before this one: documents had no signature."""


class ConfigStore:
    """One gateway's stored document; ``save`` replaces it atomically and durably.

    ``former`` is whether the one that was loaded is of the release before, which did not sign; ``copied``
    whether it is the copy, because the file itself is damaged or gone: after a kill at the wrong moment, or
    on a disk that failed, the copy is of the document before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.copy = path.with_name(f"{path.name}.copy")
        self.former = self.copied = False

    def load(self) -> ConfigDocument | None:
        """The stored document; None when there is none.

        A damaged one is moved aside and logged, and its copy taken; where that is damaged, too, it counts as
        none, and the cloud publishes the document again at the next connect. Raises StoreUnavailable when a
        file cannot be read and the other is no help.
        """
        self.former = self.copied = False
        unread: StoreUnavailable | None = None
        for path in (self.path, self.copy):
            try:
                payload = _read(path)
            except StoreUnavailable as error:
                log.error("%s", error)  # noqa: TRY400
                unread = unread or error
                continue
            found = None if payload is None else self._decoded(path, payload)
            if payload is None or found is None:
                continue
            if path == self.copy:
                self.copied = True
                log.error("%s is damaged or gone; going on by its copy, version %d", self.path, found.version)
            self._mend(payload)
            return found
        if unread is not None:
            raise unread
        return None

    def _decoded(self, path: Path, payload: bytes) -> ConfigDocument | None:
        try:
            return ConfigDocument.decode(payload)
        except DecodeError as error:
            if error.reason == "version" and (found := _former(payload)) is not None:
                self.former = True
                return found
            aside = path.with_name(f"{path.name}.garbled")
            log.error("%s: %s; moved to %s", path, error, aside)  # noqa: TRY400
            with contextlib.suppress(OSError):  # it is kept for a look only
                path.replace(aside)
            return None

    def _mend(self, payload: bytes) -> None:
        """Have both files say this; that can wait if it fails."""
        for path in (self.path, self.copy):
            try:
                if _read(path) != payload:
                    write_durably(path, payload)
            except (OSError, StoreUnavailable) as error:
                log.warning("%s cannot be mended: %s", path, error)

    def save(self, document: ConfigDocument) -> None:
        """Write a new file, sync it, give it the name, sync the folder; then the copy, if that can be had.

        Raises StoreUnavailable.
        """
        payload = document.encode()
        try:
            write_durably(self.path, payload)
        except OSError as error:
            raise _unavailable(self.path, "written", error) from error
        self._mend(payload)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unavailable(path, "read", error) from error


def _former(payload: bytes) -> ConfigDocument | None:
    """A document as the first release stored it; None: it is none."""
    try:
        gateway, version, body, digest = unpack(payload, "configuration document", FORMER)
        found = ConfigDocument(gateway, version, body)
        good = isinstance(gateway, str) and type(version) is int and isinstance(body, dict)
        same = found.digest == digest
    except (DecodeError, ValueError, TypeError, OverflowError):
        return None
    return found if good and same else None


def check_document(
    document: ConfigDocument, *, gateway: str, tenant: str, current: ConfigDocument | None
) -> None:
    """Whether a gateway may put ``document`` in force.

    Raises ConfigError whose ``details["reason"]`` is ``gateway``, ``tenant`` or ``older``.
    """
    if document.gateway != gateway:
        msg = f"configuration document is for gateway {document.gateway}, this is {gateway}"
        raise ConfigError(msg, reason="gateway")
    if document.body.get("tenant") != tenant:
        msg = f"configuration document is for tenant {document.body.get('tenant')!r}, this is {tenant}"
        raise ConfigError(msg, reason="tenant")
    if current is not None and document.version < current.version:
        msg = f"configuration document {document.version} is older than {current.version}, which is in force"
        raise ConfigError(msg, reason="older")


def _unavailable(path: Path, what: str, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"the configuration document {path} cannot be {what}: {error.strerror}", path=str(path)
    )
