"""All settings as one tree: ``HEARTHWARD_*`` over ``hearthward.toml`` over the defaults.

Read only in ``hearthward.app`` (wiring); everything else is given what it needs. Clinical limits are not
settings: they are rules. A nested key is written with two underscores: ``HEARTHWARD_WEB__PORT=8080``.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hearthward.core.errors import ConfigError

__all__ = [
    "BrokerSettings",
    "CloudSettings",
    "EdgeSettings",
    "Settings",
    "SmsSettings",
    "WebSettings",
    "is_loopback",
    "load_settings",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WebSettings(_Part):
    """Where the web server listens."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @model_validator(mode="after")
    def _tls_beyond_loopback(self) -> WebSettings:
        if not is_loopback(self.host) and (self.tls_certificate is None or self.tls_key is None):
            msg = (
                f"listening on {self.host} without TLS is refused: set web.tls_certificate and "
                "web.tls_key, or keep web.host on 127.0.0.1 behind a TLS proxy"
            )
            raise ValueError(msg)
        return self


class BrokerSettings(_Part):
    """Which MQTT broker: ``embedded`` starts nats-server as a child; otherwise an ``mqtt://`` URL."""

    url: str = Field("embedded", pattern=r"^(embedded|mqtts?://.+)$")
    port: int = Field(0, ge=0, le=65535, description="the embedded broker's MQTT port; 0 picks one")
    username: str | None = None
    password: SecretStr | None = None


class EdgeSettings(_Part):
    """The gateway."""

    gateway: str = Field("gw-1", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    tenant: str = Field("main", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    radio: str = Field(
        "bluez",
        pattern=r"^(bluez|off|virtual|usb:.*|serial:.+|tcp-client:.+)$",
        description="bluez, off, virtual, or usb:0, serial:/dev/ttyX, tcp-client:HOST:PORT (through bumble)",
    )
    outbox_bytes: int = Field(256 * 1024 * 1024, ge=4 * 1024 * 1024)
    in_flight: int = Field(8, ge=1, le=64, description="frames sent and not yet receipted")
    resend_s: float = Field(5.0, gt=0, description="send again when no receipt came for so long")


class SmsSettings(_Part):
    """SMS by Twilio's API; off unless account and number are set."""

    account_sid: str | None = None
    auth_token: SecretStr | None = None
    from_number: str | None = None
    to_numbers: tuple[str, ...] = ()
    base_url: str | None = Field(None, description="another address with the same API (a stand-in)")

    @property
    def enabled(self) -> bool:
        """Whether everything needed is set."""
        return bool(self.account_sid and self.auth_token and self.from_number and self.to_numbers)


class CloudSettings(_Part):
    """Ingest, rules, notifier."""

    tenant: str = Field("main", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    future_skew_s: float = Field(60.0, gt=0, description="how far ahead a reading's time may be")
    tick_s: float = Field(0.25, gt=0, le=5)
    rules_path: Path | None = Field(None, description="a folder of rules beside the shipped library")
    event_clock: bool = Field(
        default=False, description="take the time from frames that carry a recording's time"
    )


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="HEARTHWARD_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data: Path = Path("hearthward-data")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    web: WebSettings = WebSettings()
    broker: BrokerSettings = BrokerSettings()
    edge: EdgeSettings = EdgeSettings()
    cloud: CloudSettings = CloudSettings()
    sms: SmsSettings = SmsSettings()

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
        del dotenv_settings, file_secret_settings
        toml = settings_cls.model_config.get("toml_file")
        if toml is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Read ``file`` (default ``hearthward.toml`` if it exists) and the environment.

    ``overrides`` win over both. Raises ConfigError naming the key and the reason.
    """
    path = file or Path("hearthward.toml")
    if file is not None and not path.is_file():
        msg = "no such settings file"
        raise ConfigError(msg, file=str(path))
    config = SettingsConfigDict(**Settings.model_config)
    if path.is_file():
        config["toml_file"] = path
    reader = type("Settings", (Settings,), {"model_config": config, "__doc__": Settings.__doc__})
    try:
        return reader(**overrides)  # type: ignore[no-any-return]
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()
        )
        raise ConfigError(problems, file=str(path) if path.is_file() else None) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error), file=str(path)) from error
