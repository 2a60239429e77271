"""By what people are reached: telephone numbers and addresses, in the one form in which they are kept."""

from __future__ import annotations

import re
from typing import Final

from cloud_ingest.records.scoping import refuse_code

__all__ = ["check_email", "check_phone"]

E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
EMAIL: Final = re.compile(r"[^@\s<>,;:\"()\[\]\\]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
MAX_EMAIL: Final = 254


def check_phone(phone: str | None, field: str = "phone") -> str | None:
    """A number in the international form (E.164) without blanks, or none."""
    number = re.sub(r"[\s().-]", "", phone or "")
    if not number:
        return None
    if not E164.fullmatch(number):
        refuse_code(
            field, "phone", phone, f"{phone!r}: give it as +, country, number, such as +8613800138000"
        )
    return number


def check_email(email: str | None, field: str = "email") -> str | None:
    """An address, or none."""
    address = (email or "").strip()
    if not address:
        return None
    if len(address) > MAX_EMAIL or not address.isprintable() or not EMAIL.fullmatch(address):
        refuse_code(field, "email", email, f"{email!r} is no address; give one such as name@hospital.example")
    return address
