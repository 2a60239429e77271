from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings, is_loopback, load_settings

SID = "AC" + "0" * 32
ONE, TWO = "+15005550001", "+15005550002"
SMS: dict[str, object] = {"account_sid": SID, "auth_token": "t", "from_number": ONE}
EMAIL: dict[str, object] = {"host": "mail.example.org", "from_address": "ward@example.org"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith("HEARTHWARD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def toml(text: str, name: str = "my.toml") -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


def refused(file: Path | None = None, **overrides: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, **overrides)
    return caught.value


def test_everything_has_a_default():
    settings = load_settings()
    assert (settings.web.host, settings.web.port, settings.data) == (
        "127.0.0.1",
        8080,
        Path("hearthward-data"),
    )
    assert settings.broker.url == "embedded"
    assert not settings.sms.enabled
    assert type(settings).__name__ == "Settings"
    assert isinstance(settings, Settings)


def test_arguments_over_environment_over_file_over_default_key_by_key(monkeypatch: pytest.MonkeyPatch):
    path = toml('[web]\nport = 1\nhost = "127.0.0.2"\n[edge]\ngateway = "from-file"\nin_flight = 3\n')
    monkeypatch.setenv("HEARTHWARD_WEB__PORT", "2")
    monkeypatch.setenv("HEARTHWARD_EDGE__GATEWAY", "from-env")
    settings = load_settings(path, edge={"gateway": "given"})
    assert (settings.web.port, settings.web.host) == (2, "127.0.0.2")
    assert (settings.edge.gateway, settings.edge.in_flight, settings.edge.tenant) == ("given", 3, "main")


def test_the_file_in_the_folder_is_read_without_being_named():
    toml("[web]\nport = 9\n", "hearthward.toml")
    assert load_settings().web.port == 9
    assert load_settings(toml("", "other.toml")).web.port == 8080


def test_reading_one_file_leaves_no_trace_in_the_next():
    assert load_settings(toml("[web]\nport = 9\n")).web.port == 9
    assert load_settings().web.port == 8080


def test_settings_cannot_be_changed():
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.data = Path("x")
    with pytest.raises(ValueError, match="frozen"):
        settings.web.port = 1


def test_the_data_folder_is_never_where_the_recordings_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEARTHWARD_DATA", "/recordings")
    assert load_settings().data == Path("hearthward-data")
    monkeypatch.setenv("HEARTHWARD_DATA_FOLDER", "/mine")
    assert load_settings().data == Path("/mine")
    assert load_settings(data=Path("/given")).data == Path("/given")
    monkeypatch.setenv("HEARTHWARD_DATA_FOLDER", "")
    assert load_settings(toml('data = "/from-file"\n')).data == Path("/from-file")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[web]\nport = 70000\n", "web.port: Input should be less than or equal to 65535"),
        ("[web]\nprot = 1\n", "web.prot: unknown key (did you mean 'port'?)"),
        ("wep = 1\n", "wep: unknown key (did you mean 'web'?)"),
        ("[web]\nzzzzzz = 1\n", "web.zzzzzz: unknown key (known: ['host', 'port',"),
        ("web = 5\n", "web: "),
        ('log_level = "LOUD"\n', "log_level: "),
        ('[edge]\ngateway = "a/b"\n', "edge.gateway: "),
        ('[edge]\nradio = "wlan"\n', "edge.radio: "),
        ("[edge]\nin_flight = 0\n", "edge.in_flight: "),
        ('[broker]\nurl = "http://x"\n', "broker.url: "),
        ("[cloud]\ntick_s = 0\n", "cloud.tick_s: "),
        ("[web\n", "at line 1"),
        ("port = 1\nport = 2\n", "at line 2"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_the_key_and_the_reason(text: str, said: str):
    path = toml(text)
    error = refused(path)
    assert str(error).startswith(f"{path}: ")
    assert said in str(error)
    assert error.file == str(path)


def test_all_wrong_keys_are_told_at_once():
    error = refused(toml('[web]\nport = -1\n[edge]\ntenant = ""\n'))
    assert "web.port" in str(error)
    assert "edge.tenant" in str(error)


def test_a_file_that_is_not_there_or_not_text_is_refused():
    assert "no such settings file" in str(refused(Path("none.toml")))
    Path("bad.toml").write_bytes(b"\xff\xfe")
    assert "bad.toml: " in str(refused(Path("bad.toml")))


def test_a_file_that_may_not_be_read_is_refused(monkeypatch: pytest.MonkeyPatch):
    def locked(*_: object, **__: object) -> None:  # chmod would not stop root
        raise PermissionError(13, "Permission denied")

    path = toml("")
    monkeypatch.setattr(Path, "open", locked)
    assert "cannot be read: Permission denied" in str(refused(path))


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HEARTHWARD_WEB__PORT", "abc", "HEARTHWARD_WEB__PORT: Input should be a valid integer"),
        ("HEARTHWARD_LOG_LEVEL", "LOUD", "HEARTHWARD_LOG_LEVEL: Input should be 'DEBUG'"),
        (
            "HEARTHWARD_WEB_PORT",
            "1",
            "unknown variable HEARTHWARD_WEB_PORT (did you mean HEARTHWARD_WEB__PORT?)",
        ),
        ("HEARTHWARD_EDGE__RADIOO", "off", "(did you mean HEARTHWARD_EDGE__RADIO?)"),
        ("HEARTHWARD_WEB", "not json", "web: the variable's value is not JSON"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
):
    toml("", "hearthward.toml")
    monkeypatch.setenv(variable, value)
    error = refused()
    assert str(error).startswith(said) or said in str(error)
    assert error.file is None  # the file is not to blame


def test_other_variables_of_the_prefix_are_let_be(monkeypatch: pytest.MonkeyPatch):
    before = load_settings().model_dump()
    for name in ("HEARTHWARD_BROWSER", "HEARTHWARD_DATA", "HEARTHWARD_X"):
        monkeypatch.setenv(name, "1")
    assert load_settings().model_dump() == before


@pytest.mark.parametrize("value", [f"{ONE},{TWO}", f'["{ONE}", "{TWO}"]', f" {ONE} , {TWO},"])
def test_a_list_may_be_written_with_commas_or_as_json(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("HEARTHWARD_SMS__TO_NUMBERS", value)
    assert load_settings(sms=SMS).sms.to_numbers == (ONE, TWO)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEARTHWARD_SMS__AUTH_TOKEN", "hush-hush")
    settings = load_settings(
        sms={"account_sid": SID, "from_number": ONE},
        email={**EMAIL, "username": "u", "password": "hush-hush"},
        webhooks={"his": {"url": "https://x/hush-hush", "secret": "hush-hush-hush-hush"}},
        apprise={"team": "slack://hush-hush"},
        heartbeat={"url": "https://x/hush-hush"},
    )
    assert "hush-hush" not in f"{settings!r} {settings}"
    assert settings.sms.auth_token is not None
    assert settings.sms.auth_token.get_secret_value() == "hush-hush"
    monkeypatch.delenv("HEARTHWARD_SMS__AUTH_TOKEN")
    path = toml(
        '[sms]\nauth_token = ["hush-hush"]\nto_numbers = ["hush-hush"]\n'
        '[broker]\nurl = "http://u:hush-hush@x"\n[webhooks.his]\nurl = "http://x/hush-hush"\n'
        'secret = "hush-hush"\n'
        '[apprise]\nteam = "hush-hush"\n[heartbeat]\nurl = "hush-hush"\n[email]\nfrom_address = "hush-hush"\n'
    )
    assert "hush-hush" not in str(refused(path))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])  # noqa: S104
def test_listening_beyond_loopback_without_tls_is_refused(host: str):
    assert "without TLS is refused" in str(refused(web={"host": host}))
    assert "without TLS is refused" in str(refused(web={"host": host, "tls_key": "k.pem"}))
    settings = load_settings(web={"host": host, "tls_certificate": "c.pem", "tls_key": "k.pem"})
    assert settings.web.host == host


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_what_loopback_is(host: str, loopback: bool):  # noqa: FBT001
    assert is_loopback(host) is loopback


def test_a_cloud_s_key_is_hexadecimal_or_base64_of_32_bytes():
    key = bytes(range(32))
    for text in (key.hex(), key.hex().upper(), base64.b64encode(key).decode()):
        assert load_settings(edge={"cloud_key": text}).edge.cloud_key == key.hex()
    assert load_settings(edge={"cloud_key": ""}).edge.cloud_key is None
    for bad in ("abc", key.hex()[2:], key.hex() + "00", "g" * 64, base64.b64encode(key[1:]).decode()):
        with pytest.raises(ConfigError, match=r"edge\.cloud_key.*64 hexadecimal digits") as caught:
            load_settings(edge={"cloud_key": bad})
        assert bad not in str(caught.value)
