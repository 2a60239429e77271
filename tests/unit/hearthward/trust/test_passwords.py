from __future__ import annotations

import random
import re

import pytest

from hearthward.core.errors import ConfigError
from hearthward.trust.passwords import Passwords, check_password, readable_password

RIGHT = "correct horse battery"


def test_only_the_right_password_verifies() -> None:
    passwords = Passwords.cheap()
    hashed = passwords.hash(RIGHT)
    assert hashed.startswith("$argon2id$")
    assert RIGHT not in hashed
    assert passwords.verify(hashed, RIGHT)
    assert not passwords.verify(hashed, RIGHT + " ")
    assert not passwords.verify(hashed, "")


def test_the_same_password_never_hashes_alike() -> None:
    passwords = Passwords.cheap()
    assert passwords.hash(RIGHT) != passwords.hash(RIGHT)


def test_an_unknown_user_costs_a_verification_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords.cheap()
    seen: list[str] = []
    real = passwords._hasher.verify

    class Spy:
        def __getattr__(self, name: str) -> object:
            return getattr(real.__self__, name)

        def verify(self, hashed: str, password: str) -> bool:
            seen.append(hashed)
            return real(hashed, password)

    monkeypatch.setattr(passwords, "_hasher", Spy())
    assert not passwords.verify(None, RIGHT)
    assert len(seen) == 1


@pytest.mark.parametrize("damaged", ["", "x", "$argon2id$v=19$m=8,t=1,p=1$AAAA"])
def test_a_damaged_hash_lets_nobody_in(damaged: str) -> None:
    assert not Passwords.cheap().verify(damaged, RIGHT)


def test_a_hash_of_other_cost_is_outdated() -> None:
    old = Passwords.cheap()
    assert not old.outdated(old.hash(RIGHT))
    assert Passwords(memory_kib=16, passes=2).outdated(old.hash(RIGHT))


@pytest.mark.parametrize(("password", "word"), [("short", "at least"), ("x" * 257, "at most")])
def test_lengths_are_refused_with_the_limit(password: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        check_password(password)


def test_readable_passwords_are_readable_distinct_and_long_enough() -> None:
    made = {readable_password() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"([a-z]{5}-){3}[a-z]{5}", p) for p in made)
    assert readable_password(random.Random(1).choice) == readable_password(random.Random(1).choice)
    check_password(made.pop())
