"""``hearthward rules draft|shadow|approve|activate|rollback|withdraw|releases`` over a running cloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud_ingest.records import Accounts, Records
from hearthward.app import rulebook
from hearthward.app.cli import main
from hearthward.app.release_commands import PASSWORD
from hearthward.core.errors import AccessError, ConfigError, HearthwardError
from hearthward.core.settings import Settings
from hearthward.trust.access import Role, Scope
from hearthward.trust.passwords import Passwords
from tests.component.app.test_people import cloud
from tests.unit.dashboards.webworld import RULE

SCOPE = Scope.system("main")
SECRET = "right horse battery"  # noqa: S105 - of the test's own people
NEWER = RULE.replace("version: 2", "version: 9")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "spo2-low.yaml"
    path.write_text(NEWER)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(NEWER.replace("priority: high", "priority: loud"))
    return path


@pytest.fixture
async def running(settings: Settings) -> AsyncIterator[Records]:
    async with cloud(settings) as records:
        accounts = Accounts(records, Passwords.cheap())
        for login, role in (("li.na", Role.DOCTOR), ("max", Role.ADMIN), ("nurse", Role.NURSE)):
            await accounts.add(SCOPE, login=login, name=login.title(), roles=[role], password=SECRET)
        yield records


async def drafted(settings: Settings, file: Path) -> str:
    return (await rulebook.draft(settings, "li.na", SECRET, file, "calmer")).partition(":")[0]


@pytest.mark.usefixtures("running")
async def test_two_people_bring_a_rule_into_force_and_one_rolls_it_back(settings: Settings, file: Path):
    release = await drafted(settings, file)
    said = await rulebook.step(settings, "li.na", SECRET, release, "shadow")
    assert "never signalled" in said
    assert f"hearthward rules approve {release}" in said
    with pytest.raises(AccessError, match="second person"):
        await rulebook.step(settings, "li.na", SECRET, release, "approve")
    await rulebook.step(settings, "max", SECRET, release, "approve")
    assert "in force" in await rulebook.step(settings, "li.na", SECRET, release, "activate")
    header, line = (await rulebook.list_releases(settings)).splitlines()
    assert header.split()[:4] == ["RELEASE", "RULE", "VERSION", "STATE"]
    assert line.split()[:4] == [release, "spo2-low", "9", "active"]
    assert line.endswith("Li.Na       Max          calmer")
    assert "rolled back" in await rulebook.roll_back(settings, "max", SECRET, "spo2-low")
    with pytest.raises(ConfigError, match="nothing to roll back"):
        await rulebook.roll_back(settings, "max", SECRET, "spo2-low")


async def test_whoever_logs_in_is_logged_out_and_named_in_the_audit(
    settings: Settings, file: Path, running: Records
):
    release = await drafted(settings, file)
    events = await running.read(lambda s: list(running.audit(s).list(SCOPE, limit=10)))
    user = await running.read(lambda s: running.users(s).by_login(SCOPE, "li.na"))
    assert user is not None
    assert [(e.actor, e.action, e.resource_kind) for e in events][:3] == [
        (user.id, "logout", "session"),
        (user.id, "draft_rule", "rule"),
        (user.id, "login", "session"),
    ]
    assert (events[1].detail["release"], len(events[1].detail["hash"])) == (release, 16)


@pytest.mark.usefixtures("running")
async def test_refusals_are_told_in_words(settings: Settings, file: Path, wrong: Path, tmp_path: Path):
    with pytest.raises(AccessError, match="wrong login or password"):
        await rulebook.draft(settings, "li.na", "wrong password", file, "")
    with pytest.raises(AccessError, match="may not draft rule"):
        await rulebook.draft(settings, "nurse", SECRET, file, "")
    with pytest.raises(HearthwardError, match="no release 'none'"):
        await rulebook.step(settings, "max", SECRET, "none", "approve")
    with pytest.raises(ConfigError, match="line 6"):
        await rulebook.draft(settings, "li.na", SECRET, wrong, "")
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory$"):
        await rulebook.draft(settings, "li.na", SECRET, tmp_path / "none.yaml", "")
    (tmp_path / "latin.yaml").write_bytes("id: grün".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        await rulebook.draft(settings, "li.na", SECRET, tmp_path / "latin.yaml", "")
    assert await rulebook.list_releases(settings) == "no releases yet: hearthward rules draft FILE"


async def test_without_a_running_cloud_nothing_is_released(settings: Settings, file: Path):
    with pytest.raises(ConfigError, match="no cloud runs"):
        await rulebook.draft(settings, "li.na", SECRET, file, "")
    assert not settings.data.exists()


@pytest.mark.usefixtures("running", "clean_settings")
async def test_the_password_comes_from_the_environment_or_is_asked_for(
    settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
):
    def command(*words: str, typed: str | None = None) -> str:
        result = CliRunner().invoke(main, ["--data", str(settings.data), "rules", *words], input=typed)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    said = await asyncio.to_thread(command, "draft", str(file), "--login", "li.na", typed=f"{SECRET}\n")
    release = said.partition(":")[0]
    assert release.startswith("rel_")
    monkeypatch.setenv(PASSWORD, SECRET)
    for act, login in (("shadow", "li.na"), ("approve", "max"), ("activate", "max")):
        said = await asyncio.to_thread(command, act, release, "--login", login)
    assert "is active" in said
    assert release in await asyncio.to_thread(command, "releases")
    assert "rolled back" in await asyncio.to_thread(command, "rollback", "spo2-low", "--login", "li.na")
