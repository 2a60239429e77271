from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cloud_ingest.channels.vapid import VapidKey
from hearthward.core.errors import ConfigError


def test_a_key_is_made_once_and_only_we_may_read_it(tmp_path: Path):
    path = tmp_path / "new" / "vapid.pem"
    made = VapidKey.of_file(path, make=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert VapidKey.of_file(path, make=True).public == made.public
    assert [p.name for p in path.parent.iterdir()] == ["vapid.pem"]
    point = base64.urlsafe_b64decode(made.public + "=")
    assert (len(point), point[0]) == (65, 4)
    assert "PRIVATE" not in repr(made)


def test_what_is_left_of_a_crash_is_not_in_the_way(tmp_path: Path):
    (tmp_path / "vapid.pem.part").write_bytes(b"half")
    VapidKey.of_file(tmp_path / "vapid.pem", make=True)


def refused(path: Path, *, make: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        VapidKey.of_file(path, make=make)
    return str(caught.value)


def written(
    path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None
) -> Path:
    hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        hidden = serialization.BestAvailableEncryption(password)
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    path.write_bytes(text)
    path.chmod(0o600)
    return path


def test_files_that_cannot_be_it_are_refused_by_name(tmp_path: Path):
    path = tmp_path / "my.pem"
    assert "my.pem: push.key_file cannot be read" in refused(path)
    written(path, ec.generate_private_key(ec.SECP256R1())).chmod(0o644)
    assert "may be read by others (mode 0644): chmod 600" in refused(path)
    assert "holds no P-256 key" in refused(written(path, ec.generate_private_key(ec.SECP384R1())))
    assert "holds no P-256 key" in refused(written(path, rsa.generate_private_key(65537, 2048)))
    assert "without a password" in refused(written(path, ec.generate_private_key(ec.SECP256R1()), b"x"))
    path.write_bytes(b"nonsense")
    assert "holds no PEM private key" in refused(path, make=True)
    assert path.read_bytes() == b"nonsense"  # never replaced


def test_a_folder_that_is_a_file_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(tmp_path / "file" / "vapid.pem", make=True)
