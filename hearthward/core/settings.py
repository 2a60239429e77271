"""All settings as one tree: ``HEARTHWARD_*`` over ``hearthward.toml`` over the defaults.

Read only in ``hearthward.app`` (wiring); everything else is given what it needs. Clinical limits are not
settings: they are rules. A nested key is written with two underscores: ``HEARTHWARD_WEB__PORT=8080``.
Only the data folder's variable is named otherwise than its key: ``HEARTHWARD_DATA_FOLDER``, because
``HEARTHWARD_DATA`` tells the tests where the recordings are, and those must never be written to.
"""

from __future__ import annotations

import base64
import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hearthward.core.addresses import check_https, is_loopback
from hearthward.core.channel_settings import (
    AppriseUrl,
    EmailSettings,
    EndpointName,
    HeartbeatSettings,
    MessageSettings,
    Part,
    PushSettings,
    SmsSettings,
    VoiceSettings,
    WebhookSettings,
)
from hearthward.core.errors import ConfigError
from hearthward.core.fleet_settings import ServiceHours, WorkOrderRule
from hearthward.core.local_settings import LocalSettings
from hearthward.core.retention_settings import RetentionSettings
from hearthward.core.store_settings import StoreSettings
from hearthward.core.wave_settings import WaveSettings

__all__ = [
    "BackupSettings",
    "BrokerSettings",
    "CloudSettings",
    "EdgeSettings",
    "EmailSettings",
    "HeartbeatSettings",
    "MessageSettings",
    "PushSettings",
    "RetentionSettings",
    "Settings",
    "SmsSettings",
    "StoreSettings",
    "VoiceSettings",
    "WebSettings",
    "WebhookSettings",
    "endpoints_of",
    "is_loopback",
    "load_settings",
]

_PREFIX: Final = "HEARTHWARD_"
_DATA_FOLDER: Final = "HEARTHWARD_DATA_FOLDER"
_RECORDINGS: Final = "HEARTHWARD_DATA"
_ID: Final = r"^[A-Za-z0-9_-]{1,64}$"
_ID_SAID: Final = "1 to 64 of the characters A-Z a-z 0-9 _ -"
_KEY_BYTES: Final = 32
_HOST: Final = re.compile(r"[A-Za-z0-9._:%-]+")


class WebSettings(Part):
    """Where the web server listens."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    public_url: str | None = Field(
        None,
        description="how this server is reached from outside, such as https://alarms.example.org: "
        "for links in messages, and for answering calls",
    )
    care_number: str | None = Field(
        None, description="the care team's telephone number, to be called with one click by patients"
    )
    emergency_number: str | None = Field(
        None, description="the emergency number where the patients live, such as 112 or 120"
    )

    @field_validator("care_number", "emergency_number")
    @classmethod
    def _number(cls, number: str | None) -> str | None:
        digits = re.sub(r"[\s().-]", "", number or "")
        if digits and not re.fullmatch(r"\+?[0-9]{3,15}", digits):
            msg = f"{number!r} is no telephone number: give one such as 120 or +8613800138000"
            raise ValueError(msg)
        return digits or None

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, url: str | None) -> str | None:
        return None if url is None else check_https(url).rstrip("/")

    @model_validator(mode="after")
    def _tls_beyond_loopback(self) -> WebSettings:
        if not is_loopback(self.host) and (self.tls_certificate is None or self.tls_key is None):
            msg = (
                f"listening on {self.host} without TLS is refused: set web.tls_certificate and "
                "web.tls_key, or keep web.host on 127.0.0.1 behind a TLS proxy"
            )
            raise ValueError(msg)
        return self


def _is_broker_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = parts.scheme in {"mqtt", "mqtts"} and not (parts.path.strip("/") or parts.query or parts.fragment)
    return bool(plain and parts.hostname and _HOST.fullmatch(parts.hostname) and port != 0)


class BrokerSettings(Part):
    """Which MQTT broker: ``embedded`` starts nats-server as a child; otherwise an ``mqtt://`` URL."""

    url: str = "embedded"
    port: int = Field(0, ge=0, le=65535, description="the embedded broker's MQTT port; 0 picks one")
    username: str | None = None
    password: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if url != "embedded" and not _is_broker_url(url):
            msg = "must be 'embedded' or look like mqtt://host:1883 or mqtts://user:password@host:8883"
            raise ValueError(msg)  # the value is not shown: it may hold a password
        return url


class EdgeSettings(LocalSettings):
    """The gateway."""

    gateway: str = Field("gw-1", pattern=_ID, description=_ID_SAID)
    tenant: str = Field("main", pattern=_ID, description=_ID_SAID)
    radio: str = Field(
        "bluez",
        pattern=r"^(bluez|off|virtual|usb:.*|serial:.+|tcp-client:.+)$",
        description="bluez, off, virtual, or usb:0, serial:/dev/ttyX, tcp-client:HOST:PORT (through bumble)",
    )
    outbox_bytes: int = Field(256 * 1024 * 1024, ge=4 * 1024 * 1024)
    in_flight: int = Field(8, ge=1, le=64, description="frames sent and not yet receipted")
    resend_s: float = Field(5.0, gt=0, description="send again when no receipt came for so long")

    cloud_key: str | None = Field(
        None,
        description="the public key of the cloud, as `hearthward cloud-key` prints it there; without it the "
        "gateway believes the cloud that it hears of first",
    )

    @field_validator("cloud_key")
    @classmethod
    def _cloud_key(cls, text: str | None) -> str | None:
        """Hexadecimal or base64 -> hexadecimal."""
        if text is None or not text.strip():
            return None
        try:
            key = bytes.fromhex(text)
        except ValueError:
            try:
                key = base64.b64decode(text, validate=True)
            except ValueError:
                key = b""
        if len(key) != _KEY_BYTES:
            msg = (
                "must be a public key of 32 bytes: 64 hexadecimal digits, as `hearthward cloud-key` prints it"
            )
            raise ValueError(msg)
        return key.hex()


class CloudSettings(Part):
    """Ingest, rules, notifier."""

    tenant: str = Field("main", pattern=_ID, description=_ID_SAID)
    future_skew_s: float = Field(60.0, gt=0, description="how far ahead a reading's time may be")
    tick_s: float = Field(0.25, gt=0, le=5)
    store: StoreSettings = StoreSettings()
    retention: RetentionSettings = RetentionSettings()
    waves: WaveSettings = WaveSettings()
    rules_path: Path | None = Field(None, description="a folder of rules beside the shipped library")
    policies_path: Path | None = Field(
        None, description="a folder of escalation policies beside the shipped ones"
    )
    life_models: dict[str, Path] = Field(
        {},
        description="profile -> the file that `hearthward rul TRAIN --save FILE` made for its instruments",
    )
    service_hours: dict[str, ServiceHours] = Field(
        {}, description="profile -> after how many hours of use its devices are serviced"
    )
    work_orders: dict[str, WorkOrderRule] = Field(
        {}, description="kind of finding -> when a rule opens a work order for it, instead of as shipped"
    )
    event_clock: bool = Field(
        default=False, description="take the time from frames that carry a recording's time"
    )


class BackupSettings(Part):
    """A copy of the cloud's data that is kept up to date while it runs, best on another disk or machine."""

    folder: Path | None = None
    every_s: float = Field(20.0, ge=5, le=3600, description="how old the copy may become, in seconds")
    base_every_h: float = Field(
        24.0, gt=0, le=24 * 31, description="the whole series are copied anew after so many hours"
    )


class _Environment(EnvSettingsSource):
    """The environment, with the one name that differs (see above); lists are JSON or have commas."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The variable's text, the key it is for, and whether it is JSON."""
        if field_name == "data":
            return self.env_vars.get(_DATA_FOLDER.lower()) or None, field_name, False
        return super().get_field_value(field, field_name)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The value of a list or table written as one variable. Raises ConfigError."""
        if get_origin(field.annotation) is tuple and not value.lstrip().startswith("["):
            return [part.strip() for part in value.split(",") if part.strip()]
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            msg = f"{field_name}: the variable's value is not JSON ({error})"
            raise ConfigError(msg, key=field_name) from error


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data: Path = Path("hearthward-data")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    web: WebSettings = WebSettings()
    broker: BrokerSettings = BrokerSettings()
    edge: EdgeSettings = EdgeSettings()
    cloud: CloudSettings = CloudSettings()
    sms: SmsSettings = SmsSettings()
    voice: VoiceSettings = VoiceSettings()
    email: EmailSettings = EmailSettings()
    push: PushSettings = PushSettings()
    webhooks: dict[EndpointName, WebhookSettings] = {}
    apprise: dict[EndpointName, AppriseUrl] = {}
    messages: MessageSettings = MessageSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    backup: BackupSettings = BackupSettings()

    @model_validator(mode="after")
    def _account_for_calls(self) -> Settings:
        if self.voice.enabled and not self.sms.account:
            msg = "voice.from_number needs sms.account_sid and sms.auth_token: calls are made by that account"
            raise ValueError(msg)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over file."""
        del env_settings, dotenv_settings, file_secret_settings
        environment = _Environment(settings_cls)
        toml = settings_cls.model_config.get("toml_file")
        if toml is None:
            return init_settings, environment
        return init_settings, environment, TomlConfigSettingsSource(settings_cls)


def endpoints_of(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The names of the endpoints by channel, without the ``@``; only of channels that are on."""
    found = {
        "sms": _numbered("number", settings.sms.to_numbers) if settings.sms.enabled else (),
        "voice": _numbered("number", settings.voice.to_numbers) if settings.voice.enabled else (),
        "email": _numbered("address", settings.email.to_addresses) if settings.email.enabled else (),
        "webhook": tuple(settings.webhooks),
        "apprise": tuple(settings.apprise),
    }
    return {channel: names for channel, names in found.items() if names}


def _numbered(word: str, entries: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{word}-{n}" for n in range(1, len(entries) + 1))


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Read ``file`` (default ``hearthward.toml`` if it exists) and the environment.

    ``overrides`` win over both. Raises ConfigError naming the key or variable and the reason.
    """
    path = file or Path("hearthward.toml")
    if file is not None and not path.is_file():
        msg = "no such settings file"
        raise ConfigError(msg, file=str(path))
    _check_variables()
    config = SettingsConfigDict(**Settings.model_config)
    there = path.is_file()
    if there:
        config["toml_file"] = path
    reader = type("Settings", (Settings,), {"model_config": config, "__doc__": Settings.__doc__})
    try:
        return reader(**overrides)  # type: ignore[no-any-return]
    except ValidationError as error:
        findings = [(_variable(e["loc"]), e) for e in error.errors(include_url=False, include_input=False)]
        problems = "; ".join(_problem(variable, e) for variable, e in findings)
        in_file = there and not all(variable for variable, _ in findings)
        raise ConfigError(problems, file=str(path) if in_file else None) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(error), file=str(path)) from error
    except OSError as error:
        msg = f"settings file cannot be read: {error.strerror}"
        raise ConfigError(msg, file=str(path)) from error


def _keys(model: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    """All keys of a tree of settings, tables included."""
    for name, field in model.model_fields.items():
        yield *above, name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, *above, name)


def _name(key: tuple[str, ...]) -> str:
    return _DATA_FOLDER if key == ("data",) else _PREFIX + "__".join(key).upper()


def _variable(loc: tuple[int | str, ...]) -> str | None:
    """The environment variable that a finding is about, or the one of the table or list around it, if set."""
    keys = tuple(map(str, loc))
    names = [_name(keys[:end]) for end in range(len(keys), 0, -1)]
    return next((v for name in names for v in os.environ if v.upper() == name), None)


def _check_variables() -> None:
    """Refuse a misspelt variable; others of the prefix (the tests have some) are let be."""
    keys = list(_keys(Settings))
    tables = {key[:-1] for key in keys}
    names = {_name(key).removeprefix(_PREFIX) for key in keys}
    named = tuple(f"{name.upper()}__" for name, f in Settings.model_fields.items() if _is_dict(f))
    single = [_name(key).removeprefix(_PREFIX) for key in keys if key not in tables]
    for variable in os.environ:
        name = variable.upper()
        if not name.startswith(_PREFIX) or name == _RECORDINGS:
            continue
        name = name.removeprefix(_PREFIX)
        near = difflib.get_close_matches(name, single, n=1, cutoff=0.85)
        if name not in names and not name.startswith(named) and near:
            msg = f"unknown variable {variable} (did you mean {_PREFIX}{near[0]}?)"
            raise ConfigError(msg, variable=variable)


def _is_dict(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is dict


def _model_at(loc: tuple[str, ...]) -> type[BaseModel] | None:
    """The table at a place of the tree; also one of a dictionary of tables."""
    model: type[BaseModel] = Settings
    within: Any = model
    for name in loc:
        if get_origin(within) is dict:
            within = get_args(within)[1]
        elif name in model.model_fields:
            within = model.model_fields[name].annotation
        else:
            return None
        if isinstance(within, type) and issubclass(within, BaseModel):
            model = within
    return model if within is model else None


def _described(loc: tuple[str, ...]) -> str | None:
    """What a key's description says it must be; of a list's entry, the list's."""
    for end in (len(loc), len(loc) - 1):
        model = _model_at(loc[: end - 1]) if end else None
        if model is not None and loc[end - 1] in model.model_fields:
            return model.model_fields[loc[end - 1]].description
    return None


def _problem(variable: str | None, finding: ErrorDetails) -> str:
    """What is wrong with which key, in one clause; never the value, which may be secret or a number."""
    loc = tuple(map(str, finding["loc"]))
    reason = finding["msg"].removeprefix("Value error, ")
    if finding["type"] == "string_pattern_mismatch":
        named = loc[-1] == "[key]"
        said = "a name of up to 32 of the characters a-z 0-9 -" if named else _described(loc)
        reason = f"must be {said.split(': ')[-1]}" if said else reason
        loc = loc[:-1] if named else loc
    if finding["type"] == "extra_forbidden":
        model = _model_at(loc[:-1])
        siblings = [] if model is None else list(model.model_fields)
        near = difflib.get_close_matches(loc[-1], siblings, n=1, cutoff=0.5)
        reason = f"unknown key (did you mean {near[0]!r}?)" if near else f"unknown key (known: {siblings})"
    return f"{variable or '.'.join(loc) or 'settings'}: {reason}"
