"""A line that a person types: from a terminal, a pipe, a file, nobody; for no longer than it is wanted."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from hearthward.app.device_pair import ask_for_digits, six_digits
from hearthward.app.typed_line import typed_line
from hearthward.core.errors import ConfigError

Keys = Callable[[bytes], None]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Types at a terminal that is this process's input."""
    master, slave = os.openpty()
    terminal: IO[str] = os.fdopen(slave, "r")
    monkeypatch.setattr("sys.stdin", terminal)
    yield lambda text: _write(master, text)
    terminal.close()
    os.close(master)


def _write(number: int, text: bytes) -> None:
    assert os.write(number, text) == len(text)


async def test_a_line_is_what_was_typed_before_enter(keys: Keys, capsys: pytest.CaptureFixture[str]):
    asking = asyncio.create_task(typed_line("How much? "))
    await asyncio.sleep(0)
    keys(b"42")
    await asyncio.sleep(0.02)
    assert not asking.done()
    keys(b"\x7f3\n")
    async with asyncio.timeout(5):
        assert await asking == "43"
    assert capsys.readouterr() == ("", "How much? ")


async def test_ctrl_d_is_no_answer(keys: Keys):
    keys(b"\x04")
    async with asyncio.timeout(5):
        assert await typed_line("? ") is None


def test_a_question_that_is_given_up_leaves_nothing_waiting(keys: Keys):
    async def ask() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await typed_line("? ")
        keys(b"late\nand later\n")
        async with asyncio.timeout(5):
            assert await typed_line("? ") == "late"

    begun = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - begun < 5


async def test_a_pipe_may_give_it_in_parts_and_end_without_a_newline(monkeypatch: pytest.MonkeyPatch):
    there, here = os.pipe()
    with os.fdopen(there, "r") as pipe:
        monkeypatch.setattr("sys.stdin", pipe)
        asking = asyncio.create_task(typed_line("? "))
        for part in (b"12", b"34"):
            os.write(here, part)
            await asyncio.sleep(0.01)
        os.close(here)
        async with asyncio.timeout(5):
            assert await asking == "1234"
            assert await typed_line("? ") is None


async def test_a_file_and_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "said").write_text("one\ntwo\n")
    with (tmp_path / "said").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert [await typed_line("? ") for _ in range(3)] == ["one", "two", None]
    assert await typed_line("? ") is None  # closed
    monkeypatch.setattr("sys.stdin", None)
    assert await typed_line("? ") is None


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("123456", 123456),
        (" 012 345 ", 12345),
        ("000000", 0),
        *((none, None) for none in ("12345", "1234567", "", "12345a", "-12345", "\u0661" * 6)),
    ],
    ids=["six", "blanks", "zero", "five", "seven", "none", "letter", "sign", "other digits"],
)
def test_a_passkey_has_six_digits(text: str, digits: int | None):
    assert six_digits(text) == digits


async def test_what_is_mistyped_is_asked_for_again(keys: Keys, capsys: pytest.CaptureFixture[str]):
    asking = asyncio.create_task(ask_for_digits(None)())
    for typed in (b"12345\n", b"000 000\n"):
        await asyncio.sleep(0.02)
        keys(typed)
    async with asyncio.timeout(5):
        assert await asking == 0
    assert "not six digits" in capsys.readouterr().err


async def test_digits_that_were_given_are_not_asked_for():
    assert await ask_for_digits("004711")() == 4711
    with pytest.raises(ConfigError, match="six digits"):
        ask_for_digits("123")
