"""What is kept at home by the ward's patient with a login: two weeks of values, a plan, messages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cloud_ingest import careplan
from cloud_ingest.entry import manual_device
from cloud_ingest.records.care import TaskDraft
from dashboards.care_models import CareMessage
from hearthward.core.model import Reading, Source
from hearthward.trust.access import Principal

if TYPE_CHECKING:
    from tests.e2e.fake_ward import Ward

S = 1_000_000_000
HOUR = 3600 * S
DAY = 24 * HOUR
ZONE = "Asia/Shanghai"


async def furnish(ward: Ward) -> None:
    """Fill the home of the login ``patient``."""
    backend, patient, now = ward.backend, ward.patients[-1], ward.clock.now_ns()
    nurse = backend._people["main", "nurse"].principal
    own = backend._people["main", "patient"].principal
    _measured(ward, patient, now)
    await _planned(ward, nurse, patient, now)
    for told, text in (
        (ward.patients[2], "Hears badly: speak into the left ear."),
        (patient, "Lives alone; the neighbour, Mrs Berg, has a key."),
    ):
        assert await backend.write_note(nurse, told, text) is not None
    texts = (
        (own, "My ankles are swollen since yesterday. Should I take a second tablet?", 5 * HOUR),
        (
            nurse,
            "Thank you. Please weigh yourself and put your feet up; I call you this afternoon.",
            4 * HOUR,
        ),
        (own, "72.4 kg this morning. Better now.", HOUR),
    )
    for n, (who, text, ago) in enumerate(texts):
        made = await backend.write_message(who, patient, text, client=f"h{n}", written=now - ago)
        assert made is not None
        change = {"at": now - ago, "seen": now - ago + HOUR // 2 if n < 2 else None}
        book: dict[str, CareMessage] = backend._care_books["main"].messages
        book[made.id] = made.model_copy(update=change)


def _measured(ward: Ward, patient: str, now: int) -> None:
    rows = []
    device = f"blood-{len(ward.patients)}"
    for n in range(28):
        at = now - n * DAY // 2 - 20 * 60 * S
        systolic, diastolic = 128 + (n * 7) % 13 + (8 if n > 14 else 0), 78 + (n * 5) % 9
        for metric, value in (("nibp_systolic", systolic), ("nibp_diastolic", diastolic)):
            rows.append(Reading(device, metric, float(value), None, None, at, at, group=900 + n))
        if n % 2 == 0:
            weight = 72.4 + (n % 6) / 10
            rows.append(
                Reading(
                    manual_device(patient),
                    *("body_weight", weight, None, None, at, at),
                    group=1900 + n,
                    source=int(Source.MANUAL),
                    author="usr_patient",
                )
            )
    ward.backend._of("main").readings += rows


async def _planned(ward: Ward, nurse: Principal, patient: str, now: int) -> None:
    backend, local = ward.backend, careplan.day_of(now, ZONE)
    hour = int((now - careplan.midnight(local, ZONE)) // HOUR)
    times = tuple(sorted({f"{hour:02}:10", f"{(hour + 12) % 24:02}:10"}))
    drafts = (
        TaskDraft("measure", "nibp_systolic", "", times, None, ZONE),
        TaskDraft("medicine", None, "Amlodipine 5 mg", (f"{hour:02}:20",), None, ZONE),
        TaskDraft("measure", "body_weight", "", (f"{(hour + 1) % 24:02}:00",), None, ZONE, 3600),
        TaskDraft("other", None, "Walk for 20 minutes", ("16:00",), (1, 3, 5), ZONE),
    )
    for draft in drafts:
        made = await backend.add_task(nurse, patient, draft)
        assert made is not None
        _, task = backend._care_books["main"].tasks[made.id]
        begun = replace(task, start=now - 9 * DAY, end=None)
        backend._care_books["main"].tasks[made.id] = patient, begun
        for due in careplan.dues(begun, now - 9 * DAY, now - 3 * HOUR)[::2]:
            if draft.kind != "measure":
                mark = careplan.Mark("done", "", due + 60 * S, nurse.user)
                backend._care_books["main"].marks[made.id, due] = mark


def ask(ward: Ward) -> None:
    """Ask the patient for a second measurement of a very high blood pressure."""
    values = {"nibp_systolic": 186.0, "nibp_diastolic": 112.0}
    text = ("BP 186/112 >= 180/110", "血压 186/112 >= 180/110")
    more: dict[str, Any] = {"condition": "asked", "values": values, "limit": "≥ 180/110"}
    ward.alarm("alm_home", len(ward.patients) - 1, "high", *text, 40, **more)
