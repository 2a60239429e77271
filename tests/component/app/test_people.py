"""``hearthward users`` both ways: over a running cloud's API, and straight in the records."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud_ingest.records import Accounts, Records, RecordsAuditLog
from cloud_ingest.service import CloudService
from cloud_ingest.sources.fake import MemorySource
from cloud_ingest.stores.fake import MemoryStore
from dashboards import create_app
from hearthward.app.lock import FolderLock
from hearthward.app.owner import owner_file, write_owner
from hearthward.app.people import add_user, let_in, list_users, log_out, new_link, new_password
from hearthward.core.clock import SystemClock
from hearthward.core.errors import AccessError, ConfigError, HearthwardError, StoreUnavailable
from hearthward.core.ids import RandomIds
from hearthward.core.settings import Settings, WebSettings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role, Scope
from hearthward.trust.passwords import Passwords
from rules import load_rules

SCOPE = Scope.system("main")
CHOSEN = "right horse battery"
TOKEN = "the-owner's-token"  # noqa: S105 - of this test's own server
ADMIN = frozenset({Role.ADMIN})


class Quiet(uvicorn.Server):
    """The tests' process keeps its own signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Records]:
    path = settings.data / "cloud" / "records.db"
    records = await asyncio.to_thread(Records.open, path, clock=SystemClock(), ids=RandomIds())
    try:
        yield records
    finally:
        await records.close()


@asynccontextmanager
async def serving(app: Any, tls: tuple[Path, Path] | None = None) -> AsyncIterator[str]:
    """The application on a free port of this machine."""
    certificate, key = tls or (None, None)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        ssl_certfile=certificate,
        ssl_keyfile=None if key is None else str(key),
    )
    server = Quiet(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="web")
    try:
        while not server.started:
            assert not task.done(), await task
            await asyncio.sleep(0.01)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        if hasattr(app, "state"):
            app.state.hub.close()
        server.should_exit = True
        await task
        listening.close()


@asynccontextmanager
async def cloud(settings: Settings, roles: frozenset[Role] = ADMIN) -> AsyncIterator[Records]:
    """A running cloud: lock, records, service, pages, owner's file."""
    with FolderLock(settings.data / "cloud"):
        async with opened(settings) as records:
            store = MemoryStore()
            service = CloudService(
                records=records,
                store=store,
                source=MemorySource(),
                rules=load_rules(),
                clock=SystemClock(),
                telemetry=Telemetry(),
                settings=settings.cloud,
            )
            running = asyncio.create_task(service.run(), name="cloud")
            await service.started.wait()
            who = Principal("command-line", "command line", "main", roles, kind="service")
            app = create_app(service, telemetry=Telemetry(), services={TOKEN: who})
            try:
                async with serving(app) as url:
                    write_owner(settings.data / "cloud", url, TOKEN)
                    yield records
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await store.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture(params=["running", "stopped"])
async def side(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Settings]:
    """The command's settings, with a cloud running on its folder or not."""
    if request.param == "stopped":
        yield settings
        return
    async with cloud(settings):
        yield settings


async def nurse(settings: Settings, login: str = "li.na", **more: Any) -> str:
    fields: dict[str, Any] = {"roles": ("nurse",), "name": "Li Na", "wards": (), "patient": None}
    return await add_user(settings, login, **{**fields, **more})


def password_in(text: str) -> str:
    return text.rpartition("password (shown only now): ")[2]


async def who_is(settings: Settings, login: str, password: str) -> Principal:
    async with opened(settings) as records:
        return await Accounts(records, Passwords()).authenticate(SCOPE, login, password)


async def test_a_login_is_added_listed_and_gets_another_password(side: Settings):
    added = await nurse(side, " Li.Na ")
    assert added.startswith("added li.na (Li Na): nurse\n")
    first = password_in(added)
    who = await who_is(side, "li.na", first)
    assert (who.roles, who.wards, who.name) == ({Role.NURSE}, None, "Li Na")
    await nurse(side, "boss", roles=("admin", "engineer"), name=None)
    lines = (await list_users(side)).splitlines()
    assert [line.split() for line in lines] == [
        ["LOGIN", "ROLES", "WARDS", "NAME"],
        ["boss", "admin,", "engineer", "all", "boss"],
        ["li.na", "nurse", "all", "Li", "Na"],
    ]
    changed = await new_password(side, "Li.Na")
    assert changed.startswith("li.na has a new password")
    second = password_in(changed)
    assert second != first
    with pytest.raises(AccessError):
        await who_is(side, "li.na", first)
    assert (await who_is(side, "li.na", second)).user == who.user


async def test_a_link_lets_somebody_choose_a_password_once(side: Settings):
    await nurse(side)
    text = await new_link(side, "Li.Na")
    assert text.startswith("li.na chooses a password here")
    url = text.rpartition("\n")[2]
    assert url.startswith("http://127.0.0.1:")
    async with opened(side) as records:
        accounts, secret = Accounts(records, Passwords()), url.rpartition("/link/")[2]
        who = await accounts.use_link(SCOPE, secret, password=CHOSEN)
        assert who.name == "Li Na"
        with pytest.raises(AccessError):
            await accounts.use_link(SCOPE, secret, password=CHOSEN)


async def test_somebody_is_let_in_no_longer_and_again(side: Settings):
    first = password_in(await nurse(side))
    secret = (await new_link(side, "li.na")).rpartition("/link/")[2]
    assert "let in no longer" in await let_in(side, "li.na", allowed=False)
    assert "(disabled)" in await list_users(side)
    with pytest.raises(AccessError):
        await who_is(side, "li.na", first)
    with pytest.raises(ConfigError, match="let in no longer"):
        await new_link(side, "li.na")
    assert "may log in again" in await let_in(side, "li.na", allowed=True)
    who = await who_is(side, "li.na", first)
    async with opened(side) as records:
        accounts = Accounts(records, Passwords())
        with pytest.raises(AccessError):
            await accounts.use_link(SCOPE, secret, password=CHOSEN)
        token = await accounts.open_session(who)
        assert await accounts.principal(SCOPE, token.secret) == who
    assert "logged out everywhere" in await log_out(side, "li.na")
    async with opened(side) as records:
        assert await Accounts(records, Passwords()).principal(SCOPE, token.secret) is None


async def test_the_last_administrator_is_not_locked_out(side: Settings):
    await nurse(side, "boss", roles=("admin",))
    with pytest.raises(ConfigError, match="last administrator"):
        await let_in(side, "boss", allowed=False)


async def test_wards_patients_and_disabled_logins_are_shown(side: Settings):
    async with opened(side) as records:

        def furnish(session: Any) -> tuple[str, str]:
            directory = records.directory(session)
            ward = directory.wards.create(SCOPE, name="Ward A")
            return ward.id, directory.patients.create(SCOPE, name="Rosa").id

        ward, patient = await records.run(furnish)
        assert f": nurse for {ward}\n" in await nurse(side, wards=(ward,))
        await nurse(side, "rosa", roles=("patient",), patient=patient, name="Rosa")
        gone = await records.read(lambda s: records.users(s).by_login(SCOPE, "li.na"))
        assert gone is not None
        await records.run(lambda s: records.users(s).disable(SCOPE, gone.id))
    text = await list_users(side)
    assert f"li.na  nurse    {ward}  Li Na (disabled)" in text
    assert f"Rosa (patient {patient})" in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"login": "no blanks"}, "login"),
        ({"login": "taken"}, "login"),
        ({"roles": ("nurse", "display")}, "roles"),
        ({"wards": ("nowhere",)}, "ward"),
        ({"roles": ("patient",)}, "patient"),
    ],
)
async def test_a_refusal_names_the_field_either_way(side: Settings, fields: dict[str, Any], said: str):
    await nurse(side, "taken")
    with pytest.raises(ConfigError) as caught:
        await nurse(side, **fields)
    assert str(caught.value).startswith(said)
    assert len((await list_users(side)).splitlines()) == 2


@pytest.mark.parametrize("login", ["nobody", "no/body", "..", "", "a b\r\nX: y"])
async def test_an_unknown_login_gets_no_password(side: Settings, login: str):
    await nurse(side)
    for act in (new_password(side, login), new_link(side, login), log_out(side, login)):
        with pytest.raises(ConfigError, match="there is no"):
            await act


async def test_both_ways_are_audited_without_names_or_passwords(side: Settings):
    first = password_in(await nurse(side))
    second = password_in(await new_password(side, "li.na"))
    async with opened(side) as records:
        events = await RecordsAuditLog(records).events("main")
    changes = [e for e in events if e.action == "manage_users"]
    assert [(e.actor, e.detail["do"], e.outcome) for e in changes] == [
        ("command-line", "password", "done"),
        ("command-line", "create", "done"),
    ]
    assert len({e.resource_id for e in changes}) == 1
    for secret in (first, second, "Li Na"):
        assert secret not in str(events)


async def test_direct_work_gives_everything_back(settings: Settings):
    await nurse(settings)
    with FolderLock(settings.data / "cloud"):
        pass
    with pytest.raises(ConfigError):
        await nurse(settings)
    with FolderLock(settings.data / "cloud"):
        pass
    assert (settings.data / "cloud" / "records.db").stat().st_mode & 0o777 == 0o600


async def test_looking_at_a_folder_without_records_makes_nothing(settings: Settings):
    for act in (list_users(settings), new_password(settings, "li.na")):
        with pytest.raises(ConfigError, match="no logins here yet"):
            await act
    assert not settings.data.exists()


async def test_nobody_yet(settings: Settings):
    async with opened(settings):
        pass
    assert "hearthward users add" in await list_users(settings)


async def test_what_an_ended_cloud_left_is_not_used(settings: Settings):
    async with cloud(settings):
        await nurse(settings)
    assert owner_file(settings.data / "cloud").exists()
    assert "li.na" in await list_users(settings)


async def test_a_proxy_in_the_environment_is_not_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with cloud(settings):
        assert "added" in await nurse(settings)


async def test_a_token_file_open_to_others_is_refused(settings: Settings):
    async with cloud(settings):
        owner_file(settings.data / "cloud").chmod(0o644)
        with pytest.raises(ConfigError, match="open to others"):
            await list_users(settings)


async def test_a_cloud_that_has_not_started_yet_is_waited_for(settings: Settings):
    async with opened(settings):
        pass
    folder = settings.data / "cloud"
    with FolderLock(folder):
        with pytest.raises(StoreUnavailable, match=rf"process {os.getpid()}.*try again"):
            await list_users(settings)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        write_owner(folder, f"http://127.0.0.1:{port}", TOKEN)
        with pytest.raises(StoreUnavailable, match="try again"):
            await list_users(settings)


async def test_an_earlier_runs_token_is_told_as_such(settings: Settings):
    async with cloud(settings):
        folder = settings.data / "cloud"
        url = owner_file(folder).read_text().split('"')[3]
        write_owner(folder, url, "older")
        with pytest.raises(StoreUnavailable, match="try again"):
            await list_users(settings)


async def test_a_token_without_the_role_is_refused(settings: Settings):
    async with cloud(settings, frozenset({Role.NURSE})):
        for act in (nurse(settings), list_users(settings)):
            with pytest.raises(AccessError, match="may not"):
                await act


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for a host of that name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return files


async def test_with_tls_only_the_clouds_own_certificate_is_trusted(settings: Settings, tmp_path: Path):
    own, other = self_signed(tmp_path, "ward.test"), self_signed(tmp_path, "other.test")

    def configured(tls: tuple[Path, Path] | None) -> Settings:
        pair = {} if tls is None else {"tls_certificate": tls[0], "tls_key": tls[1]}
        return settings.model_copy(update={"web": WebSettings(**pair)})

    async with opened(settings):
        pass
    with FolderLock(settings.data / "cloud"):
        async with serving(answering(b'{"items": []}'), own) as url:
            port = url.rpartition(":")[2]
            write_owner(settings.data / "cloud", f"https://0.0.0.0:{port}", TOKEN)
            assert "nobody may log in yet" in await list_users(configured(own))
            for wrong in (other, None):
                with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                    await list_users(configured(wrong))


def answering(body: bytes) -> Any:
    """An application that gives the same answer to everything."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                event = await receive()
                await send({"type": f"{event['type']}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b"{}", b'{"items": [{}]}', b'{"items": 7}'])
async def test_something_else_on_the_port_is_no_cloud(settings: Settings, body: bytes):
    async with opened(settings):
        pass
    with FolderLock(settings.data / "cloud"):
        async with serving(answering(body)) as url:
            write_owner(settings.data / "cloud", url, TOKEN)
            with pytest.raises(HearthwardError, match="no usable answer"):
                await list_users(settings)
