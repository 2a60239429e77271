"""Settings of what a gateway itself tells people."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from hearthward.core.addresses import is_loopback
from hearthward.core.channel_settings import Part

__all__ = ["LocalSettings"]

CODE_LENGTH = 8
"""The page's code has at least so many characters."""


class LocalSettings(Part):
    """When alarms are told at the gateway, and by what."""

    annunciation: Literal["always", "offline", "never"] = Field(
        "offline",
        description="when alarms are told at the gateway: offline is while the hospital is not reached",
    )
    console: bool | None = Field(
        None, description="alarms as lines on the console; unless set, where `hearthward edge` has a terminal"
    )
    language: Literal["en", "zh"] = Field("en", description="of the console")
    page_host: str = "127.0.0.1"
    page_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="of the gateway's own page; 0: none (unset: 8081 in `hearthward edge`)",
    )
    page_tls_certificate: Path | None = None
    page_tls_key: Path | None = None
    page_code: SecretStr | None = Field(
        None, description="what the page asks for where other machines can reach it, at least 8 characters"
    )

    @model_validator(mode="after")
    def _page_beyond_loopback(self) -> LocalSettings:
        code = "" if self.page_code is None else self.page_code.get_secret_value()
        if self.page_code is not None and len(code) < CODE_LENGTH:
            msg = f"page_code has fewer than {CODE_LENGTH} characters"
            raise ValueError(msg)
        safe = self.page_tls_certificate is not None and self.page_tls_key is not None and code
        if not is_loopback(self.page_host) and not safe:
            msg = (
                f"the gateway's page on {self.page_host} without TLS and a code is refused: set "
                "edge.page_tls_certificate, edge.page_tls_key and edge.page_code, or keep edge.page_host on "
                "127.0.0.1"
            )
            raise ValueError(msg)
        return self
