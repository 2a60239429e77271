"""Channels over the API and their page: how each does, tests, checks, browsers that take notifications."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from cloud_ingest.channel_health import NEEDS, Try
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary
from hearthward.trust.access import Action, Role
from tests.unit.dashboards.webworld import T0, S, World, world

PUSH = {
    "endpoint": "https://fcm.googleapis.com/fcm/send/abc",
    "keys": {"p256dh": "B" * 87, "auth": "a" * 22},
    "expirationTime": None,
}


async def listed(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/api/v1/channels")
    assert answer.status_code == 200
    return {item["name"]: item for item in answer.json()["items"]}


def tried(made: World) -> None:
    """SMS: 20 taken within 10 to 200 ms, then two failures; one taken long ago."""
    made.backend.tries["sms"] = [
        Try(T0 - 90_000 * S, "handed_over", "", 9_999.0),
        *(Try(T0 + i * S, "handed_over", "", 10.0 * (i + 1)) for i in range(20)),
        Try(T0 + 30 * S, "temporary", "SMS service cannot take the message now (503)"),
        Try(T0 + 40 * S, "failed", "SMS service refuses the message (400)"),
    ]
    made.backend.waiting["sms"] = [T0 + 50 * S, T0 + 45 * S]


async def test_each_channel_says_how_it_does():
    async with world() as made:
        tried(made)
        async with made.client(made.principal(Role.ENGINEER)) as client:
            found = await listed(client)
    assert set(found) == set(NEEDS)
    sms = found["sms"]
    assert (sms["state"], sms["since"]) == ("failing", "2026-01-01T00:00:30Z")
    assert (sms["handed_over"], sms["failed"]) == (20, 2)
    assert (sms["latency_p50_ms"], sms["latency_p95_ms"]) == (100.0, 190.0)
    assert (sms["last_handover"], sms["last_failure"]) == ("2026-01-01T00:00:19Z", "2026-01-01T00:00:40Z")
    assert sms["failure"] == "SMS service refuses the message (400)"
    assert (sms["queued"], sms["oldest_queued"]) == (2, "2026-01-01T00:00:45Z")
    assert sms["endpoints"] == ["@number-1"]
    assert (found["in_app"]["state"], found["in_app"]["answers"]) == ("never_used", True)
    assert (found["email"]["state"], found["email"]["needs"]) == (
        "not_configured",
        ["email.host", "email.from_address"],
    )


async def test_a_test_goes_to_whom_it_was_asked_for_says_so_and_is_kept():
    async with world() as made:
        made.backend.contacts["usr_engineer", "sms"] = "+4930123456"
        async with made.client(made.principal(Role.ENGINEER)) as client:
            targets = (await client.get("/api/v1/channels/sms/targets")).json()["items"]
            assert targets == [{"key": "me", "label": "+4930123456"}, {"key": "@number-1", "label": ""}]
            done = await client.post("/api/v1/channels/sms/test", json={"target": "me"})
            again = await client.post("/api/v1/channels/sms/test", json={"target": "@number-1"})
            found = (await listed(client))["sms"]
        sent = made.backend.ways["sms"].taken
        assert [m.target for m in sent] == ["+4930123456", "@number-1"]
        assert "TEST, no alarm" in sent[0].text
        assert done.json()["outcome"] == again.json()["outcome"] == "handed_over"
        assert [t["target"] for t in found["tests"]] == ["@number-1", "me"]
        assert found["state"] == "well"
        line = made.backend._of("main").audit[-2]
        assert (line.action, line.target, line.detail["do"]) == (Action.TEST_CHANNEL, "sms", "test")
        assert "4930123456" not in str(made.backend._of("main").audit)


async def test_a_test_that_fails_is_an_answer_with_the_reason():
    async with world() as made:
        made.backend.ways["sms"].fail(DeliveryTemporary("cannot take it now (503)"))
        async with made.client(made.principal(Role.ADMIN)) as client:
            done = await client.post("/api/v1/channels/sms/test", json={"target": "@number-1"})
            found = (await listed(client))["sms"]
    assert done.status_code == 200
    assert (done.json()["outcome"], done.json()["detail"]) == ("failed", "cannot take it now (503)")
    assert (found["state"], found["failure"]) == ("failing", "cannot take it now (503)")


@pytest.mark.parametrize(
    ("channel", "body", "status"),
    [
        ("sms", {"target": "+4930999999"}, 422),
        ("sms", {"target": "me"}, 422),
        ("sms", {"target": "@number-2"}, 422),
        ("sms", {}, 422),
        ("sms", {"target": "@number-1", "text": "my own"}, 422),
        ("email", {"target": "@address-1"}, 404),
        ("carrier-pigeon", {"target": "me"}, 404),
    ],
)
async def test_nobody_else_can_be_told_by_a_test(channel: str, body: dict[str, str], status: int):
    async with world() as made:
        async with made.client(made.principal(Role.ADMIN)) as client:
            answer = await client.post(f"/api/v1/channels/{channel}/test", json=body)
        assert answer.status_code == status
        assert not made.backend.ways["sms"].tried


async def test_a_check_tells_nobody():
    async with world() as made:
        async with made.client(made.principal(Role.ENGINEER)) as client:
            well = (await client.post("/api/v1/channels/sms/check")).json()
            made.backend.ways["sms"].broken = DeliveryPermanent("SMS service refuses the credentials (401)")
            bad = (await client.post("/api/v1/channels/sms/check")).json()
            none = await client.post("/api/v1/channels/email/check")
        assert (well["well"], bad["well"], none.status_code) == (True, False, 404)
        assert bad["detail"] == "SMS service refuses the credentials (401)"
        assert not made.backend.ways["sms"].tried
        assert made.backend._of("main").audit[-1].detail == {"do": "check", "result": "failing"}


async def test_the_page_sends_a_test_and_shows_how_it_went():
    async with world() as made:
        tried(made)
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            page = await client.get("/channels")
            sent = await client.post("/channels/sms/test", data={"target": "@number-1"})
            shown = await client.get(sent.headers["location"])
            wrong = await client.post("/channels/sms/test", data={"target": "me"})
            made.backend.ways["sms"].broken = DeliveryPermanent("wrong credentials")
            checked = await client.post("/channels/sms/check")
        assert (page.status_code, sent.status_code, wrong.status_code) == (200, 303, 422)
        assert "failing" in page.text
        assert "email.from_address" in page.text
        assert "handed over" in shown.text
        assert 'role="status"' in shown.text
        assert "wrong credentials" in checked.text


async def test_the_page_is_chinese_for_who_reads_chinese():
    async with world() as made:
        tried(made)
        async with made.client(
            made.principal(Role.ADMIN), cookie=True, **{"accept-language": "zh-CN"}
        ) as client:
            page = await client.get("/channels")
    assert "失败中" in page.text
    assert "语音电话" in page.text
    assert "Voice call" not in page.text


async def test_a_browser_subscribes_and_ends_it():
    async with world() as made:
        made.backend.push_public = "B" * 87
        nurse = made.principal(Role.NURSE)
        async with made.client(nurse) as client:
            assert (await client.get("/api/v1/push/key")).json() == {"key": "B" * 87}
            first = await client.post("/api/v1/push/subscriptions", json=PUSH)
            second = await client.post("/api/v1/push/subscriptions", json=PUSH)
            (kept,) = (await client.get("/api/v1/push/subscriptions")).json()["items"]
            assert (first.status_code, kept["service"]) == (201, "fcm.googleapis.com")
            assert kept["id"] == second.json()["id"]
            async with made.client(made.principal(Role.DOCTOR)) as other:
                assert (await other.get("/api/v1/push/subscriptions")).json()["items"] == []
                assert (await other.delete(f"/api/v1/push/subscriptions/{kept['id']}")).status_code == 404
            assert (await client.delete(f"/api/v1/push/subscriptions/{kept['id']}")).status_code == 204
            assert (await client.get("/api/v1/push/subscriptions")).json()["items"] == []
        done = [e.detail.get("do") for e in made.backend._of("main").audit if e.kind == "push"]
        assert done == ["subscribe", "subscribe", "unsubscribe"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/x",
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://evil-fcm.googleapis.com.example.org/x",
        "https://user@fcm.googleapis.com/x",
        "https://[::1/x",
        "file:///etc/passwd",
        "",
    ],
)
async def test_only_known_push_services_may_be_subscribed(endpoint: str):
    async with world() as made:
        made.backend.push_public = "B" * 87
        async with made.client(made.principal(Role.NURSE)) as client:
            answer = await client.post("/api/v1/push/subscriptions", json={**PUSH, "endpoint": endpoint})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "endpoint"


async def test_the_page_of_this_device():
    async with world() as made:
        nurse = made.principal(Role.NURSE)
        async with made.client(nurse, cookie=True) as client:
            off = await client.get("/notifications")
            made.backend.push_public = "B" * 87
            made_one = await made.backend.subscribe_push(nurse, str(PUSH["endpoint"]), {})
            on = await client.get("/notifications")
            gone = await client.post(f"/notifications/{made_one.id}/end")
            worker = await client.get("/service-worker.js")
        assert "push.contact" in off.text
        assert f'data-key="{"B" * 87}"' in on.text
        assert gone.status_code == 303
        assert await made.backend.push_devices(nurse) == []
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == "no-cache"
    assert "showNotification" in worker.text
