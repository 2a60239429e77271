"""What every part of a profile file is made of: strict mappings, names, texts, units of time."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

__all__ = [
    "Bit",
    "Certainty",
    "Day",
    "Hex",
    "Ident",
    "Name",
    "Positive",
    "QualityName",
    "Strict",
    "Text",
    "Uuid",
]

Ident = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
Uuid = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{4}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")]
Positive = Annotated[float, Field(gt=0, le=86_400 * 366)]
Bit = Annotated[int, Field(ge=0, le=31)]
QualityName = Literal[
    "demo",
    "test",
    "clock_unset",
    "sensor_off",
    "poor_signal",
    "motion",
    "ongoing",
    "out_of_range",
    "from_store",
    "invalid",
]
Certainty = Literal["spec", "captured", "inferred"]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Hex = Annotated[str, StringConstraints(pattern=r"^\s*([0-9a-fA-F]{2}\s*)*$")]
"""Bytes as hexadecimal digits, in pairs."""


class Strict(BaseModel):
    """A mapping whose unknown keys are named together with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            kind, message = "not_a_mapping", "must be a mapping of keys to values"
            raise PydanticCustomError(kind, message)
        known = {info.alias or name for name, info in cls.model_fields.items()}
        if unknown := [key for key in data if key not in known]:
            kind, message = "unknown_keys", "unknown keys"
            raise PydanticCustomError(kind, message, {"unknown": unknown, "known": sorted(known)})
        return data
