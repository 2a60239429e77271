"""Serial ports of this machine, and what is known of the instrument behind one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware_profiles import DeviceFacts

__all__ = ["SerialPort", "list_ports", "port_facts"]


@dataclass(frozen=True, slots=True)
class SerialPort:
    """One port: its path, ``vid:pid`` (lower-case hexadecimal) when on USB, and a description for people."""

    path: str
    usb: str | None
    description: str
    manufacturer: str | None = None
    product: str | None = None


def list_ports() -> list[SerialPort]:
    """The serial ports found, sorted by path. Reads the operating system's device tree: some milliseconds."""
    from serial.tools import list_ports as discovery

    found = [
        SerialPort(
            path=port.device,
            usb=None if port.vid is None or port.pid is None else f"{port.vid:04x}:{port.pid:04x}",
            description=port.description or port.device,
            manufacturer=port.manufacturer,
            product=port.product,
        )
        for port in discovery.comports()
    ]
    return sorted(found, key=lambda port: port.path)


def port_facts(path: str) -> DeviceFacts:
    """What the port's adapter says of itself; a pty or an on-board port says nothing."""
    real = str(Path(path).resolve())
    for port in list_ports():
        if real in {port.path, str(Path(port.path).resolve())}:
            return DeviceFacts(
                transport="serial", usb=port.usb, manufacturer=port.manufacturer, model=port.product
            )
    return DeviceFacts(transport="serial")
