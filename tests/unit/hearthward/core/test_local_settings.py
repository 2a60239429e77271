from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hearthward.core.local_settings import LocalSettings

SAFE: dict[str, Any] = {
    "page_host": "0.0.0.0",  # noqa: S104 - what is refused otherwise
    "page_tls_certificate": Path("c.pem"),
    "page_tls_key": Path("k.pem"),
    "page_code": "a long code",
}


def test_by_default_alarms_are_told_here_while_the_hospital_is_not_reached():
    settings = LocalSettings()
    assert (settings.annunciation, settings.page_host, settings.page_port) == ("offline", "127.0.0.1", None)


@pytest.mark.parametrize("missing", ["page_tls_certificate", "page_tls_key", "page_code"])
def test_a_page_that_other_machines_reach_needs_tls_and_a_code(missing: str):
    LocalSettings(**SAFE)
    with pytest.raises(ValidationError, match="without TLS and a code is refused"):
        LocalSettings(**{**SAFE, missing: None})


def test_a_code_is_long_enough():
    with pytest.raises(ValidationError, match="fewer than 8"):
        LocalSettings(page_code="short")  # type: ignore[arg-type]
