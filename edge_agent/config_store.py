"""The configuration document in force, kept in one file that is never half-written."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from hearthward.core.errors import ConfigError, DecodeError, StoreUnavailable
from hearthward.core.wire import ConfigDocument

__all__ = ["ConfigStore", "check_document"]

log = logging.getLogger(__name__)


class ConfigStore:
    """One gateway's stored document; ``save`` replaces it atomically and durably."""

    def __init__(self, path: Path) -> None:
        self.path = path

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
        try:
            return ConfigDocument.decode(payload)
        except DecodeError as error:
            aside = self.path.with_name(f"{self.path.name}.garbled")
            self.path.replace(aside)
            log.error("%s: %s; moved to %s, waiting for a new one", self.path, error, aside)  # noqa: TRY400
            return None

    def save(self, document: ConfigDocument) -> None:
        """Write a new file, sync it, give it the name, sync the folder. Raises StoreUnavailable."""
        temporary = self.path.with_name(f"{self.path.name}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(document.encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unavailable(self.path, "written", error) from error


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
