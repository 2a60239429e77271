from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearthward.core.errors import ConfigError
from hearthward.trust.keys import SigningKey, fingerprint, verify


def pem(key: object, password: bytes | None = None) -> bytes:
    private = key
    assert hasattr(private, "private_bytes")
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    made: bytes = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    return made


def test_a_signature_is_of_one_key_and_one_message():
    key, other = SigningKey.new(), SigningKey.new()
    signature = key.sign(b"message")
    assert (len(key.public), len(signature)) == (32, 64)
    assert verify(key.public, b"message", signature)
    assert not verify(key.public, b"another", signature)
    assert not verify(other.public, b"message", signature)
    assert not verify(key.public, b"message", other.sign(b"message"))


@pytest.mark.parametrize("public", [b"", b"short", bytes(33)])
@pytest.mark.parametrize("signature", [b"", b"short", bytes(64), bytes(65)])
def test_what_is_no_key_or_no_signature_verifies_nothing(public: bytes, signature: bytes):
    assert not verify(public, b"message", signature)
    assert not verify(SigningKey.new().public, b"message", signature)


def test_a_key_of_a_file_is_made_once_and_stays(tmp_path: Path):
    path = tmp_path / "cloud" / "signing-key.pem"
    made = SigningKey.of_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["signing-key.pem"]
    again = SigningKey.of_file(path)
    assert again.public == made.public
    assert verify(made.public, b"message", again.sign(b"message"))


def test_what_a_kill_left_half_made_does_not_stand_in_the_way(tmp_path: Path):
    (tmp_path / "key.pem.new").write_bytes(b"half")
    assert SigningKey.of_file(tmp_path / "key.pem").public == SigningKey.of_file(tmp_path / "key.pem").public


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no PEM private key"),
        (b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "no PEM private key"),
        (pem(Ed25519PrivateKey.generate(), b"password"), "without a password"),
        (pem(generate_private_key(SECP256R1())), "no Ed25519 key"),
    ],
)
def test_another_file_is_refused_by_name_and_left_alone(content: bytes, reason: str, tmp_path: Path):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=reason) as caught:
        SigningKey.of_file(path)
    assert caught.value.file == str(path)
    assert path.read_bytes() == content


def test_a_key_that_others_may_read_is_refused(tmp_path: Path):
    path = tmp_path / "key.pem"
    SigningKey.of_file(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"0640.*chmod 600"):
        SigningKey.of_file(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "key.pem"
    with pytest.raises(ConfigError, match=r"cannot be (made|read)"):
        SigningKey.of_file(path)


def test_a_fingerprint_tells_keys_apart():
    one, two = SigningKey.new().public, SigningKey.new().public
    assert fingerprint(one) == fingerprint(one) != fingerprint(two)
    assert len(fingerprint(one)) == 16
