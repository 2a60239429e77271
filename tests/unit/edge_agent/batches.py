"""Readings for the outbox's tests."""

from __future__ import annotations

import random

from hearthward.core.model import Reading, ReadingBatch


def make_batch(first_digest: int, n: int, *, fat: bool = False) -> ReadingBatch:
    """``n`` readings that their digests identify; ``fat`` ones fill a small outbox quickly."""
    rng = random.Random(first_digest)
    return ReadingBatch.of(
        Reading(
            device=f"dev-{first_digest % 3}",
            metric="spo2",
            value=float(rng.randrange(70, 101)),
            code=f"{rng.getrandbits(800):0200x}" if fat else None,
            device_time=None,
            received=10**18 + k,
            corrected=10**18 + k,
            digest=first_digest + k,
            profile="0123456789abcdef",
        )
        for k in range(n)
    )
