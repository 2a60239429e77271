"""``hearthward profiles record``: frames of a live device, as vectors for its profile."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from devices.cutting import Cutting
from devices.links.base import DeviceLink
from devices.links.factory import Links
from devices.links.radio import open_radio
from devices.session import DeviceConfig
from firmware_profiles import DeviceFacts, Profile
from firmware_profiles.document import read_document
from firmware_profiles.resolve import parse
from firmware_profiles.writing import Captured, vectors_text
from hearthward.app.files import write_atomically
from hearthward.core.clock import Clock, iso
from hearthward.core.errors import ConfigError, DecodeError, LinkError
from hearthward.core.settings import Settings

__all__ = ["EACH_SOURCE", "Recorded", "append_vectors", "checked", "record", "record_device"]

EACH_SOURCE: Final = 5
"""Different frames of one source that are kept by default."""


@dataclass(slots=True)
class Recorded:
    """What a device sent: different frames in the order of their coming, and how many came in all."""

    frames: list[Captured] = field(default_factory=list)
    heard: int = 0
    noise: int = 0
    facts: DeviceFacts | None = None


async def record(
    link: DeviceLink, profile: Profile, *, seconds: float, each: int, clock: Clock, into: Recorded
) -> Recorded:
    """Listen for ``seconds``; keep the first ``each`` different frames of each source in ``into``.

    Raises LinkError when the device cannot be reached, or left before it sent anything.
    """
    seen: dict[str, set[bytes]] = {}
    try:
        facts = into.facts = await link.connect()
        where = _who(profile, facts)

        def heard(source: str, payload: bytes, _ago: int = 0) -> None:
            into.heard += 1
            known = seen.setdefault(source, set())
            if payload not in known and len(known) < each:
                known.add(payload)
                day = iso(clock.now_ns())[:10]
                into.frames.append(Captured(source, payload, f"captured {day} from {where}"))

        def noise(_head: bytes, _error: DecodeError) -> None:
            into.noise += 1

        cutting = Cutting(profile, heard, noise)
        try:
            async with asyncio.timeout(seconds):
                await link.run(profile.session, cutting)
        finally:
            cutting.end()
    except TimeoutError:
        pass
    except LinkError:
        if not into.frames:
            raise
    finally:
        await link.close()
    return into


def _who(profile: Profile, facts: DeviceFacts) -> str:
    """The device's own words without what tells one piece from another: no address, no serial number."""
    known = [text for text in (facts.manufacturer, facts.model) if text]
    firmware = f", firmware {facts.firmware}" if facts.firmware else ""
    return f"{' '.join(known) or facts.name or profile.title}{firmware}"


async def record_device(
    profile: Profile,
    address: str,
    *,
    settings: Settings,
    radio: str | None,
    seconds: float,
    each: int,
    clock: Clock,
) -> Recorded:
    """Record the device at ``address`` (a Bluetooth address, or a port's path).

    It uses and keeps the gateway's bonds: a device that keeps a single one would refuse its gateway later.
    Raises ConfigError and LinkError.
    """
    serial = profile.transport == "serial"
    config = DeviceConfig("recorded", "serial" if serial else "ble", address, profile.id)
    recorded = Recorded()

    def noise(_head: bytes, _error: DecodeError) -> None:
        recorded.noise += 1

    async with AsyncExitStack() as stack:
        bonds = settings.data / "edge" / "bonds.json"
        opened = (
            None
            if serial
            else await stack.enter_async_context(open_radio(radio or settings.edge.radio, bonds=bonds))
        )
        link = Links(opened)(config, profile, noise)
        return await record(link, profile, seconds=seconds, each=each, clock=clock, into=recorded)


def append_vectors(path: Path, profile: Profile, frames: list[Captured]) -> int:
    """Put captured frames at the end of a profile file's vectors, if the file is right with them.

    Frames that stand there already are left out; returns how many were added. The file is written as a
    whole or not at all. Raises ConfigError when ``vectors`` is not its last section.
    """
    known = {(vector.source, vector.payload) for vector in profile.document.vectors}
    fresh = [frame for frame in frames if (frame.source, frame.payload) not in known]
    if not fresh:
        return 0
    before = path.read_text(encoding="utf-8")
    last = [line for line in before.splitlines() if line[:1] not in {"", " ", "#", "-"}]
    if not last or last[-1].rstrip() != "vectors:":
        msg = "`vectors:` must be the last section, with its entries on lines of their own"
        raise ConfigError(msg, file=str(path))
    added = vectors_text(profile, fresh).partition("\n")[2]
    write_atomically(path, checked(before.rstrip("\n") + "\n" + added, path))
    return len(fresh)


def checked(text: str, path: Path) -> bytes:
    """A profile file's text, once it has been read back as one. Raises ProfileError, naming ``path``."""
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / path.name
        beside.write_text(text, encoding="utf-8")
        parse(replace(read_document(beside), file=str(path)))
    return text.encode()
