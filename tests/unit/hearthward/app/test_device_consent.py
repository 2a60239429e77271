"""``hearthward devices consent``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from devices.consents import NO_USER, Consent, Consents
from hearthward.app.cli import main

ADDRESS = "C0:12:34:56:78:9A"


def give(tmp_path: Path, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["--data", str(tmp_path), "devices", "consent", *words], input=typed)


async def kept(tmp_path: Path) -> Consent | None:
    return await Consents(tmp_path / "edge" / "consents.json").of(ADDRESS)


def test_what_is_not_given_is_asked_for_and_the_code_is_not_repeated(tmp_path: Path):
    result = give(tmp_path, ADDRESS, "--user", "2", typed="12345\n1234\n")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == f"{ADDRESS}: the consent of user 2 is kept"


@pytest.mark.parametrize(
    ("words", "consent"),
    [
        (("--user", "1", "--code", "0042"), Consent(1, 42)),
        (("--none",), Consent(NO_USER)),
    ],
    ids=["a user", "nobody"],
)
async def test_it_is_kept_where_the_gateway_looks_for_it(
    tmp_path: Path, words: tuple[str, ...], consent: Consent
):
    result = await asyncio.to_thread(give, tmp_path, ADDRESS, *words)
    assert result.exit_code == 0, result.output
    assert await kept(tmp_path) == consent


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("/dev/ttyUSB0", "--none"), "is no Bluetooth address"),
        ((ADDRESS, "--none", "--user", "1"), "or --none, not both"),
        ((ADDRESS, "--user", "255", "--code", "1"), "0<=x<=254"),
        ((ADDRESS, "--user", "1", "--code", "10000"), "0<=x<=9999"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_kept(tmp_path: Path, words: tuple[str, ...], message: str):
    result = give(tmp_path, *words)
    assert result.exit_code != 0
    assert message in result.output
    assert not (tmp_path / "edge").exists()
