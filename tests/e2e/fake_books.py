"""What the fake ward has refused and lost: dead letters and a loss ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_ingest.balance import Book
from cloud_ingest.loss_ledger import Count, hour_of
from dashboards.dead_letter_models import DeadLetterDetail

if TYPE_CHECKING:
    from tests.e2e.fake_ward import Ward

S = 1_000_000_000


def furnish(ward: Ward) -> None:
    """Three letters, and books of which three readings are missing."""
    backend, now = ward.backend, ward.clock.now_ns()
    for n, reason in enumerate(("malformed", "unknown_device", "malformed"), 1):
        letter = DeadLetterDetail(
            id=f"{n}",
            at=now - n * 600 * S,
            gateway="gw-1",
            boot="b1",
            reason=reason,
            detail="block 3 ends after 17 of 40 bytes",
            size=412,
        )
        backend.put_dead_letter("main", letter)
    book = Book("gw-1", "b1", accepted=4000, settled=3990, told=now - S, heard=now - S)
    book.committed.add(1, 3987)
    kinds = (("read", 4020), ("rejected:truncated", 20), ("accepted", 4000), ("stored", 3987), ("late", 12))
    counts = [Count("gw-1", "b1", "heart-1", hour_of(now), kind, n) for kind, n in kinds]
    backend.put_ledger("main", book, counts)
