"""Which Bluetooth service a standard characteristic belongs to, and what a twin of a profile calls itself."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from devices.twins.peripheral import Identity

__all__ = ["IDENTITIES", "SERVICES"]

_CHARACTERISTICS: Final = {
    "1805": "2a2b 2a0f 2a14",
    "1808": "2a18 2a34 2a51",
    "1809": "2a1c 2a1d 2a1e 2a21",
    "180a": "2a23 2a24 2a25 2a26 2a27 2a28 2a29 2a2a 2a50",
    "180d": "2a37 2a38 2a39",
    "180f": "2a19",
    "1810": "2a35 2a36 2a49",
    "181a": "2a6c 2a6d 2a6e 2a6f 2a76 2a77",
    "181b": "2a9b 2a9c",
    "181c": "2a99 2a9a 2a9f",
    "181d": "2a9d 2a9e",
    "181f": "2aa7 2aa8 2aa9 2aaa 2aab 2aac",
    "1822": "2a5e 2a5f 2a60",
}

SERVICES: Final = MappingProxyType({one: s for s, many in _CHARACTERISTICS.items() for one in many.split()})
"""Characteristic -> its service; the Record Access Control Point and Date Time stand in several."""

IDENTITIES: Final = MappingProxyType(
    {
        "and-ua-651ble": Identity("A&D_UA-651BLE_000001", "A&D Medical", "UA-651BLE"),
        "and-uc-352ble": Identity("A&D_UC-352BLE_000002", "A&D Medical", "UC-352BLE"),
        "and-ut-201ble": Identity("A&D_UT201BLE_000003", "A&D Medical", "UT-201BLE"),
        "beurer-bm85": Identity("BM85", "Beurer GmbH", "BM85"),
        "berry-bci": Identity("BerryMed", "BerryMed", "BM1000C"),
        "contec-cms50d-bt": Identity("SleepO2", "EMAY", "SleepO2"),
        "jumper-ha120": Identity("JPD-HA120", "Jumper", "JPD-HA120"),
        "masimo-mightysat": Identity("MightySat", "Masimo", "MightySat"),
        "medisana-bs430": Identity("0203B0000001", "Transtek", "BS430"),
        "medisana-bs444": Identity("0131970000001", "Transtek", "BS444"),
        "omron-blesmart": Identity("BLESmart_00000116", "OMRON HEALTHCARE", "HEM-9200T"),
        "sanitas-sbf70": Identity("SANITAS SBF70", "Sanitas", "SBF70"),
        "silvercrest-sbm69": Identity("SBM69", "Silvercrest", "SBM69"),
        "wellue-o2ring": Identity("O2Ring 0001", "Viatom", "O2Ring"),
        "wellue-pc60fw": Identity("PC-60FW", "Viatom", "PC-60FW"),
        "xiaomi-mibfs": Identity("MIBFS", "Xiaomi", "MIBFS"),
        "yuwell-yx110": Identity("Yuwell BO-YX110", "Yuwell", "YX110"),
    }
)
"""Profile -> what such a device says of itself, where it is matched by that."""
