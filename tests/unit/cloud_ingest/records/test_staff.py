from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from cloud_ingest.records import Proofs, Records
from cloud_ingest.records.contacts import check_email, check_phone
from cloud_ingest.records.models import PushSubscription, Team, TeamMember, User
from cloud_ingest.records.staff import MOST_BROWSERS, channels_of, check_endpoint
from cloud_ingest.records.users import FIRST_WAIT_S, FREE_FAILURES
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import AccessError, ConfigError
from hearthward.trust.access import Scope
from hearthward.trust.passwords import Passwords
from tests.unit.cloud_ingest.records.conftest import START, SYSTEM

W1 = Scope("main", frozenset({"w1"}))
ALL = ("in_app", "sms", "voice", "email", "push")
ENDPOINT = "https://push.example.org/send/abc"
KEYS = {
    "p256dh": base64.urlsafe_b64encode(b"\x04" + bytes(64)).decode().rstrip("="),
    "auth": base64.urlsafe_b64encode(bytes(16)).decode().rstrip("="),
}

pytestmark = pytest.mark.usefixtures("staffed")


@pytest.fixture
def proofs(records: Records) -> Proofs:
    return Proofs(records, Passwords.cheap())


def code_of(do: Callable[[], object]) -> tuple[object, object]:
    with pytest.raises(ConfigError) as caught:
        do()
    return caught.value.details["field"], caught.value.details.get("code", caught.value.details["reason"])


def contacts(records: Records, user: str, **values: Any) -> User:
    made = {"phone": None, "email": None, **values}
    return records.run_now(lambda s: records.staff(s).set_contacts(SYSTEM, user, **made))


# -- contacts


def test_contacts_and_the_channels_that_they_open(records: Records) -> None:
    row = contacts(records, "nora", phone="+49 (30) 901-820", email=" nora@ward.example ")
    assert (row.phone, row.email) == ("+4930901820", "nora@ward.example")
    assert channels_of(row, ALL, push=False) == ("in_app", "sms", "voice", "email")
    assert channels_of(row, ("voice", "in_app"), push=True) == ("voice", "in_app")
    row = contacts(records, "nora")
    assert (row.phone, row.email) == (None, None)
    assert channels_of(row, ALL, push=True) == ("in_app", "push")


@pytest.mark.parametrize("phone", ["0301234567", "+0301234567", "+49", "+49x301234567", "+" + "1" * 16])
def test_what_is_no_number(phone: str) -> None:
    assert code_of(lambda: check_phone(phone)) == ("phone", "phone")


@pytest.mark.parametrize(
    "email", ["nora", "nora@ward", "a b@c.de", "<a@b.de>", "a@b.de, c@d.de", "a@-.x\n.de"]
)
def test_what_is_no_address(email: str) -> None:
    assert code_of(lambda: check_email(email)) == ("email", "email")


def test_only_who_works_here_and_only_for_the_whole_house(records: Records) -> None:
    assert code_of(lambda: contacts(records, "ada", phone="+4930901820")) == ("user", "unknown")
    assert code_of(lambda: contacts(records, "wall")) == ("user", "unknown")
    with pytest.raises(AccessError, match="whole organisation"):
        records.run_now(lambda s: records.staff(s).set_contacts(W1, "nora", phone=None, email=None))


def test_the_staff_of_a_ward(records: Records) -> None:
    def names(scope: Scope, ward: str | None = None) -> list[str]:
        return records.read_now(lambda s: [u.id for u in records.staff(s).list(scope, ward=ward)])

    assert names(SYSTEM) == ["dora", "emil", "nick", "nora", "wanda"]
    assert names(W1) == names(SYSTEM, "w1") == ["dora", "emil", "nick", "nora"]
    assert names(W1, "w2") == ["dora", "emil"]
    assert names(Scope("main", None, "p1")) == names(Scope.system("other")) == []
    records.run_now(lambda s: records.users(s).disable(SYSTEM, "nick"))
    assert "nick" not in names(W1)


# -- PIN and badge


async def test_a_pin_says_who_it_is(proofs: Proofs, records: Records) -> None:
    await proofs.set_pin(SYSTEM, "nora", "2580")
    assert (await proofs.by_pin(SYSTEM, " NORA", "2580")).user == "nora"
    assert (await proofs.confirm_pin(SYSTEM, "nora", "2580")).user == "nora"
    kept = await records.read(lambda s: s.get_one(User, ("main", "nora")).pin_hash)
    assert kept is not None
    assert kept.startswith("$argon2id$")
    await proofs.set_pin(SYSTEM, "nora", None)
    with pytest.raises(AccessError, match="PIN is wrong"):
        await proofs.by_pin(SYSTEM, "nora", "2580")


@pytest.mark.parametrize(
    ("pin", "code"),
    [("123", "digits"), ("123456789", "digits"), ("12a4", "digits"), ("1111", "simple"), ("4321", "simple")],
)
async def test_what_is_no_pin(proofs: Proofs, pin: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await proofs.set_pin(SYSTEM, "nora", pin)
    assert (caught.value.details["field"], caught.value.details["code"]) == ("pin", code)


@pytest.mark.parametrize("who", ["nora", "nick", "nobody"])
async def test_guessing_pins_has_to_wait_whether_or_not_there_is_one(
    proofs: Proofs, clock: EventClock, who: str
) -> None:
    await proofs.set_pin(SYSTEM, "nora", "2580")
    for _ in range(FREE_FAILURES + 1):
        with pytest.raises(AccessError) as caught:
            await proofs.by_pin(SYSTEM, who, "2581")
        assert caught.value.details["reason"] == "credentials"
    with pytest.raises(AccessError) as caught:
        await proofs.by_pin(SYSTEM, who, "2580")
    assert (caught.value.details["reason"], caught.value.details["wait_s"]) == ("throttled", FIRST_WAIT_S)
    clock.follow(START + (FIRST_WAIT_S + 1) * SECOND)
    if who == "nora":
        assert (await proofs.by_pin(SYSTEM, who, "2580")).user == "nora"


async def test_guessing_pins_locks_no_password(proofs: Proofs, records: Records) -> None:
    for _ in range(FREE_FAILURES + 2):
        with pytest.raises(AccessError):
            await proofs.by_pin(SYSTEM, "nora", "2581")
    assert await records.run(lambda s: records.users(s).begin_login(SYSTEM, "nora"))


async def test_a_badge_says_who_it_is_however_the_reader_writes_it(proofs: Proofs, records: Records) -> None:
    await proofs.set_badge(SYSTEM, "nora", "04:a2:6f:1b")
    for read in ("04A26F1B", "04-a2-6f-1b", " 04 A2 6F 1B\n"):
        assert (await proofs.by_badge(SYSTEM, read, wall="wall")).user == "nora"
    kept = await records.read(lambda s: s.get_one(User, ("main", "nora")).badge_hash)
    assert kept is not None
    assert len(kept) == 64
    assert "04A26F1B" not in kept.upper()
    with pytest.raises(AccessError, match="not known"):
        await proofs.by_badge(Scope.system("other"), "04A26F1B")


async def test_a_badge_has_one_owner(proofs: Proofs) -> None:
    await proofs.set_badge(SYSTEM, "nora", "04A26F1B")
    await proofs.set_badge(SYSTEM, "nora", "04A26F1B")
    with pytest.raises(ConfigError, match="belongs to Nora"):
        await proofs.set_badge(SYSTEM, "nick", "04a26f1b")
    await proofs.set_badge(SYSTEM, "nora", None)
    await proofs.set_badge(SYSTEM, "nick", "04a26f1b")
    assert (await proofs.by_badge(SYSTEM, "04A26F1B")).user == "nick"
    with pytest.raises(ConfigError) as caught:
        await proofs.set_badge(SYSTEM, "nora", "::")
    assert caught.value.details["code"] == "badge"


async def test_disabled_people_prove_nothing(proofs: Proofs, records: Records) -> None:
    await proofs.set_badge(SYSTEM, "nora", "04A26F1B")
    await proofs.set_pin(SYSTEM, "nora", "2580")
    await records.run(lambda s: records.users(s).disable(SYSTEM, "nora"))
    with pytest.raises(AccessError, match="not known"):
        await proofs.by_badge(SYSTEM, "04A26F1B")
    with pytest.raises(AccessError, match="PIN is wrong"):
        await proofs.by_pin(SYSTEM, "nora", "2580")
    assert await proofs.present(SYSTEM, "nora") is None
    nick = await proofs.present(SYSTEM, "nick")
    assert nick is not None
    assert (nick.user, nick.wards) == ("nick", frozenset({"w1"}))
    assert await proofs.present(SYSTEM, "wall") is await proofs.present(SYSTEM, "nobody") is None


async def test_guessing_badges_has_to_wait_at_that_wall(
    proofs: Proofs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.records.proofs.FREE_BADGES", 2)
    await proofs.set_badge(SYSTEM, "nora", "04A26F1B")
    for _ in range(3):
        with pytest.raises(AccessError, match="not known"):
            await proofs.by_badge(SYSTEM, "?", wall="wall")
    with pytest.raises(AccessError, match="try again"):
        await proofs.by_badge(SYSTEM, "04A26F1B", wall="wall")
    assert (await proofs.by_badge(SYSTEM, "04A26F1B", wall="other")).user == "nora"


# -- browsers


def test_a_browser_belongs_to_who_subscribed_it_last(records: Records) -> None:
    def add(user: str, **keys: str) -> PushSubscription:
        return records.run_now(
            lambda s: records.push(s).add(SYSTEM, user, endpoint=ENDPOINT, keys={**KEYS, **keys})
        )

    def known(user: str) -> list[str]:
        return records.read_now(lambda s: [p.id for p in records.push(s).list(SYSTEM, user)])

    first = add("nora")
    assert add("nora").id == first.id
    second = add("nick")
    assert (known("nora"), known("nick")) == ([], [second.id])
    with pytest.raises(ConfigError, match="no subscription"):
        records.run_now(lambda s: records.push(s).end(SYSTEM, "nora", second.id))
    records.run_now(lambda s: records.push(s).end(SYSTEM, "nick", second.id))
    assert known("nick") == []
    add("nora")
    assert records.run_now(lambda s: records.push(s).gone(SYSTEM, ENDPOINT))
    assert not records.run_now(lambda s: records.push(s).gone(SYSTEM, ENDPOINT))
    assert known("nora") == []
    assert code_of(lambda: add("nora", auth="short")) == ("keys", "keys")
    assert code_of(lambda: add("nora", p256dh="***")) == ("keys", "keys")


def test_so_many_browsers_of_one_user_and_the_oldest_goes(records: Records, clock: EventClock) -> None:
    def add(user: str, number: int) -> None:
        clock.follow(START + number)
        records.run_now(
            lambda s: records.push(s).add(SYSTEM, user, endpoint=f"{ENDPOINT}{number}", keys=KEYS)
        )

    def known(user: str) -> list[str]:
        return records.read_now(lambda s: [p.endpoint for p in records.push(s).list(SYSTEM, user)])

    add("nick", 0)
    for number in range(1, MOST_BROWSERS + 3):
        add("nora", number)
    assert known("nora") == [f"{ENDPOINT}{n}" for n in range(3, MOST_BROWSERS + 3)]
    add("nora", MOST_BROWSERS)
    assert len(known("nora")) == MOST_BROWSERS, "known already"
    assert known("nick") == [f"{ENDPOINT}0"], "another's stay"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.org/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://localhost/x",
        "https://user@push.example.org/x",
        "https://push.example.org:8443/x",
        "https://[push/x",
        "https://push.example.org/" + "x" * 1000,
        "file:///etc/passwd",
    ],
)
def test_what_is_no_push_service(endpoint: str) -> None:
    assert code_of(lambda: check_endpoint(endpoint)) == ("endpoint", "endpoint")


# -- teams


def test_a_team_and_its_members(records: Records, clock: EventClock) -> None:
    def do(fn: Callable[[Any], Any]) -> Any:
        return records.run_now(lambda s: fn(records.teams(s)))

    team: Team = do(lambda t: t.create(SYSTEM, name="Early", ward="w1", members=["nora", "dora"]))
    assert do(lambda t: t.members(SYSTEM)) == {team.id: ["dora", "nora"]}
    clock.follow(START + 10)
    do(lambda t: t.change(SYSTEM, team.id, members=["nick", "nora"]))
    do(lambda t: t.change(SYSTEM, team.id, members=["nora"]))
    do(lambda t: t.change(SYSTEM, team.id, members=["nora", "nick"], name="Early 1"))
    assert do(lambda t: t.members(SYSTEM)) == {team.id: ["nora", "nick"]}
    history = records.read_now(lambda s: s.query(TeamMember).order_by(TeamMember.user).all())
    assert [(r.user, r.start - START, r.end) for r in history] == [
        ("dora", 0, START + 10),
        ("nick", 10, None),
        ("nora", 0, None),
    ]
    assert code_of(lambda: do(lambda t: t.change(SYSTEM, team.id, members=["wanda"]))) == ("members", "ward")
    assert code_of(lambda: do(lambda t: t.change(SYSTEM, team.id, ward="w2"))) == ("members", "ward")
    assert code_of(lambda: do(lambda t: t.create(SYSTEM, name="Early 1"))) == ("name", "taken")
    do(lambda t: t.end(SYSTEM, team.id))
    assert do(lambda t: t.list(SYSTEM)) == []
    assert code_of(lambda: do(lambda t: t.change(SYSTEM, team.id, name="x"))) == ("team", "ended")
    assert do(lambda t: t.create(SYSTEM, name="Early 1")).id != team.id


def test_teams_within_a_scope(records: Records) -> None:
    def do(fn: Callable[[Any], Any]) -> Any:
        return records.run_now(lambda s: fn(records.teams(s)))

    for ward in ("w1", "w2", None):
        do(lambda t, ward=ward: t.create(SYSTEM, name=f"T {ward}", ward=ward))
    seen = do(lambda t: t.list(W1))
    assert [t.name for t in seen] == ["T None", "T w1"]
    with pytest.raises(AccessError, match="whole organisation"):
        do(lambda t: t.end(W1, seen[0].id))
    with pytest.raises(AccessError, match="whole organisation"):
        do(lambda t: t.create(W1, name="x"))
    assert do(lambda t: t.list(Scope("main", None, "p1"))) == []
