"""What a radio's errors are for people: bleak's, D-Bus's and the operating system's as one LinkError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from devices.links.watchdog import AdapterState, Watchdog
from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

__all__ = ["radio_errors", "stuck_cause"]


def stuck_cause(watchdog: Watchdog) -> dict[str, str]:
    """A device cannot be reached through an adapter that is stuck, whatever else is said."""
    return {"cause": Cause.RADIO_STUCK.value} if watchdog.state is AdapterState.STUCK else {}


@contextmanager
def radio_errors(spec: str, watchdog: Watchdog, address: str | None = None) -> Iterator[None]:
    """Errors of the radio ``spec``, or about the device that was heard at ``address``.

    Raises LinkError that says what to do.
    """
    from bleak.exc import BleakBluetoothNotAvailableError, BleakError

    try:
        yield
    except BleakBluetoothNotAvailableError as error:
        msg = f"no usable Bluetooth adapter ({error.args[0]}); plugged in, powered? `bluetoothctl show`"
        raise LinkError(msg, radio=spec, **stuck_cause(watchdog)) from error
    except (BleakError, TimeoutError) as error:
        what = address or spec
        msg = f"{what}: {str(error) or 'time is up'}".replace(f"{what}: {what}", what)
        raise LinkError(msg, radio=spec, heard=address is not None, **stuck_cause(watchdog)) from error
    except (FileNotFoundError, ConnectionError) as error:
        raise LinkError(_missing(spec, error), radio=spec, **stuck_cause(watchdog)) from error
    except OSError as error:
        msg = f"{spec}: {error.strerror or error}"
        raise LinkError(msg, radio=spec, **stuck_cause(watchdog)) from error


def _missing(spec: str, error: OSError) -> str:
    if spec == "bluez":
        return "no Bluetooth: BlueZ cannot be reached over D-Bus; install bluez and start bluetooth.service"
    return f"{spec}: nobody there ({error.strerror or error})"
