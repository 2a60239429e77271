from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hearthward.core.errors import ConfigError
from hearthward.core.settings import load_settings
from hearthward.core.store_settings import StoreSettings

VICTORIA: dict[str, Any] = {"kind": "victoriametrics", "url": "http://127.0.0.1:8428"}
INFLUX: dict[str, Any] = {
    "kind": "influxdb2",
    "url": "https://i.example.org",
    "token": "s3cret",
    "org": "ward",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith("HEARTHWARD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def load(**store: Any) -> StoreSettings:
    return load_settings(cloud={"store": store}).cloud.store


def refused(**store: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**store)
    return str(caught.value)


def test_readings_stay_in_a_file_unless_set_otherwise():
    assert load().kind == "sqlite"
    assert not load().server


def test_a_server_is_chosen_by_file_or_variable(monkeypatch: pytest.MonkeyPatch):
    assert load(**VICTORIA).server
    assert load(**INFLUX).server
    monkeypatch.setenv("HEARTHWARD_CLOUD__STORE__KIND", "victoriametrics")
    monkeypatch.setenv("HEARTHWARD_CLOUD__STORE__URL", "https://metrics.example.org:8428/path")
    assert load_settings().cloud.store.url == "https://metrics.example.org:8428/path"


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ({"kind": "victoriametrics"}, "needs url"),
        ({"url": "http://127.0.0.1:8428"}, "kind is sqlite"),
        ({**INFLUX, "token": None}, "needs token and org"),
        ({**INFLUX, "token": ""}, "needs token and org"),
        ({**INFLUX, "org": ""}, "needs token and org"),
        ({**VICTORIA, "url": "http://10.0.0.5:8428"}, "allow_plain"),
        ({**VICTORIA, "url": "ftp://127.0.0.1"}, "must be an address"),
        ({**VICTORIA, "url": "ftp://127.0.0.1", "allow_plain": True}, "must be an address"),
        ({**VICTORIA, "url": "https://me:s3cret@example.org"}, "belongs into token"),
        ({**VICTORIA, "kind": "influx"}, "kind"),
        ({**VICTORIA, "safety_s": 1}, "safety_s"),
        ({**VICTORIA, "spool_bytes": 1}, "spool_bytes"),
        ({**VICTORIA, "bukket": "x"}, "did you mean 'bucket'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_key_and_without_secrets(store: dict[str, Any], said: str):
    text = refused(**store)
    assert said in text
    assert "cloud.store" in text
    assert "s3cret" not in text


def test_plain_http_is_a_decision():
    assert load(**{**VICTORIA, "url": "http://10.0.0.5:8428", "allow_plain": True}).server


def test_the_token_is_not_shown():
    assert "s3cret" not in repr(load(**INFLUX))
