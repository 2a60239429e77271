"""The cloud's signature on what it tells its gateways: Ed25519, by ``cryptography``.

The private key is made with the cloud's data folder and stays there; a gateway is given the public one
(``edge.cloud_key``) or keeps that of the first document it gets.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hearthward.core.errors import ConfigError
from hearthward.core.files import write_durably

__all__ = ["SigningKey", "fingerprint", "verify"]


class SigningKey:
    """A private key. ``public`` is its public half: 32 bytes."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def new(cls) -> SigningKey:
        """A new key, in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of_file(cls, path: Path) -> SigningKey:
        """The key in a PEM file, which is made (mode 0600, synced) where there is none. Blocking.

        Raises ConfigError: not readable, readable by others, or no such key.
        """
        if not path.exists():
            _make(path)
        try:
            mode, text = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
        except OSError as error:
            msg = f"the signing key cannot be read: {error.strerror}"
            raise ConfigError(msg, file=str(path)) from error
        if mode & 0o077:
            msg = f"the signing key may be read by others (mode {mode:04o}): chmod 600"
            raise ConfigError(msg, file=str(path))
        try:
            key = serialization.load_pem_private_key(text, password=None)
        except (ValueError, TypeError) as error:
            msg = "no PEM private key without a password"
            raise ConfigError(msg, file=str(path)) from error
        if not isinstance(key, Ed25519PrivateKey):
            msg = "no Ed25519 key"
            raise ConfigError(msg, file=str(path))
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """The signature: 64 bytes."""
        return self._private.sign(message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the owner of ``public`` signed ``message``; False also for what is no key or signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(public: bytes) -> str:
    """Sixteen hexadecimal digits by which people compare public keys."""
    return hashlib.blake2b(public, digest_size=8).hexdigest()


def _make(path: Path) -> None:
    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        write_durably(path, text)
    except OSError as error:
        msg = f"the signing key cannot be made: {error.strerror}"
        raise ConfigError(msg, file=str(path)) from error
