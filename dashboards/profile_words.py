"""What the shipped catalogue's profiles are called in the language of the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from dashboards.choices import Choices
from dashboards.i18n import N_, translations
from dashboards.models import ProfileChoice

__all__ = ["TITLES", "titles_in"]

TITLES: Final = frozenset(
    {
        N_("A&D blood pressure cuffs, UA-651BLE and its kin (Bluetooth Blood Pressure Service, bonded)"),
        N_("A&D thermometer UT-201BLE (Bluetooth Health Thermometer Service, bonded)"),
        N_("A&D weight scales, UC-352BLE and its kin (Bluetooth Weight Scale Service, bonded)"),
        N_("Beurer BM 85 blood pressure cuff"),
        N_("Beacon that tells its own temperature and battery voltage (Eddystone-TLM)"),
        N_("Blood pressure cuff (Bluetooth Blood Pressure Service)"),
        N_("Body composition scale (Bluetooth Body Composition Service)"),
        N_("Contec CMS50D+ and relatives, firmware up to 4.5 (five bytes, 19200 baud)"),
        N_("Contec CMS50D+, E and F, firmware from 4.6 on (nine bytes, 115200 baud)"),
        N_("Contec CMS50D-BT and EMAY SleepO2, Bluetooth"),
        N_("Continuous glucose monitor (Bluetooth CGM Service)"),
        N_("Glucose meter (Bluetooth Glucose Service)"),
        N_("Heart rate sensor (Bluetooth Heart Rate Service)"),
        N_("Instrument that reports its own sensors, cycle by cycle (serial)"),
        N_("Masimo MightySat fingertip oximeter"),
        N_("Masimo pulse oximeter, serial ASCII 1 (Rad-8 and relatives)"),
        N_("Nonin 3230, 3231 and 3150 BLE pulse oximeters (Nonin's own Bluetooth service)"),
        N_("Nonin pulse oximeter, serial data format 13 (spot checks with time, store and forward)"),
        N_("Nonin pulse oximeter, serial data format 2 (pleth of 8 bits)"),
        N_("Nonin pulse oximeter, serial data format 7 (pleth of 16 bits)"),
        N_("Nonin pulse oximeter, serial data format 8 (a value a second)"),
        N_("Omron cuffs with the Bluetooth Blood Pressure Service (HEM-9200T and its kin, passkey)"),
        N_("Pulse oximeter (Bluetooth Pulse Oximeter Service)"),
        N_("Pulse oximeter, spot checks only (Bluetooth Pulse Oximeter Service)"),
        N_("Room sensor (Bluetooth Environmental Sensing Service)"),
        N_("Silvercrest SBM 69 blood pressure cuff (Bluetooth Blood Pressure Service, passkey)"),
        N_("BerryMed BM1000B, BM1000C and BM1000E fingertip oximeters (BCI protocol)"),
        N_("Jumper JPD-500F and JPD-500G oximeters, Custom PLS-01BT (Jumper's own Bluetooth service)"),
        N_("Jumper JPD-HA120 blood pressure cuff"),
        N_("Medisana BS 430 body composition scale"),
        N_("Medisana BS 410, BS 440 and BS 444 body composition scales"),
        N_("Sanitas SBF70, Silvercrest SBF75 and Beurer BF 710 scales, weight"),
        N_("Wellue and Viatom O2Ring, Checkme O2, SleepU, WearO2, Oxylink worn oximeters (not the O2Ring-S)"),
        N_("Wellue O2Ring-S worn oximeter (T8520)"),
        N_("Kinsa smart thermometer (the model with the service 006b)"),
        N_("Wellue, Viatom and Creative PC-60FW fingertip oximeters (and PC-60F, PC-60NW, OxySmart)"),
        N_("Yuwell YX110 fingertip oximeter"),
        N_("Thermometer (Bluetooth Health Thermometer Service)"),
        N_("Users of a device, with their consent (Bluetooth User Data Service)"),
        N_("Weight scale (Bluetooth Weight Scale Service)"),
        N_("Xiaomi Mi Body Composition Scale, first and second (MIBCS, MIBFS)"),
        N_("Xiaomi Mi Smart Scale, first and second (weight only)"),
    }
)
"""Titles as the catalogue's files have them in English."""


def titles_in(language: str, profiles: Iterable[ProfileChoice]) -> Mapping[str, ProfileChoice]:
    """Profiles by id, their titles in a language of the pages; a site's own say what their file says."""
    tongue = translations(language)
    return Choices(
        p.model_copy(update={"title": tongue.gettext(p.title)}) if p.title in TITLES else p for p in profiles
    )
