"""``hearthward devices``: scanning here and through a running cloud, adopting, watching."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console
from rich.text import Text

from cloud_ingest.service import CloudService
from cloud_ingest.sources.fake import MemorySource
from cloud_ingest.stores.fake import MemoryStore
from dashboards import create_app
from dashboards.profiles import profile_choices
from devices.links.fake_surroundings import FakeSurroundings
from devices.links.ports import SerialPort
from devices.links.radio import Sighting as Heard
from firmware_profiles import load_catalog
from hearthward.app import device_watch
from hearthward.app.device_scan import scanned, see_here, show
from hearthward.app.device_tables import devices_table
from hearthward.app.device_watch import watch
from hearthward.app.lock import FolderLock
from hearthward.app.owner import write_owner
from hearthward.app.rest import Rest
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.device_states import Cause, DeviceWord, Sighting
from hearthward.core.errors import ConfigError, LinkError
from hearthward.core.settings import Settings
from hearthward.core.sightings import Ask, Sightings
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Status, topic
from hearthward.trust.access import Principal, Role, Scope
from rules import load_rules
from tests.component.app.commands import command, invoke, refused
from tests.component.app.test_people import opened, serving

pytestmark = pytest.mark.usefixtures("clean_settings")
SCOPE = Scope.system("main")
TOKEN = "the-owner's-token"  # noqa: S105 - of this test's own server
STRAP = Heard("C0:00:00:00:00:01", "strap\x1b[2J", -60, frozenset({"180d", "1234"}))
PHONE = Heard("C0:00:00:00:00:02", None, -80, frozenset(), (76,))
PORT = SerialPort("/dev/ttyUSB7", "0403:6001", "FT232R", "FTDI", "UART")
SEEN = (
    Sighting("ble", "C0:00:00:00:00:01", 1, 2, "strap", -60, ("180d",), profile="sig-heart-rate"),
    Sighting("ble", "C0:00:00:00:00:03", 1, 2, "both", -70, why="several:sig-heart-rate, sig-blood-pressure"),
    Sighting("serial", "/dev/ttyUSB7", 1, 2, "FTDI UART", usb="0403:6001", why="port"),
)


# --- this machine


async def test_what_is_heard_and_plugged_in_here_is_listed_with_what_was_seen(
    capsys: pytest.CaptureFixture[str],
):
    around = FakeSurroundings()
    around.near, around.plugged = [PHONE, STRAP], [PORT]
    found = await see_here(around, 1)
    show(found, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "ADDRESS",
        "NAME",
        "SIGNAL",
        "WHAT",
        "WAS",
        "SEEN",
        "PROFILE",
        "DEVICE",
        "LAST",
        "HEARD",
    ]
    assert [line.split()[0] for line in lines[1:4]] == [
        "C0:00:00:00:00:01",
        "/dev/ttyUSB7",
        "C0:00:00:00:00:02",
    ]
    assert "strap\N{REPLACEMENT CHARACTER}[2J  -60 dBm  1234, 180d (heart rate)" in lines[1]
    assert "sig-heart-rate" in lines[1]
    assert "USB 0403:6001" in lines[2]
    assert "company 76" in lines[3]
    assert "no profile fits what it says of itself" in lines[3]
    assert lines[4] == "To take one in: hearthward devices adopt C0:00:00:00:00:01 --patient ID"
    show(found, as_json=True)
    items = json.loads(capsys.readouterr().out)["items"]
    assert {(one["address"], one["profile"], one["why"]) for one in items} == {
        ("C0:00:00:00:00:01", "sig-heart-rate", ""),
        ("C0:00:00:00:00:02", "", "none"),
        ("/dev/ttyUSB7", "", "port"),
    }


async def test_a_radio_that_cannot_listen_leaves_the_ports(capsys: pytest.CaptureFixture[str]):
    around = FakeSurroundings()
    around.refusal, around.plugged = LinkError("no usable Bluetooth adapter"), [PORT]
    found = await see_here(around, 1)
    assert found.trouble == ("nothing was heard by Bluetooth: no usable Bluetooth adapter",)
    assert [one.address for _, one in found.seen] == ["/dev/ttyUSB7"]
    around.plugged = []
    show(await see_here(around, 1), as_json=False)
    assert "Nothing was seen" in capsys.readouterr().out


def test_the_command_scans_without_a_cloud_makes_no_folder_and_says_what_was_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HEARTHWARD_EDGE__RADIO", "off")
    monkeypatch.setattr("devices.links.surroundings.list_ports", list)  # else this machine's are listened to
    result = invoke("--data", tmp_path / "d", "devices", "scan", "--seconds", "1", "--json")
    assert result.exit_code == 3
    assert "radio is off" in json.loads(result.stdout)["trouble"][0]
    assert "nothing was heard by Bluetooth: the Bluetooth radio is off" in result.stderr
    assert not (tmp_path / "d").exists()
    assert "needs the running cloud" in refused(
        "--data", tmp_path / "d", "devices", "scan", "--gateway", "gw-1"
    )


def test_a_radio_of_this_machine_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("devices.links.surroundings.list_ports", list)
    here = ("--data", tmp_path / "d", "devices", "scan", "--seconds", "1", "--radio")
    result = invoke(*here, "off")
    assert result.exit_code == 3
    assert "the Bluetooth radio is off" in result.stderr
    assert "unknown radio 'wifi'" in refused(*here, "wifi")
    assert "not both" in refused(*here, "off", "--gateway", "gw-1", code=2)


@pytest.mark.parametrize("arguments", [("adopt", "C0:00:00:00:00:01"), ("watch",)])
def test_without_a_cloud_it_is_said_what_to_do(tmp_path: Path, arguments: tuple[str, ...]):
    said = refused("--data", tmp_path / "d", "devices", *arguments)
    assert "none runs on" in said
    assert "hearthward run" in said


def test_a_patient_and_a_bed_at_once_are_too_many(tmp_path: Path):
    said = refused(
        "--data", tmp_path, "devices", "adopt", "C0:00:00:00:00:01", "--patient", "p", "--bed", "b", code=2
    )
    assert "not both" in said


def test_half_a_consent_is_none(tmp_path: Path):
    said = refused("--data", tmp_path, "devices", "adopt", "C0:00:00:00:00:01", "--user", "1", code=2)
    assert "both: --user and --code" in said


# --- a running cloud


class Site:
    """A running cloud with a gateway that answers, a ward with a bed, and two patients."""

    def __init__(self, folder: Path, service: CloudService, source: MemorySource) -> None:
        self.folder, self.service, self.source = folder, service, source
        self.asked: list[tuple[str, int]] = []
        self.ids: dict[str, str] = {}

    async def furnish(self) -> None:
        def write(session: Any) -> dict[str, str]:
            directory = self.service.records.directory(session)
            ward = directory.wards.create(SCOPE, name="Ward A").id
            bed = directory.beds.create(SCOPE, ward=ward, label="A-01").id
            free = directory.beds.create(SCOPE, ward=ward, label="A-02").id
            patient = directory.patients.create(SCOPE, name="Rosa").id
            directory.encounters.create(SCOPE, patient=patient, kind="ward", bed=bed)
            for gateway in ("gw-1", "gw-2"):
                directory.gateways.create(SCOPE, ident=gateway, ward=ward)
            return {"bed": bed, "free": free, "patient": patient}

        self.ids = await self.service.records.run(write)

    def status(self, **devices: DeviceWord) -> None:
        told = Status(online=True, wall=SystemClock().now_ns(), devices=devices)
        self.source.deliver(topic("main", "gw-1", "status"), told.encode())

    def tell(self, *sightings: Sighting) -> None:
        seen = Sightings("gw-1", "s", 1, sightings)
        self.source.deliver(topic("main", "gw-1", "sightings"), seen.encode())

    async def answer(self) -> None:
        """The gateway: it is asked, listens, and tells."""
        done = 0
        while True:
            await self.source.wait_published(done + 1)
            message, done = self.source.published[done], done + 1
            if message.topic.endswith("/ask"):
                ask = Ask.decode(message.payload)
                self.asked.append((ask.gateway, ask.seconds))
                await asyncio.sleep(ask.seconds)
                self.tell(*SEEN)

    async def run(self, *arguments: str) -> Result:
        """The command, in a thread of its own: this loop serves it."""
        return await asyncio.to_thread(invoke, "--data", self.folder, "devices", *arguments)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    settings = Settings(data=tmp_path / "data")
    source, store = MemorySource(), MemoryStore()
    async with running(settings, source, store) as service:
        made = Site(settings.data, service, source)
        await made.furnish()
        gateway = asyncio.create_task(made.answer())
        yield made
        gateway.cancel()
        await asyncio.wait([gateway])


@asynccontextmanager
async def running(
    settings: Settings, source: MemorySource, store: MemoryStore
) -> AsyncIterator[CloudService]:
    with FolderLock(settings.data / "cloud"):
        async with opened(settings) as records:
            service = CloudService(
                records=records,
                store=store,
                source=source,
                rules=load_rules(),
                clock=SystemClock(),
                telemetry=Telemetry(),
                settings=settings.cloud,
            )
            task = asyncio.create_task(service.run(), name="cloud")
            await service.started.wait()
            who = Principal("command-line", "command line", "main", frozenset({Role.ADMIN, Role.ENGINEER}))
            choices = profile_choices(load_catalog())
            app = create_app(service, telemetry=Telemetry(), profiles=choices, services={TOKEN: who})
            try:
                async with serving(app) as url:
                    write_owner(settings.data / "cloud", url, TOKEN)
                    yield service
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await store.close()


async def test_the_clouds_gateways_are_asked_and_what_they_tell_is_shown(site: Site):
    site.status()
    result = await site.run("scan", "--seconds", "1")
    assert result.exit_code == 3, "one gateway is offline"
    assert "gateway gw-2 is offline" in result.stderr
    assert site.asked == [("gw-1", 1)]
    lines = result.stdout.splitlines()
    assert lines[0].split()[0] == "GATEWAY"
    assert [line.split()[:2] for line in lines[1:4]] == [["gw-1", SEEN[n].address] for n in (0, 2, 1)]
    assert "several profiles fit (sig-heart-rate, sig-blood-pressure): name one" in lines[3]
    result = await site.run("scan", "--seconds", "1", "--gateway", "gw-1", "--json")
    assert result.exit_code == 0, result.output
    assert {one["gateway"] for one in json.loads(result.stdout)["items"]} == {"gw-1"}
    with pytest.raises(ConfigError, match="no gateway 'gw-9': the cloud knows gw-1, gw-2"):
        await scanned(Settings(data=site.folder), seconds=1, gateway="gw-9")


async def entries(site: Site, kind: str) -> list[Any]:
    def read(session: Any) -> list[Any]:
        return list(getattr(site.service.records.directory(session), kind).list(SCOPE))

    return await site.service.records.read(read)


async def test_a_device_is_taken_in_with_what_was_seen_of_it_for_a_patient_or_who_lies_in_a_bed(site: Site):
    site.tell(*SEEN)
    patient = site.ids["patient"]
    result = await site.run(
        "adopt", "c0:00:00:00:00:01", "--id", "hr-1", "--name", "Strap", "--patient", patient
    )
    assert result.exit_code == 0, result.output
    assert "adopted hr-1 at C0:00:00:00:00:01, read by gateway gw-1 with sig-heart-rate" in result.stdout
    assert f"on patient {patient} since " in result.stdout
    (device,) = await entries(site, "devices")
    assert (device.gateway, device.address, device.profile, device.label) == (
        "gw-1",
        "C0:00:00:00:00:01",
        "sig-heart-rate",
        "Strap",
    )
    (worn,) = await entries(site, "associations")
    assert (worn.device, worn.patient) == ("hr-1", patient)
    assert "no gateway has seen it" not in result.stderr
    unheard = await site.run("adopt", "C0:00:00:00:00:0F", "--gateway", "gw-1", "--id", "late")
    assert unheard.stdout.startswith("adopted late at C0:00:00:00:00:0F")
    assert "no gateway has seen it lately" in unheard.stderr
    again = await site.run("adopt", "C0:00:00:00:00:01", "--gateway", "gw-1")
    assert again.exit_code == 1
    assert "is device Strap at this gateway" in again.stderr
    bed = site.ids["bed"]
    result = await site.run(
        "adopt",
        "/dev/ttyUSB7",
        "--bed",
        bed,
        "--profile",
        "masimo-ascii1",
        "--timezone",
        "Asia/Shanghai",
        "--json",
    )
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert (made["device"]["profile"], made["device"]["timezone"]) == ("masimo-ascii1", "Asia/Shanghai")
    assert made["association"]["patient"] == site.ids["patient"]


REFUSED = (
    (("C0:00:00:00:00:01", "--patient", "nobody"), "nobody"),
    (("C0:00:00:00:00:01", "--bed", "nowhere"), "nowhere"),
    (("C0:00:00:00:00:01", "--bed", "{free}"), "nobody lies in bed"),
    (("C0:00:00:00:00:09",), "no gateway has seen C0:00:00:00:00:09 lately: name one"),
    (("C0:00:00:00:00:03",), "several profiles fit (sig-heart-rate, sig-blood-pressure)"),
    (("/dev/ttyUSB7",), "name its profile, with --profile ("),
    (("/dev/ttyUSB7", "--profile", "masimo-asci1"), "did you mean 'masimo-ascii1'"),
    (("C0:00:00:00:00:01", "--gateway", "gw-9"), "gw-9"),
    (("C0:00:00:00:00:01", "--timezone", "Mars/Base"), "timezone"),
    (("C0:00:00:00:00", "--profile", "masimo-ascii1"), "neither a Bluetooth address such as"),
    (("nonsense",), "nor a port's path such as /dev/ttyUSB0"),
)


async def test_what_cannot_be_is_refused_in_words_and_leaves_nothing(site: Site):
    site.tell(*SEEN)
    for arguments, said in REFUSED:
        result = await site.run("adopt", *(a.format(**site.ids) for a in arguments))
        assert result.exit_code == 1, (arguments, result.output)
        assert said in result.stderr, (arguments, result.stderr)
        assert "Traceback" not in result.stderr
    assert await entries(site, "devices") == []


# --- watching


AWAY = DeviceWord("connecting", Cause.OUT_OF_RANGE, 5 * SECOND, "C0:01: not heard for 30 s", 12)


async def adopted(site: Site) -> None:
    site.tell(*SEEN)
    await site.run("adopt", "C0:00:00:00:00:01", "--id", "hr-1")


async def test_each_change_is_a_line_where_there_is_no_terminal(
    site: Site, capsys: pytest.CaptureFixture[str]
):
    await adopted(site)
    settings, out = Settings(data=site.folder), ""

    async def until(text: str) -> None:
        nonlocal out
        async with asyncio.timeout(20):
            while text not in out:
                await asyncio.sleep(0.01)
                out += capsys.readouterr().out

    watching = asyncio.create_task(watch(settings, as_json=False, every_s=0.02))
    await until("hr-1  unknown: its gateway has not told\n")
    site.status(**{"hr-1": DeviceWord("streaming", since=5 * SECOND)})
    await until("hr-1  connected: since ")
    site.status(**{"hr-1": AWAY})
    await until("hr-1  offline, trying again: out of range since ")
    assert out.endswith("[C0:01: not heard for 30 s]\n")
    site.status(**{"hr-1": DeviceWord("backoff", Cause.OUT_OF_RANGE, 5 * SECOND, "the same", 3)})
    await site.service.records.run(lambda s: site.service.records.directory(s).devices.end(SCOPE, "hr-1"))
    await until("hr-1  ended\n")
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert len(out.splitlines()) == 4, "that it is tried again is no news"


async def test_a_cloud_that_gives_no_answer_for_a_while_is_waited_for(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    await adopted(site)
    watching = asyncio.create_task(watch(Settings(data=site.folder), as_json=True, every_s=0.02))
    out, answers = "", device_watch._devices
    try:
        async with asyncio.timeout(20):
            while not out:
                await asyncio.sleep(0.01)
                out += capsys.readouterr().out
            first = json.loads(out)
            assert (first["id"], first["condition"]) == ("hr-1", None)

            async def away(_rest: Rest) -> Any:
                msg = "the cloud is away"
                raise device_watch.StoreUnavailable(msg)

            monkeypatch.setattr(device_watch, "_devices", away)
            err = ""
            while "the cloud is away" not in err:
                await asyncio.sleep(0.01)
                err += capsys.readouterr().err
            monkeypatch.setattr(device_watch, "_devices", answers)
            site.status(**{"hr-1": AWAY})
            out = ""
            while not out:
                await asyncio.sleep(0.01)
                out += capsys.readouterr().out
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    told = json.loads(out)["condition"]
    assert (told["cause"], told["reason"]) == ("out_of_range", "out of range")


def test_the_table_has_those_without_values_first():
    told = {
        "state": "backoff",
        "cause": "out_of_range",
        "since": "1970-01-01T00:00:05Z",
        "detail": "x",
        "next_s": 1,
    }
    well = {**told, "state": "streaming", "cause": "none"}
    rows = [
        {"id": "a", "label": "", "gateway": "gw", "condition": well},
        {"id": "b", "label": "Cuff", "gateway": "gw", "condition": told},
        {"id": "c", "label": "", "gateway": "gw", "condition": None},
    ]
    for terminal in (True, False):
        text = StringIO()
        out = Console(file=text, width=200, force_terminal=terminal, color_system=None)
        out.print(devices_table(out, rows, 10 * SECOND))
        lines = [line for line in text.getvalue().splitlines() if "gw" in line]
        assert [line.split()[0] for line in lines] == ["b", "c", "a"]
        assert "offline, trying again" in lines[0]
        assert "out of range since " in lines[0]


@pytest.mark.parametrize(
    ("state", "cause", "style"),
    [
        ("streaming", "none", "green"),
        ("backoff", "out_of_range", "yellow"),
        ("backoff", "link_lost", "yellow"),
        ("connecting", "out_of_range", "yellow"),
        ("connecting", "none", "dim"),
        ("idle", "none", "dim"),
        ("backoff", "needs_passkey", "bold red"),
        ("backoff", "no_radio", "bold red"),
        ("unsupported", "unsupported", "bold red"),
    ],
)
def test_red_is_for_what_has_to_be_done_something_about(state: str, cause: str, style: str):
    told = {"state": state, "cause": cause, "since": None, "detail": "", "next_s": 0}
    rows = [{"id": "a", "label": "", "gateway": "gw", "condition": told}]
    table = devices_table(Console(file=StringIO(), force_terminal=True), rows, SECOND)
    (cell,) = table.columns[3].cells
    assert isinstance(cell, Text)
    assert str(cell.style) == style


async def test_ctrl_c_ends_the_watch_cleanly(site: Site, tmp_path: Path):
    await adopted(site)
    with command(tmp_path, "watch", "--data", site.folder, "devices", "watch") as watching:
        await asyncio.to_thread(watching.wait_for, "hr-1  unknown")
        assert await asyncio.to_thread(watching.stop, signal.SIGINT) == 0
        assert watching.err == ""
