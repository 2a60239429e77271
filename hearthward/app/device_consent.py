"""``hearthward devices consent``: whose measurements a device may tell this machine's gateway."""

from __future__ import annotations

from devices.consents import NO_USER, Consent, Consents
from devices.links.radio import CONSENTS
from hearthward.app.device_adopt import BLUETOOTH
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings

__all__ = ["give_consent"]


async def give_consent(settings: Settings, address: str, user: int | None, code: int | None) -> None:
    """Keep a consent where this machine's gateway looks for it; no ``user``: nobody's.

    Raises ConfigError for what is no Bluetooth address, and OSError.
    """
    if not BLUETOOTH.fullmatch(address):
        msg = (
            f"{address!r} is no Bluetooth address such as C0:12:34:56:78:9A; `hearthward devices scan` shows "
            "them"
        )
        raise ConfigError(msg, field="address")
    folder = settings.data / "edge"
    folder.mkdir(parents=True, exist_ok=True)
    consent = Consent(NO_USER) if user is None else Consent(user, code or 0)
    await Consents(folder / CONSENTS).keep(address, consent)
