"""The configuration document in force, kept in one file that is never half-written."""

from __future__ import annotations

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

    ``former`` is whether the one that was loaded is of the release before, which did not sign.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.former = False

    def load(self) -> ConfigDocument | None:
        """The stored document; None when there is none.

        A damaged one counts as none: it is moved aside and logged, and the cloud publishes the document
        again at the next connect. Raises StoreUnavailable when the file cannot be read.
        """
        try:
            payload = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unavailable(self.path, "read", error) from error
        self.former = False
        try:
            return ConfigDocument.decode(payload)
        except DecodeError as error:
            if error.reason == "version" and (found := _former(payload)) is not None:
                self.former = True
                return found
            aside = self.path.with_name(f"{self.path.name}.garbled")
            self.path.replace(aside)
            log.error("%s: %s; moved to %s, waiting for a new one", self.path, error, aside)  # noqa: TRY400
            return None

    def save(self, document: ConfigDocument) -> None:
        """Write a new file, sync it, give it the name, sync the folder. Raises StoreUnavailable."""
        try:
            write_durably(self.path, document.encode())
        except OSError as error:
            raise _unavailable(self.path, "written", error) from error


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
