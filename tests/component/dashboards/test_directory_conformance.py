"""Looking things up through the web's port: one suite over the fake and the real records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dashboards.backend import DirectoryError
from dashboards.directory_port import AskedAudit, AskedItems
from dashboards.models import Encounter, Kind
from hearthward.core.errors import AccessError
from hearthward.trust.access import Principal, Role, Scope
from tests.component.dashboards.sides import SCOPE, T0, FakeSide, S, Side, furnish, real

WHO = Principal("usr_eva", "Eva", "main", frozenset({Role.ADMIN}))


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    async with real(tmp_path) as made:
        yield made


async def found(
    side: Side, kind: Kind, words: str = "", *, scope: Scope = SCOPE, **more: object
) -> list[str]:
    page = await side.backend.item_page(scope, AskedItems(kind, words, **more))  # type: ignore[arg-type]
    return [row.id for row in page.items]


async def test_entries_are_searched_filtered_and_paged(side: Side):
    ids = await furnish(side)
    for n in range(7):
        fields = {"id": f"cuff-{n}", "gateway": "gw-1", "transport": "serial", "address": f"/dev/tty_{n}%"}
        await side.backend.create(SCOPE, "device", {**fields, "label": f"Cuff {n}"})
    page = await side.backend.item_page(SCOPE, AskedItems("device", "cuff", offset=5, limit=5))
    assert ([d.id for d in page.items], page.total) == (["cuff-5", "cuff-6"], 7)
    assert page.names["device", "cuff-5"] == "Cuff 5 (cuff-5)"
    assert page.names["gateway", "gw-1"] == "Corridor (gw-1)"
    assert await found(side, "device", "CUFF 3") == ["cuff-3"]
    assert await found(side, "device", "_3%") == ["cuff-3"], "no wild cards"
    assert await found(side, "device", "ae:91") == ["oxi"]
    assert await found(side, "patient", "ros") == [ids["patient"]]
    assert await found(side, "encounter", "rosa a-01") == [ids["stay"]]
    assert await found(side, "association", "rosa oxi") == [ids["worn"]]
    assert await found(side, "association", "rosa cuff") == []
    assert await found(side, "bed", ward=ids["other"]) == [ids["free"]]
    assert await found(side, "patient", ward=ids["ward"]) == [ids["patient"]]
    assert await found(side, "gateway", ward=ids["other"]) == []
    assert await found(side, "association", device="oxi") == [ids["worn"]]
    assert await found(side, "association", device="cuff-1") == []
    counts = await side.backend.item_counts(SCOPE)
    assert (counts["device"], counts["bed"], counts["patient"], counts["association"]) == (8, 2, 2, 1)


async def test_what_is_over_is_there_when_asked_for(side: Side):
    ids = await furnish(side)
    await side.backend.end(SCOPE, "association", ids["worn"])
    await side.backend.end(SCOPE, "device", "oxi")
    assert await found(side, "device") == []
    assert await found(side, "device", ended=True) == ["oxi"]
    assert await found(side, "association") == []
    assert await found(side, "association", ended=True, patient=ids["patient"]) == [ids["worn"]]
    names = await side.backend.item_names(
        SCOPE, {"device": {"oxi"}, "bed": {ids["bed"]}, "patient": {"none"}}
    )
    assert names == {("device", "oxi"): "oxi", ("bed", ids["bed"]): "Ward A A-01"}


async def test_things_are_found_by_what_they_are_called(side: Side):
    ids = await furnish(side)

    async def called(kind: Kind, text: str, scope: Scope = SCOPE) -> list[str]:
        return [row.id for row in await side.backend.items_named(scope, kind, text)]

    for text in (ids["patient"], "rosa", "1", "a-01"):
        assert await called("patient", text) == [ids["patient"]], text
    assert await called("patient", "b-01") == []
    assert await called("patient", "ros") == []
    for text in ("oxi", "c4:12:5d:00:ae:91"):
        assert await called("device", text) == ["oxi"]
    assert await called("gateway", "corridor") == ["gw-1"]
    assert await called("bed", "B-01") == [ids["free"]]
    await side.backend.create(SCOPE, "patient", {"name": "ROSA"})
    assert len(await called("patient", "rosa")) == 2
    elsewhere = Scope("main", frozenset({ids["other"]}))
    assert await called("patient", "rosa", elsewhere) == []
    assert await called("device", "oxi", elsewhere) == []
    assert await called("device", "oxi", Scope("other")) == []


async def test_a_scope_covers_what_it_covers(side: Side):
    ids = await furnish(side)
    for scope in (Scope("main", frozenset({ids["other"]})), Scope("other")):
        for kind in ("patient", "encounter", "association", "device", "gateway"):
            assert await found(side, kind, scope=scope, ended=True) == [], kind  # type: ignore[arg-type]
        assert await side.backend.item_names(scope, {"patient": {ids["patient"]}, "device": {"oxi"}}) == {}
        assert await side.backend.adrift(scope, 5) == []
    other = Scope("main", frozenset({ids["other"]}))
    assert await found(side, "bed", scope=other) == [ids["free"]]
    assert (await side.backend.worn(other, "oxi")) == (None, True)
    assert (await side.backend.item_counts(other))["patient"] == 0


async def test_who_wears_a_device_without_a_stay(side: Side):
    ids = await furnish(side)
    assert await side.backend.adrift(SCOPE, 5) == []
    await side.backend.create(
        SCOPE, "device", {"id": "cuff", "gateway": "gw-1", "transport": "ble", "address": "C4:12:5D:00:AE:92"}
    )
    await side.backend.give_device(SCOPE, "cuff", ids["second"], was=None)
    assert [p.name for p in await side.backend.adrift(SCOPE, 5)] == ["Second"]


async def test_a_device_changes_hands_in_one_moment(side: Side):
    ids = await furnish(side)
    side.clock.follow(T0 + 5 * S)
    worn, somebody = await side.backend.worn(SCOPE, "oxi")
    assert worn is not None
    assert (worn.id, somebody) == (ids["worn"], True)
    for was in (None, "asc_other"):
        with pytest.raises(DirectoryError) as refused:
            await side.backend.give_device(SCOPE, "oxi", ids["second"], was=was)
        assert refused.value.field in {"device", "id"}
    given = await side.backend.give_device(SCOPE, "oxi", ids["second"], was=worn.id)
    assert (given.patient, given.end) == (ids["second"], None)
    before = await side.backend.item(SCOPE, "association", worn.id)
    assert before is not None
    assert before.end == given.start == T0 + 5 * S  # type: ignore[union-attr]
    assert await found(side, "association") == [given.id]
    side.clock.follow(T0 + 9 * S)
    with pytest.raises(DirectoryError):
        await side.backend.give_device(SCOPE, "oxi", ids["patient"], was=worn.id)
    assert await found(side, "association") == [given.id]


async def test_when_devices_were_last_heard(side: Side):
    await furnish(side)
    await side.measure("oxi", "spo2", 97, T0 + S)
    assert await side.backend.seen_at(SCOPE, ["oxi", "none"]) == {"oxi": T0 + S}
    assert await side.backend.seen_at(SCOPE, []) == {}


async def test_the_audit_is_looked_through(side: Side):
    ids = await furnish(side)
    await side.person("eva", Role.ADMIN)
    told = side.backend.audit
    await told(WHO, "view_patient", "patient", target=ids["patient"])
    await told(WHO, "assign_device", "association", target=ids["worn"], detail={"do": "end"})
    await told(WHO, "set_limit", "limit", target="lim", outcome="refused", detail={"patient": ids["patient"]})
    await told(WHO, "view_patient", "patient", target=ids["second"])
    ask = side.backend.audit_page

    async def kinds(**asked: object) -> list[str]:
        return [e.kind for e in (await ask(SCOPE, AskedAudit(**asked))).items]  # type: ignore[arg-type]

    assert await kinds() == ["patient", "limit", "association", "patient"]
    assert await kinds(patient=ids["patient"]) == ["limit", "association", "patient"]
    assert await kinds(action="view_patient", target=ids["second"]) == ["patient"]
    assert await kinds(outcome="refused") == ["limit"]
    assert await kinds(kind="association", who="usr_eva") == ["association"]
    assert await kinds(who="nobody") == []
    assert await kinds(until=0) == []
    first = await ask(SCOPE, AskedAudit(limit=3))
    assert first.next == first.items[-1].seq
    rest = await ask(SCOPE, AskedAudit(limit=3, before=first.next))
    assert ([e.target for e in rest.items], rest.next) == ([ids["patient"]], None)
    with pytest.raises(AccessError):
        await ask(Scope("main", frozenset({ids["ward"]})), AskedAudit())


async def test_how_a_stay_ended_is_said_by_somebody_and_not_made_up(side: Side):
    ids = await furnish(side)
    stay = await side.backend.item(SCOPE, "encounter", ids["stay"])
    assert isinstance(stay, Encounter)
    assert stay.outcome is None
    await side.backend.end(SCOPE, "encounter", ids["stay"], T0)
    said = await side.backend.change(SCOPE, "encounter", ids["stay"], {"outcome": "intensive_care"})
    assert isinstance(said, Encounter)
    assert (said.outcome, said.end) == ("intensive_care", T0)
    again = await side.backend.item(SCOPE, "encounter", ids["stay"])
    assert again == said
    taken_back = await side.backend.change(SCOPE, "encounter", ids["stay"], {"outcome": None})
    assert isinstance(taken_back, Encounter)
    assert taken_back.outcome is None
