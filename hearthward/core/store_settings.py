"""Where readings are kept: in a file of ours, or in a time-series server behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from hearthward.core.addresses import check_https
from hearthward.core.channel_settings import Part

__all__ = ["StoreSettings"]


class StoreSettings(Part):
    """The time-series store. A server gets what the file has accepted; the file keeps the newest days."""

    kind: Literal["sqlite", "victoriametrics", "influxdb2"] = "sqlite"
    url: str | None = Field(None, description="the server's, such as https://metrics.example.org:8428")
    token: SecretStr | None = Field(None, description="InfluxDB's API token, or a bearer token for a proxy")
    org: str = Field("", max_length=128, description="InfluxDB's organisation")
    bucket: str = Field("hearthward", min_length=1, max_length=128, description="InfluxDB's bucket")
    ca: Path | None = Field(None, description="certificates to trust instead of the system's, in PEM")
    allow_plain: bool = Field(default=False, description="let readings cross a network without TLS")
    timeout_s: float = Field(10.0, gt=0, le=300)
    batch: int = Field(5_000, ge=1, le=100_000, description="readings sent at once")
    safety_s: float = Field(
        60.0, ge=20, le=3600, description="what the server still has after so long is on its disk"
    )
    kept_days: float = Field(7.0, ge=1, le=3650, description="the file keeps readings for so long")
    spool_bytes: int = Field(4 << 30, ge=64 << 20, description="the file's size at most")

    @property
    def server(self) -> bool:
        """Whether there is a server."""
        return self.kind != "sqlite"

    @model_validator(mode="after")
    def _whole(self) -> StoreSettings:
        if not self.server:
            if self.url is not None:
                msg = "url is set, but kind is sqlite: set kind to victoriametrics or influxdb2"
                raise ValueError(msg)
            return self
        if self.url is None:
            msg = f"kind {self.kind} needs url"
            raise ValueError(msg)
        if self.kind == "influxdb2" and not (self.token and self.token.get_secret_value() and self.org):
            msg = "kind influxdb2 needs token and org"
            raise ValueError(msg)
        _check_url(self.url, plain=self.allow_plain)
        return self


def _check_url(url: str, *, plain: bool) -> None:
    """Raises ValueError that does not show it."""
    shown = url.replace("http://", "https://", 1) if plain else url
    try:
        check_https(shown)
    except ValueError as error:
        msg = f"url {error}" + ("" if plain else "; or set allow_plain where the network is your own")
        raise ValueError(msg) from None
    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment:
        msg = "url must be an address only: a secret belongs into token"
        raise ValueError(msg)
