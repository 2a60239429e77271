"""What is unusual, at a gateway and in the cloud: explained alike, and told when it has become the usual."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from cloud_ingest.level_watch import ACTOR
from cloud_ingest.why import Why
from cloud_ingest.why_desk import WhyDesk
from edge_agent import CloudTrust, ConfigStore, DecisionStore, EdgeAgent, EdgeDecider, Outbox
from firmware_profiles import load_catalog
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.ids import RandomIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from rules import RuleSet
from rules.conditions import Unusual
from tests.component.cloud_ingest.test_cloud_over_mqtt import Cloud, running
from tests.component.edge_agent.brokers import GATEWAY, Nats, eventually, free_port
from tests.component.edge_agent.test_agent import gateway
from tests.unit.cloud_ingest.ward import SCOPE, TENANT
from tests.unit.rules.made import make

MINUTE = 60 * SECOND
ODD = make(
    "odd",
    Unusual("spo2", "below", 0.7, 0.3),
    Unusual("heart_rate", "above", 0.7, 0.3),
    priority="low",
    max_age_s=900,
    explanation={"en": "Unusual: {unusual}", "zh": "异常:{unusual}"},
)
RULES = RuleSet((ODD,))


def measured(ago: int, value: float, device: str = "dev_1") -> ReadingBatch:
    """One value of so many minutes ago."""
    at = time.time_ns() - ago * MINUTE
    return ReadingBatch.of([Reading(device, "spo2", value, None, None, at, at, profile="0" * 16)])


def deciding(box: Outbox, folder: Path, telemetry: Telemetry) -> dict[str, object]:
    def build(_agent: EdgeAgent) -> EdgeDecider:
        store = DecisionStore(folder / "decisions.snapshot")
        return EdgeDecider(GATEWAY, box, store, clock=SystemClock(), telemetry=telemetry)

    return {"decider": build, "trust": CloudTrust(folder / "trusted", clock=SystemClock())}


def runs_its_document(agent: EdgeAgent, cloud: Cloud) -> bool:
    newest, running = cloud.service.publisher.document(GATEWAY), agent.document
    return newest is not None and running is not None and running.digest == newest.digest


async def why(cloud: Cloud, patient: str) -> Why:
    """Why the patient's only alarm is there."""
    (alarm,) = await cloud.service.alarms(SCOPE, patient=patient)
    return await WhyDesk(cloud.records, cloud.store, TENANT, load_catalog()).why(SCOPE, alarm.id)


async def test_what_a_gateway_found_unusual_while_it_was_alone_is_explained_in_the_cloud(tmp_path: Path):
    telemetry, port = Telemetry(), free_port()
    for name in ("cloud", "edge"):
        (tmp_path / name).mkdir()
    folder, store = tmp_path / "edge", ConfigStore(tmp_path / "edge" / "config")
    box = await Outbox.open(
        folder / "outbox", clock=SystemClock(), ids=RandomIds(), telemetry=telemetry, max_bytes=4 << 20
    )
    async with gateway(box, store, port, telemetry, **deciding(box, folder, telemetry)) as (agent, _):
        async with Nats(tmp_path, port), running(tmp_path / "cloud", port, rules=RULES):
            await eventually(lambda: agent.document is not None)
        for n in range(41):
            for device in ("dev_1", "dev_2"):
                await agent.accept(measured(50 - n, 96 + n % 2 if n < 40 else 84, device))
        assert agent.decider is not None
        await eventually(lambda: len(agent.decider.alarms) == 2)  # type: ignore[union-attr]
        there = {a.id: a for a in agent.decider.alarms}
        async with (
            Nats(tmp_path, port),
            running(tmp_path / "cloud", port, fresh=False, rules=RULES) as cloud,
        ):
            await box.drained()
            await eventually(lambda: len(cloud.service.pipeline.state.active()) == 2)
            for patient in ("pat_1", "pat_2"):
                found = await why(cloud, patient)
                assert found.text == there[found.id].text, "on the wall and in messages, too"
                assert found.explanation is not None
                odd, other = found.explanation.root.parts
                assert odd.truth
                assert "84 %, below the range of the last " in odd.found["en"]
                assert "血氧异常程度" in odd.found["zh"]
                assert other.code == "no_reading"
                assert [n["en"] for n in found.notes if "terms" in n["en"]] == []
            assert cloud.telemetry.value("decisions_without_terms_total") == 0
    await box.close()


async def test_a_new_level_reaches_the_gateway_once_through_restarts_of_both(tmp_path: Path):
    telemetry, port = Telemetry(), free_port()
    for name in ("cloud", "edge"):
        (tmp_path / name).mkdir()
    folder, store = tmp_path / "edge", ConfigStore(tmp_path / "edge" / "config")
    box = await Outbox.open(
        folder / "outbox", clock=SystemClock(), ids=RandomIds(), telemetry=telemetry, max_bytes=4 << 20
    )

    def learned() -> float:
        return telemetry.value("edge_levels_relearned_total", metric="spo2")

    async with Nats(tmp_path, port):
        async with running(tmp_path / "cloud", port, rules=RULES) as cloud:
            async with gateway(box, store, port, telemetry, **deciding(box, folder, telemetry)) as (agent, _):
                await eventually(lambda: agent.document is not None)
                for n in range(41):
                    await agent.accept(measured(50 - n, 96 + n % 2 if n < 40 else 84))
                await eventually(lambda: bool(cloud.service.pipeline.state.active()))
                await box.drained()
            (alarm,) = cloud.service.pipeline.state.active()
            await cloud.service.act("relearn", alarm=alarm.id, actor=ACTOR, to="spo2")
        assert learned() == 0, "nobody was there to hear of it"
        for _ in range(2):
            async with (
                running(tmp_path / "cloud", port, fresh=False, rules=RULES) as cloud,
                gateway(box, store, port, telemetry, **deciding(box, folder, telemetry)) as (agent, _),
            ):
                await eventually(lambda: learned() == 1)
                await eventually(partial(runs_its_document, agent, cloud))
                await agent.accept(measured(0, 84))
                await box.drained()
    assert learned() == 1
    await box.close()
