"""What each listener's queue holds, and how a slow or returning one goes on."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.live.channel import RING, Channel, Subscription, members
from hearthward.trust.access import Role, Scope, scope_of
from tests.unit.dashboards.followed import follow, parse, sample
from tests.unit.dashboards.webworld import reading, seeded, world


def test_a_slow_client_is_told_to_fetch_again_and_costs_bounded_memory():
    client = Subscription()
    taken = [client.put(b"x") for _ in range(10_000)]
    assert client.queue.qsize() == 1
    assert not all(taken)
    assert parse(client.queue.get_nowait())[0] == "refetch"


async def test_a_slow_client_goes_on_after_its_refetch():
    client = Subscription()
    while client.put(b"x"):
        pass
    assert parse(await client.get())[0] == "refetch"
    assert client.put(b"y")
    assert await client.get() == b"y"


def test_the_end_reaches_even_a_full_client():
    client = Subscription()
    while client.put(b"x"):
        pass
    assert client.put(None)
    assert client.queue.get_nowait() is None or client.queue.get_nowait() is None


async def test_all_that_waits_travels_as_one_piece_and_then_the_end():
    client = Subscription()
    for message in (b"a", b"b", b"c", None):
        client.put(message)
    assert await client.get() == b"abc"
    assert await client.get() is None


async def test_who_comes_costs_those_who_are_there_nothing():
    async with world() as made:
        hub = await seeded(made)
        scope = Scope.system("main")
        queue = await follow(hub, scope)
        (there,) = hub._channel(scope).clients
        others = [await follow(hub, scope) for _ in range(3)]
        assert there.queue.empty()
        assert queue.empty()
        hub.close()
        for reader in (queue, *others):
            await reader.task  # type: ignore[attr-defined]


async def test_a_tile_is_encoded_once_for_all_scopes_that_see_it(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        hub = await seeded(made)
        scopes = [Scope.system("main"), scope_of(made.principal(Role.NURSE, wards="A"))]
        for scope in scopes:
            hub.snapshot(scope)
        encoded: list[str] = []
        real = hub._board.tile

        def tile(patient: str) -> dict[str, Any]:
            encoded.append(patient)
            return real(patient)

        monkeypatch.setattr(hub._board, "tile", tile)
        made.clock.advance(1)
        made.backend.put_readings("main", [reading("main-oxi-A", "spo2", 90, made.clock.now_ns())])
        before = [hub._channel(scope).seq for scope in scopes]
        hub._dirty = {made.ids["main", "patientA"]}
        hub._board.take([sample(device="main-oxi-A", value=90, at=made.clock.now_ns())])
        hub._send()
        assert [hub._channel(scope).seq for scope in scopes] == [n + 1 for n in before]
        assert encoded == [made.ids["main", "patientA"]]


def test_replay_gives_exactly_what_was_missed_or_says_that_it_cannot():
    channel = Channel(Scope.system("main"), "boot-a")
    for n in range(5):
        channel.publish("patch", members({"n": n}))
    assert [parse(m)[1]["n"] for m in channel.since("boot-a-3") or []] == [3, 4]
    assert channel.since("boot-a-5") == []
    assert channel.since("boot-b-3") is None, "another server"
    assert channel.since("boot-a-9") is None, "from the future"
    assert channel.since("nonsense") is None
    for n in range(RING):
        channel.publish("patch", members({"n": n}))
    assert channel.since("boot-a-3") is None, "older than the ring"
