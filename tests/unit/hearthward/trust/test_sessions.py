from __future__ import annotations

from hearthward.trust.sessions import expired, hash_token, new_token


def test_a_token_is_kept_only_as_a_hash() -> None:
    token = new_token()
    assert token.hash == hash_token(token.secret)
    assert len(token.hash) == 64
    assert token.secret not in token.hash
    assert token.secret not in repr(token)


def test_tokens_are_long_and_distinct() -> None:
    tokens = {new_token().secret for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(t) >= 43 for t in tokens)


def test_expiry_is_at_its_very_moment_and_never_for_none() -> None:
    assert not expired(100, 99)
    assert expired(100, 100)
    assert not expired(None, 2**62)
