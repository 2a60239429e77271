from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from cloud_ingest.records import Accounts, Records
from cloud_ingest.records.models import OneTimeLink, User, WebSession
from cloud_ingest.records.users import FIRST_WAIT_S, FREE_FAILURES, LONGEST_WAIT_S, Users, principal_of
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import AccessError, ConfigError
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Role, Scope
from hearthward.trust.passwords import Passwords
from hearthward.trust.sessions import LINK_LIFETIME_S, OWN_SESSION_LIFETIME_S, SESSION_LIFETIME_S
from tests.unit.cloud_ingest.records.conftest import START

SYSTEM = Scope.system("main")
OTHER = Scope.system("other")
RIGHT, WRONG, SHORT = "a right password", "a wrong password", "short"

pytestmark = pytest.mark.usefixtures("furnished")


@pytest.fixture
def accounts(records: Records) -> Accounts:
    return Accounts(records, Passwords.cheap())


async def nurse(accounts: Accounts, *, wards: Collection[str] | None = ("w1",)) -> User:
    return await accounts.add(
        SYSTEM, login="Nora", name="Nora N", roles=["nurse"], wards=wards, password=RIGHT
    )


async def test_logging_in_gives_the_principal(accounts: Accounts) -> None:
    user = await nurse(accounts)
    principal = await accounts.authenticate(SYSTEM, "  NORA ", RIGHT)
    assert principal.user == user.id
    assert principal.roles == {Role.NURSE}
    assert principal.wards == {"w1"}
    assert principal.kind == "user"


async def test_the_database_knows_no_password(accounts: Accounts, records: Records) -> None:
    await nurse(accounts)
    stored = await records.read(lambda session: session.query(User).one().password_hash)
    assert stored is not None
    assert stored.startswith("$argon2id$")


@pytest.mark.parametrize("login", ["nora", "nobody"])
async def test_wrong_and_unknown_are_answered_alike(login: str, accounts: Accounts) -> None:
    await nurse(accounts)
    with pytest.raises(AccessError) as caught:
        await accounts.authenticate(SYSTEM, login, WRONG)
    assert caught.value.message == "login or password is wrong"
    assert not caught.value.authenticated


@pytest.mark.parametrize("login", ["nora", "nobody"])
async def test_repeated_failures_have_to_wait(login: str, accounts: Accounts, clock: EventClock) -> None:
    await nurse(accounts)
    for _ in range(FREE_FAILURES + 1):
        with pytest.raises(AccessError, match="is wrong"):
            await accounts.authenticate(SYSTEM, login, WRONG)
    with pytest.raises(AccessError, match="try again in") as caught:
        await accounts.authenticate(SYSTEM, login, RIGHT)
    assert caught.value.details["wait_s"] == FIRST_WAIT_S
    clock.advance(FIRST_WAIT_S)
    if login == "nora":
        await accounts.authenticate(SYSTEM, login, RIGHT)
        with pytest.raises(AccessError, match="is wrong"):
            await accounts.authenticate(SYSTEM, login, WRONG)
    else:
        with pytest.raises(AccessError, match="is wrong"):
            await accounts.authenticate(SYSTEM, login, RIGHT)
        with pytest.raises(AccessError, match="try again in"):
            await accounts.authenticate(SYSTEM, login, RIGHT)


async def test_waits_grow_to_a_limit(accounts: Accounts, clock: EventClock) -> None:
    async def guess() -> AccessError:
        with pytest.raises(AccessError) as caught:
            await accounts.authenticate(SYSTEM, "nobody", WRONG)
        return caught.value

    for _ in range(FREE_FAILURES):
        assert (await guess()).details["reason"] == "credentials"
    waits = []
    for _ in range(10):
        assert (await guess()).details["reason"] == "credentials"
        wait = (await guess()).details["wait_s"]
        assert isinstance(wait, int)
        waits.append(wait)
        clock.advance(wait)
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert waits == sorted(waits)
    assert max(waits) == LONGEST_WAIT_S


async def test_guesses_made_at_once_are_counted(accounts: Accounts) -> None:
    await nurse(accounts)
    tries = await asyncio.gather(
        *(accounts.authenticate(SYSTEM, "nora", f"{WRONG} {n}") for n in range(20)), return_exceptions=True
    )
    assert sum("is wrong" in str(t) for t in tries) == FREE_FAILURES + 1


async def test_a_disabled_user_is_out_at_once(accounts: Accounts, records: Records) -> None:
    user = await nurse(accounts)
    token = await accounts.open_session(await accounts.authenticate(SYSTEM, "nora", RIGHT))
    assert await accounts.principal(SYSTEM, token.secret) is not None
    await records.run(lambda session: records.users(session).disable(SYSTEM, user.id))
    assert await accounts.principal(SYSTEM, token.secret) is None
    with pytest.raises(AccessError, match="is wrong"):
        await accounts.authenticate(SYSTEM, "nora", RIGHT)
    await records.run(lambda session: records.users(session).enable(SYSTEM, user.id))
    await accounts.authenticate(SYSTEM, "nora", RIGHT)


async def test_a_new_password_logs_out_and_lets_in(accounts: Accounts) -> None:
    await nurse(accounts)
    token = await accounts.open_session(await accounts.authenticate(SYSTEM, "nora", RIGHT))
    await accounts.set_password(SYSTEM, "nora", "another password")
    assert await accounts.principal(SYSTEM, token.secret) is None
    with pytest.raises(AccessError):
        await accounts.authenticate(SYSTEM, "nora", RIGHT)
    await accounts.authenticate(SYSTEM, "nora", "another password")


async def test_an_old_hash_is_renewed_at_login(accounts: Accounts, records: Records) -> None:
    await nurse(accounts)
    stronger = Accounts(records, Passwords(memory_kib=16, passes=2))
    await stronger.authenticate(SYSTEM, "nora", RIGHT)
    stored = await records.read(lambda session: session.query(User).one().password_hash)
    assert stored is not None
    assert "m=16,t=2" in stored
    await stronger.authenticate(SYSTEM, "nora", RIGHT)


async def test_a_session_lasts_a_shift_and_knows_its_tenant(accounts: Accounts, clock: EventClock) -> None:
    await nurse(accounts)
    token = await accounts.open_session(await accounts.authenticate(SYSTEM, "nora", RIGHT))
    assert await accounts.principal(OTHER, token.secret) is None
    assert await accounts.principal(SYSTEM, token.secret + "x") is None
    clock.advance(SESSION_LIFETIME_S - 1)
    assert await accounts.principal(SYSTEM, token.secret) is not None
    clock.advance(1)
    assert await accounts.principal(SYSTEM, token.secret) is None


async def test_logging_out_ends_only_that_session(accounts: Accounts) -> None:
    await nurse(accounts)
    principal = await accounts.authenticate(SYSTEM, "nora", RIGHT)
    one, two = await accounts.open_session(principal), await accounts.open_session(principal)
    await accounts.close_session(SYSTEM, one.secret)
    await accounts.close_session(SYSTEM, one.secret)
    assert await accounts.principal(SYSTEM, one.secret) is None
    assert await accounts.principal(SYSTEM, two.secret) is not None


async def test_logging_in_goes_by_real_time_while_a_recording_plays(tmp_path: Path) -> None:
    """A recording at a thousand times its speed neither logs people out nor lifts a throttle."""
    played, wall = EventClock(START), EventClock(START)
    records = Records.open(tmp_path / "played.db", clock=played, wall=wall, ids=SeededIds(1))
    try:
        accounts = Accounts(records, Passwords.cheap())
        user = await accounts.add(SYSTEM, login="root", name="Admin", roles=["admin"], password=RIGHT)
        link = await accounts.make_link(SYSTEM, user.id)
        token = await accounts.open_session(await accounts.authenticate(SYSTEM, "root", RIGHT))
        for _ in range(FREE_FAILURES + 1):
            with pytest.raises(AccessError):
                await accounts.authenticate(SYSTEM, "root", WRONG)
        played.advance(10 * 365 * 86_400)
        with pytest.raises(AccessError, match="too many"):
            await accounts.authenticate(SYSTEM, "root", RIGHT)
        assert await accounts.principal(SYSTEM, token.secret) is not None
        assert await accounts.use_link(SYSTEM, link.secret) == principal_of(user)
        wall.advance(SESSION_LIFETIME_S)
        assert await accounts.principal(SYSTEM, token.secret) is None
        assert await accounts.authenticate(SYSTEM, "root", RIGHT)
    finally:
        await records.close()


async def test_a_walls_session_never_expires(accounts: Accounts, clock: EventClock) -> None:
    await accounts.add(SYSTEM, login="wall", name="Wall", roles=["display"], wards=["w1"], password=RIGHT)
    principal = await accounts.authenticate(SYSTEM, "wall", RIGHT)
    assert principal.kind == "display"
    token = await accounts.open_session(principal)
    clock.advance(10 * 365 * 86_400)
    assert await accounts.principal(SYSTEM, token.secret) == principal


@pytest.mark.parametrize("role", ["patient", "family"])
async def test_a_patients_session_goes_on_for_ninety_days_from_each_use(
    accounts: Accounts, records: Records, clock: EventClock, role: str
) -> None:
    made = await records.run(lambda s: records.directory(s).patients.create(SYSTEM, name="Ada"))
    await accounts.add(SYSTEM, login="ada", name="Ada", roles=[role], patient=made.id, password=RIGHT)
    token = await accounts.open_session(await accounts.authenticate(SYSTEM, "ada", RIGHT))
    for _ in range(3):
        clock.advance(OWN_SESSION_LIFETIME_S - 1)
        assert await accounts.principal(SYSTEM, token.secret) is not None
    clock.advance(OWN_SESSION_LIFETIME_S)
    assert await accounts.principal(SYSTEM, token.secret) is None


async def test_tokens_rest_as_hashes(accounts: Accounts, records: Records) -> None:
    user = await nurse(accounts)
    session_token = await accounts.open_session(await accounts.authenticate(SYSTEM, "nora", RIGHT))
    link = await accounts.make_link(SYSTEM, user.id)
    kept = await records.read(
        lambda s: (s.query(WebSession).one().token_hash, s.query(OneTimeLink).one().token_hash)
    )
    assert kept == (session_token.hash, link.hash)


async def test_a_link_works_once(accounts: Accounts) -> None:
    user = await accounts.add(SYSTEM, login="root", name="Admin", roles=["admin"])
    with pytest.raises(AccessError):
        await accounts.authenticate(SYSTEM, "root", "")
    link = await accounts.make_link(SYSTEM, user.id)
    with pytest.raises(AccessError, match="not known"):
        await accounts.use_link(OTHER, link.secret)
    used = await asyncio.gather(
        *(accounts.use_link(SYSTEM, link.secret) for _ in range(5)), return_exceptions=True
    )
    assert sum(not isinstance(u, BaseException) for u in used) == 1
    assert all("used already" in str(u) for u in used if isinstance(u, BaseException))


async def test_a_link_and_the_password_set_by_it_are_one_transaction(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await accounts.add(SYSTEM, login="root", name="Admin", roles=["admin"])
    link = await accounts.make_link(SYSTEM, user.id)
    with pytest.raises(ConfigError):
        await accounts.use_link(SYSTEM, link.secret, password=SHORT)
    with monkeypatch.context() as broken:

        def torn(*_: object) -> None:
            raise OSError

        broken.setattr(Users, "set_password", torn)
        with pytest.raises(OSError):  # noqa: PT011 - the crash in between
            await accounts.use_link(SYSTEM, link.secret, password=RIGHT)
    with pytest.raises(AccessError):
        await accounts.authenticate(SYSTEM, "root", RIGHT)
    other = await accounts.open_session(principal_of(user))
    principal = await accounts.use_link(SYSTEM, link.secret, password=RIGHT)
    assert principal == await accounts.authenticate(SYSTEM, "root", RIGHT)
    assert await accounts.principal(SYSTEM, other.secret) is None
    with pytest.raises(AccessError, match="used already"):
        await accounts.use_link(SYSTEM, link.secret, password=WRONG)
    assert await accounts.authenticate(SYSTEM, "root", RIGHT)


async def test_a_link_expires_and_a_newer_one_replaces_it(accounts: Accounts, clock: EventClock) -> None:
    user = await nurse(accounts)
    first = await accounts.make_link(SYSTEM, user.id)
    second = await accounts.make_link(SYSTEM, user.id)
    with pytest.raises(AccessError, match="not known"):
        await accounts.use_link(SYSTEM, first.secret)
    clock.advance(LINK_LIFETIME_S)
    with pytest.raises(AccessError, match="expired"):
        await accounts.use_link(SYSTEM, second.secret)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("login", {"login": "nora n"}),
        ("login", {"login": ""}),
        ("roles", {"roles": []}),
        ("roles", {"roles": ["boss"]}),
        ("roles", {"roles": ["nurse", "display"]}),
        ("roles", {"roles": ["patient", "admin"], "patient": "p1"}),
        ("patient", {"roles": ["patient"]}),
        ("patient", {"roles": ["nurse"], "patient": "p1"}),
        ("patient", {"roles": ["patient"], "patient": "p9"}),
        ("ward", {"wards": ["w9"]}),
        ("password", {"password": "short"}),
        ("name", {"name": " "}),
    ],
)
async def test_wrong_users_are_refused(field: str, values: dict[str, object], accounts: Accounts) -> None:
    good: dict[str, object] = {"login": "x", "name": "X", "roles": ["nurse"], "password": RIGHT}
    with pytest.raises(ConfigError) as caught:
        await accounts.add(SYSTEM, **{**good, **values})  # type: ignore[arg-type]
    assert caught.value.details["field"] == field


async def test_a_login_is_given_once_in_a_tenant(accounts: Accounts) -> None:
    await nurse(accounts)
    with pytest.raises(ConfigError, match="taken"):
        await nurse(accounts)


async def test_only_the_whole_tenant_manages_users(accounts: Accounts, records: Records) -> None:
    with pytest.raises(AccessError):
        await records.read(lambda session: records.users(session).list(Scope("main", frozenset({"w1"}))))
    await nurse(accounts)
    assert await records.read(lambda session: records.users(session).list(OTHER)) == []


async def test_changed_roles_hold_for_open_sessions(accounts: Accounts, records: Records) -> None:
    user = await nurse(accounts)
    token = await accounts.open_session(await accounts.authenticate(SYSTEM, "nora", RIGHT))
    await records.run(
        lambda session: records.users(session).change(SYSTEM, user.id, roles=["doctor"], wards=None)
    )
    principal = await accounts.principal(SYSTEM, token.secret)
    assert principal is not None
    assert (principal.roles, principal.wards) == ({Role.DOCTOR}, None)


async def test_that_a_session_is_used_is_noted_now_and_then(
    accounts: Accounts, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await nurse(accounts)
    principal = await accounts.authenticate(SYSTEM, "nora", RIGHT)
    token = await accounts.open_session(principal, agent="Edge · Windows")

    async def kept() -> tuple[str | None, int | None]:
        (row,) = await records.read(lambda s: records.sessions(s).of_user(SYSTEM, user.id))
        return row.agent, row.used

    opened = await kept()
    assert opened[0] == "Edge · Windows"
    began = records.wall.now_ns()
    monkeypatch.setattr(records, "wall", EventClock(began + 60 * SECOND))
    assert await accounts.principal(SYSTEM, token.secret) is not None
    assert await kept() == opened, "reading a page writes nothing"
    later = began + 400 * SECOND
    monkeypatch.setattr(records, "wall", EventClock(later))
    assert await accounts.principal(SYSTEM, token.secret) is not None
    assert await kept() == ("Edge · Windows", later)
