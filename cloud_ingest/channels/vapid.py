"""The key by which push services know this server (RFC 8292, VAPID), kept in a file that only we read."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hearthward.core.errors import ConfigError

__all__ = ["VapidKey"]


@dataclass(frozen=True, slots=True)
class VapidKey:
    """A P-256 key. ``public`` is what browsers subscribe with (``applicationServerKey``, base64url)."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The uncompressed point, base64url without padding."""
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()

    @classmethod
    def of_file(cls, path: Path, *, make: bool) -> VapidKey:
        """The key in a PEM file; with ``make`` it is made first where there is none, with mode 0600.

        Blocking. Raises ConfigError: no file, no such key, or a file that others may read.
        """
        if make and not path.exists():
            _make(path)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_bytes()
        except OSError as error:
            msg = f"push.key_file cannot be read: {error.strerror}"
            raise ConfigError(msg, file=str(path), key="push.key_file") from error
        if mode & 0o077:
            msg = f"push.key_file may be read by others (mode {mode:04o}): chmod 600"
            raise ConfigError(msg, file=str(path), key="push.key_file")
        try:
            key = serialization.load_pem_private_key(text, password=None)
        except (ValueError, TypeError) as error:
            msg = "push.key_file holds no PEM private key without a password"
            raise ConfigError(msg, file=str(path), key="push.key_file") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            msg = "push.key_file holds no P-256 key"
            raise ConfigError(msg, file=str(path), key="push.key_file")
        return cls(key)


def _make(path: Path) -> None:
    """Write a new key; a file under that name is whole or not there, and never replaced."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        msg = f"the key for web push cannot be written: {error.strerror}"
        raise ConfigError(msg, file=str(path), key="push.key_file") from error
