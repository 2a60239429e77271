"""Logins, invitations and consent of the web's port: one suite over the fake and the real records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_ingest.channels.fake import FakeChannel
from dashboards.accounts_port import AskedUsers, Invitee
from dashboards.backend import DirectoryError
from hearthward.core.errors import AccessError, DeliveryPermanent
from hearthward.trust.access import Principal, Role, Scope, scope_of
from tests.component.dashboards.sides import (
    PASSWORD,
    SCOPE,
    FakeSide,
    RealSide,
    Side,
    furnish,
    real,
)

DAY = 86_400_000_000_000
NURSE = Principal("usr_nora", "Nora", "main", frozenset({Role.NURSE}))


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    async with real(tmp_path) as made:
        yield made


async def join(side: Side, patient: str, invitee: Invitee) -> Principal:
    """Invite somebody, and have them choose a password."""
    link = await side.backend.invite(NURSE, patient, invitee)
    assert link is not None
    opened = await side.backend.use_link(link.secret, PASSWORD)
    assert opened is not None
    return opened.principal


async def test_an_invitation_makes_a_login_that_only_its_link_opens(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    link = await backend.invite(NURSE, patient, Invitee(relative=True, name=" Ann ", phone="+8613800138000"))
    assert link is not None
    assert link.secret not in repr(link)
    assert (link.user.name, link.user.roles, link.user.patient) == ("Ann", ["family"], patient)
    assert link.phone == "+8613800138000"
    assert await backend.login(link.user.login, "") is None
    (account,) = await backend.accounts_about(SCOPE, patient) or ()
    assert (account.joined, account.sessions, account.link_until) == (False, 0, link.expires)
    opened = await backend.use_link(link.secret, PASSWORD)
    assert opened is not None
    assert (opened.principal.roles, opened.principal.patient) == ({Role.FAMILY}, patient)
    assert await backend.use_link(link.secret, PASSWORD) is None
    (account,) = await backend.accounts_about(SCOPE, patient) or ()
    assert (account.joined, account.sessions, account.link_until) == (True, 1, None)


async def test_a_patient_has_one_login_and_each_link_takes_the_place_of_the_one_before(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    await backend.change(SCOPE, "patient", patient, {"phone": "+8613800138009", "language": "zh"})
    first = await backend.invite(NURSE, patient, Invitee())
    second = await backend.invite(NURSE, patient, Invitee())
    assert first is not None
    assert second is not None
    assert first.user.login == second.user.login
    assert (second.user.name, second.user.language, second.phone) == ("Rosa", "zh", "+8613800138009")
    assert await backend.link_login(first.secret) is None
    assert await backend.link_login(second.secret) == second.user.login
    third = await backend.invite_again(NURSE, patient, second.user.login)
    assert third is not None
    assert await backend.link_login(second.secret) is None
    assert await backend.link_login(third.secret) == second.user.login
    await backend.invite(NURSE, patient, Invitee(relative=True, name="Aaron"))
    roles = [a.user.roles for a in await backend.accounts_about(SCOPE, patient) or ()]
    assert roles == [["patient"], ["family"]]


async def test_nobody_is_invited_out_of_scope_or_by_a_wrong_name_or_number(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    elsewhere = Principal("usr_w", "W", "main", frozenset({Role.NURSE}), frozenset({ids["other"]}))
    assert await backend.invite(elsewhere, patient, Invitee()) is None
    assert await backend.invite(NURSE, "pat_none", Invitee()) is None
    assert await backend.accounts_about(scope_of(elsewhere), patient) is None
    assert await backend.invite_again(NURSE, patient, "nobody") is None
    for invitee, field, code in (
        (Invitee(relative=True, name=" "), "name", "required"),
        (Invitee(relative=True, name="Ann", phone="12"), "phone", "invalid"),
    ):
        with pytest.raises(DirectoryError) as refused:
            await backend.invite(NURSE, patient, invitee)
        assert (refused.value.field, refused.value.code) == (field, code)
    assert await backend.accounts_about(SCOPE, patient) == []
    await side.person("nora", Role.NURSE)
    assert await backend.invite_again(NURSE, patient, "nora") is None
    link = await backend.invite(NURSE, patient, Invitee())
    assert link is not None
    assert await backend.invite_again(elsewhere, patient, link.user.login) is None
    await backend.let_in(SCOPE, link.user.login, allowed=False)
    with pytest.raises(DirectoryError) as refused:
        await backend.invite_again(NURSE, patient, link.user.login)
    assert (refused.value.field, refused.value.code) == ("login", "disabled")


async def test_consent_from_giving_to_taking_back(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    rosa = await join(side, patient, Invitee())
    ann = await join(side, patient, Invitee(relative=True, name="Ann"))
    scope = scope_of(ann)
    assert await backend.consent_of(scope, ann.user) is None
    (relative,) = await backend.relatives(scope_of(rosa), patient)
    assert (relative.name, relative.joined, relative.consent) == ("Ann", True, None)
    until = backend.real_now() + 7 * DAY
    first = await backend.give_consent(rosa, ann.user, sees=["alarms", "values"], until=until)
    assert (first.sees, first.until, first.state) == (["values", "alarms"], until, "in_force")
    second = await backend.give_consent(rosa, ann.user, sees=["plan"], until=None)
    held = await backend.consent_of(scope, ann.user)
    assert held is not None
    assert (held.id, held.person_name) == (second.id, "Ann")
    (relative,) = await backend.relatives(scope_of(rosa), patient)
    assert relative.consent == held
    states = {c.id: c.state for c in await backend.consents(scope_of(rosa), patient)}
    assert states == {first.id: "revoked", second.id: "in_force"}
    taken = await backend.revoke_consent(rosa, second.id)
    assert taken is not None
    assert taken.state == "revoked"
    assert await backend.revoke_consent(rosa, second.id) == taken, "once more changes nothing"
    assert await backend.consent_of(scope, ann.user) is None


async def test_taken_back_from_an_old_page_nothing_of_that_person_holds_any_more(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    rosa = await join(side, patient, Invitee())
    ann = await join(side, patient, Invitee(relative=True, name="Ann"))
    ben = await join(side, patient, Invitee(relative=True, name="Ben"))
    first = await backend.give_consent(rosa, ann.user, sees=["values"], until=None)
    second = await backend.give_consent(rosa, ann.user, sees=["plan"], until=None)
    his = await backend.give_consent(rosa, ben.user, sees=["plan"], until=None)
    assert await backend.revoke_consent(rosa, first.id) is not None
    assert await backend.consent_of(scope_of(ann), ann.user) is None
    states = {c.id: c.state for c in await backend.consents(scope_of(rosa), patient)}
    assert states == {first.id: "revoked", second.id: "revoked", his.id: "in_force"}


async def test_a_relative_who_was_shut_out_and_let_in_again_sees_nothing_before_it_is_allowed_anew(
    side: Side,
):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    rosa = await join(side, patient, Invitee())
    ann = await join(side, patient, Invitee(relative=True, name="Ann"))
    await backend.give_consent(rosa, ann.user, sees=["values"], until=None)
    (login,) = (
        a.user.login for a in await backend.accounts_about(SCOPE, patient) or () if a.user.name == "Ann"
    )
    await backend.let_in(SCOPE, login, allowed=False)
    assert [c.state for c in await backend.consents(scope_of(rosa), patient)] == ["revoked"]
    await backend.let_in(SCOPE, login, allowed=True)
    assert await backend.consent_of(scope_of(ann), ann.user) is None


async def test_a_patient_who_was_shut_out_gets_no_second_login(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    link = await backend.invite(NURSE, patient, Invitee())
    assert link is not None
    await backend.let_in(SCOPE, link.user.login, allowed=False)
    with pytest.raises(DirectoryError) as refused:
        await backend.invite(NURSE, patient, Invitee(phone="+8613800138000"))
    assert (refused.value.field, refused.value.code) == ("login", "disabled")
    (only,) = await backend.accounts_about(SCOPE, patient) or ()
    assert (only.user.disabled is not None, only.phone) == (True, None), "nothing of it was kept"
    await backend.let_in(SCOPE, link.user.login, allowed=True)
    again = await backend.invite(NURSE, patient, Invitee())
    assert again is not None
    assert again.user.login == link.user.login


@pytest.mark.parametrize("mending", ["password", "log_out", "disable"])
async def test_a_link_that_waits_leads_nowhere_after_its_login_was_mended(side: Side, mending: str):
    ids = await furnish(side)
    backend = side.backend
    link = await backend.invite(NURSE, ids["patient"], Invitee())
    assert link is not None
    login = link.user.login
    if mending == "password":
        assert await backend.set_password(SCOPE, login, PASSWORD) is not None
    elif mending == "log_out":
        assert await backend.log_out(SCOPE, login) is not None
    else:
        await backend.let_in(SCOPE, login, allowed=False)
        await backend.let_in(SCOPE, login, allowed=True)
    assert await backend.link_login(link.secret) is None
    assert await backend.use_link(link.secret, PASSWORD) is None


async def test_a_consent_needs_a_relative_something_to_see_and_a_day_to_come(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    rosa = await join(side, patient, Invitee())
    ann = await join(side, patient, Invitee(relative=True, name="Ann"))
    other = await join(side, ids["second"], Invitee(relative=True, name="Otto"))
    second = await join(side, ids["second"], Invitee())
    now = backend.real_now()
    for person, sees, until, field, code in (
        (other.user, ["values"], None, "person", "unknown"),
        (rosa.user, ["values"], None, "person", "unknown"),
        (ann.user, [], None, "sees", "required"),
        (ann.user, ["values", "name"], None, "sees", "invalid"),
        (ann.user, ["values"], now - 1, "until", "past"),
    ):
        with pytest.raises(DirectoryError) as refused:
            await backend.give_consent(rosa, person, sees=sees, until=until)
        assert (refused.value.field, refused.value.code) == (field, code)
    given = await backend.give_consent(rosa, ann.user, sees=["values"], until=None)
    assert await backend.revoke_consent(second, given.id) is None
    assert await backend.consents(scope_of(second), patient) == []
    assert await backend.relatives(scope_of(second), patient) == []
    assert await backend.looks(scope_of(second), patient, 0) == []
    elsewhere = Scope("main", frozenset({ids["other"]}))
    assert await backend.consents(elsewhere, patient) == []
    assert await backend.consent_of(Scope("other"), ann.user) is None


async def test_who_looked_comes_out_of_the_audit(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    await side.person("nora", Role.NURSE)
    opened = await backend.login("nora", PASSWORD)
    assert opened is not None
    nora = opened.principal
    ann = await join(side, patient, Invitee(relative=True, name="Ann"))
    before = backend.real_now() - DAY
    await backend.audit(nora, "view_readings", "reading", target=patient)
    await backend.audit(nora, "view_readings", "reading", target=ids["second"])
    await backend.audit(nora, "view_limits", "limit", target=patient, outcome="refused")
    await backend.audit(nora, "set_limit", "limit", target=patient)
    await backend.audit(ann, "view_own_page", "own_page", target=patient)
    await backend.audit(nora, "export_readings", "reading", target=patient, detail={"read": True})
    await backend.audit(nora, "enter_reading", "entry", target=patient, detail={"metrics": "spo2"})
    await backend.audit(nora, "invite_person", "person", target=patient, detail={"read": "true"})
    await backend.audit(nora, "view_directory", "encounter", target=ids["stay"])
    await backend.audit(nora, "view_devices", "association", target=ids["worn"])
    found = await backend.looks(SCOPE, patient, before)
    told = sorted((x.who, x.name, x.times, set(x.what)) for x in found)
    seen = {"view_readings", "export_readings", "view_directory", "view_devices"}
    assert told == [("nurse", "", 4, seen), ("relative", "Ann", 1, {"view_own_page"})]
    assert await backend.looks(SCOPE, patient, backend.real_now() + DAY) == []


async def test_logins_are_found_changed_let_in_no_longer_and_again(side: Side):
    await furnish(side)
    backend = side.backend
    for login, role in (("boss", Role.ADMIN), ("nora", Role.NURSE), ("nick", Role.NURSE)):
        await side.person(login, role)
    page = await backend.find_accounts(SCOPE, AskedUsers(text="N", role="nurse", limit=1))
    assert ([a.user.login for a in page.items], page.total) == (["nick"], 2)
    page = await backend.find_accounts(SCOPE, AskedUsers(first=1, limit=10))
    assert ([a.user.login for a in page.items], page.total) == (["nick", "nora"], 3)
    opened = await backend.login("nora", PASSWORD)
    assert opened is not None
    changed = await backend.change_account(SCOPE, "nora", {"name": "Nora L.", "roles": ["doctor"]})
    assert changed is not None
    assert (changed.user.name, changed.user.roles, changed.sessions) == ("Nora L.", ["doctor"], 1)
    who = await backend.principal(opened.token)
    assert who is not None
    assert who.roles == {Role.DOCTOR}
    out = await backend.let_in(SCOPE, "nora", allowed=False)
    assert out is not None
    assert out.sessions == 0
    assert await backend.principal(opened.token) is None
    assert await backend.login("nora", PASSWORD) is None
    page = await backend.find_accounts(SCOPE, AskedUsers(state="disabled"))
    assert [a.user.login for a in page.items] == ["nora"]
    assert await backend.let_in(SCOPE, "nora", allowed=True) is not None
    opened = await backend.login("nora", PASSWORD)
    assert opened is not None
    assert await backend.log_out(SCOPE, "nora") is not None
    assert await backend.principal(opened.token) is None
    link = await backend.issue_link(SCOPE, "nora", by="usr_boss")
    assert link is not None
    assert await backend.link_login(link.secret) == "nora"
    for act in (
        backend.account(SCOPE, "none"),
        backend.change_account(SCOPE, "none", {}),
        backend.let_in(SCOPE, "none", allowed=True),
        backend.log_out(SCOPE, "none"),
        backend.issue_link(SCOPE, "none", by="x"),
    ):
        assert await act is None


async def test_refusals_of_changes_and_of_a_scope_of_some_wards(side: Side):
    ids = await furnish(side)
    backend = side.backend
    await side.person("boss", Role.ADMIN)
    await side.person("part", Role.ADMIN, frozenset({ids["ward"]}))
    for fields, field, code in (
        ({"roles": ["nurse"]}, "roles", "last"),
        ({"wards": []}, "wards", "last"),
    ):
        with pytest.raises(DirectoryError) as refused:
            await backend.change_account(SCOPE, "boss", fields)
        assert (refused.value.field, refused.value.code) == (field, code)
    with pytest.raises(DirectoryError) as refused:
        await backend.let_in(SCOPE, "boss", allowed=False)
    assert (refused.value.field, refused.value.code) == ("login", "last")
    with pytest.raises(DirectoryError) as refused:
        await backend.change_account(SCOPE, "part", {"wards": ["nowhere"]})
    assert (refused.value.field, refused.value.code) == ("wards", "unknown")
    assert await backend.let_in(SCOPE, "part", allowed=False) is not None
    confined = Scope("main", frozenset({ids["ward"]}))
    for act in (
        backend.find_accounts(confined, AskedUsers()),
        backend.account(confined, "boss"),
        backend.change_account(confined, "boss", {"name": "X"}),
        backend.let_in(confined, "boss", allowed=False),
        backend.log_out(confined, "boss"),
        backend.issue_link(confined, "boss", by="x"),
    ):
        with pytest.raises(AccessError):
            await act


async def test_an_sms_goes_to_the_number_of_whom_the_link_is_for(side: Side):
    ids = await furnish(side)
    backend = side.backend
    link = await backend.invite(NURSE, ids["patient"], Invitee(phone="+8613800138000"))
    bare = await backend.invite(NURSE, ids["patient"], Invitee(relative=True, name="Ann"))
    assert link is not None
    assert bare is not None
    if isinstance(side, RealSide):
        assert not backend.can_text()
        assert await backend.text(link, "words", "en") == "no_channel"
        sms = FakeChannel("sms")
        side.service.reach = replace(side.service.reach, channels={"sms": sms})
        assert await backend.text(link, "words", "zh") == "handed_over"
        assert [(m.target, m.text, m.language) for m in sms.taken] == [("+8613800138000", "words", "zh")]
        sms.fail(DeliveryPermanent("not a number", channel="sms"))
        assert await backend.text(link, "words", "en") == "failed"
    else:
        assert await backend.text(link, "words", "zh") == "handed_over"
    assert backend.can_text()
    assert await backend.text(bare, "words", "en") == "no_number"


async def test_a_login_is_written_to_in_the_language_that_its_owner_chose(side: Side):
    ids = await furnish(side)
    backend = side.backend
    rosa = await join(side, ids["patient"], Invitee(language="en"))
    assert await backend.language_of(rosa) == "en"
    assert await backend.set_own_language(rosa, "zh")
    assert not await backend.set_own_language(rosa, "zh"), "it was that already"
    assert await backend.language_of(rosa) == "zh"
    nobody = replace(rosa, user="usr_none")
    assert not await backend.set_own_language(nobody, "zh")


async def test_by_what_a_patient_can_be_reminded(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    if isinstance(side, RealSide):
        ways = {"sms": FakeChannel("sms"), "push": FakeChannel("push")}
        side.service.reach = replace(side.service.reach, channels=ways)

    async def ways_of() -> list[str]:
        plan = await backend.care_plan(SCOPE, patient, 0, 1)
        assert plan is not None
        return list(plan.reminded_by)

    assert await ways_of() == []
    link = await backend.invite(NURSE, patient, Invitee(phone="+8613900139000"))
    assert await ways_of() == ["sms"]
    assert link is not None
    await backend.let_in(SCOPE, link.user.login, allowed=False)
    assert await ways_of() == []
    await backend.change(SCOPE, "patient", patient, {"phone": "+8613800138009"})
    assert await ways_of() == ["sms"]


# --- a patient's own relatives, and where somebody is logged in -----------------------------------------


async def test_a_patient_invites_a_relative_in_one_step_or_not_at_all(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    rosa = await join(side, patient, Invitee())
    until = backend.real_now() + 7 * DAY
    for name, sees, end, field in (
        (" ", ["plan"], until, "name"),
        ("Ann", [], until, "sees"),
        ("Ann", ["everything"], until, "sees"),
        ("Ann", ["plan"], 1, "until"),
    ):
        with pytest.raises(DirectoryError) as refused:
            await backend.invite_relative(rosa, Invitee(name=name, relative=True), sees=sees, until=end)
        assert refused.value.field == field
    assert await backend.relatives(scope_of(rosa), patient) == [], "nothing half-made"
    link = await backend.invite_relative(
        rosa, Invitee(relative=True, name="Ann", language="zh"), sees=["plan", "values"], until=until
    )
    assert (link.user.roles, link.user.patient, link.user.language) == (["family"], patient, "zh")
    twice = await backend.invite_relative(
        rosa, Invitee(relative=True, name=" Ann"), sees=["values", "plan"], until=until
    )
    assert twice.user.id == link.user.id, "a form that is sent twice invites once"
    assert await backend.link_login(link.secret) is None
    (ann,) = await backend.relatives(scope_of(rosa), patient)
    assert ann.consent is not None
    assert (ann.joined, ann.consent.sees, ann.consent.until) == (False, ["values", "plan"], until)
    again = await backend.relative_link(rosa, ann.id)
    assert again is not None
    assert await backend.link_login(link.secret) is None
    opened = await backend.use_link(again.secret, PASSWORD, agent="Safari · iPhone")
    assert opened is not None
    assert await backend.consent_of(scope_of(opened.principal), ann.id) == ann.consent
    last = await backend.relative_link(rosa, ann.id)
    gone = await backend.dismiss_relative(rosa, ann.id)
    assert gone is not None
    assert gone.disabled is not None
    assert last is not None
    assert await backend.link_login(last.secret) is None
    assert await backend.principal(opened.token) is None
    assert await backend.consent_of(scope_of(opened.principal), ann.id) is None
    assert await backend.dismiss_relative(rosa, ann.id) is None
    assert await backend.relative_link(rosa, ann.id) is None


async def test_a_patient_reaches_no_login_but_their_relatives(side: Side):
    ids = await furnish(side)
    backend = side.backend
    rosa = await join(side, ids["patient"], Invitee())
    await side.person("nora", Role.NURSE)
    other = await backend.create(SCOPE, "patient", {"name": "Otto"})
    theirs = await join(side, other.id, Invitee(relative=True, name="Olga"))
    for person in (rosa.user, theirs.user, "usr_nora", "usr_none"):
        assert await backend.relative_link(rosa, person) is None, person
        assert await backend.dismiss_relative(rosa, person) is None, person
    assert (await backend.accounts_about(SCOPE, other.id) or ())[0].user.disabled is None


async def test_sessions_are_told_apart_and_end_singly_or_all_but_one(side: Side):
    await side.person("nora", Role.NURSE)
    await side.person("nils", Role.NURSE)
    backend = side.backend
    phone = await backend.login("nora", PASSWORD, agent="Chrome · Android")
    desk = await backend.login("nora", PASSWORD)
    nils = await backend.login("nils", PASSWORD)
    assert phone is not None
    assert desk is not None
    assert nils is not None
    found = {s.device: s for s in await backend.own_sessions(phone.principal, phone.token)}
    assert {name: s.here for name, s in found.items()} == {"Chrome · Android": True, "": False}
    assert all(s.created <= s.used for s in found.values())
    assert phone.token not in repr(found)
    (his,) = await backend.own_sessions(nils.principal, nils.token)
    assert await backend.end_session(phone.principal, phone.token, his.id) is None
    ended = await backend.end_session(phone.principal, phone.token, found[""].id)
    assert ended is not None
    assert not ended.here
    assert await backend.principal(desk.token) is None
    assert await backend.end_session(phone.principal, phone.token, found[""].id) is None
    third = await backend.login("nora", PASSWORD)
    assert third is not None
    assert await backend.end_other_sessions(third.principal, third.token) == 1
    assert await backend.principal(phone.token) is None
    assert await backend.principal(third.token) is not None
    assert await backend.principal(nils.token) is not None
