"""What pages and API show of consent: who may see what of a patient's, until when, and who looked."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Instant

__all__ = ["PARTS", "Consent", "ConsentState", "Look", "Part", "Relative"]

Part = Literal["values", "alarms", "plan"]
"""What a patient can let a relative see: values and trends, alarms, the care plan and what was done of it."""
PARTS: Final[tuple[Part, ...]] = ("values", "alarms", "plan")
ConsentState = Literal["in_force", "over", "revoked"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Consent(_View):
    """A patient lets a relative see something from ``start`` to ``until``."""

    id: str
    patient: str
    person: str = Field(description="id of the relative's login")
    person_name: str = ""
    sees: list[Part]
    start: Instant
    until: Instant | None = Field(None, description="null: until it is taken back")
    state: ConsentState = Field(description="`revoked`: taken back, or replaced by a later one")
    revoked: Instant | None = None


class Relative(_View):
    """Somebody who has a login to look at one patient's page, and what that patient lets them see now."""

    id: str
    login: str
    name: str
    disabled: bool = Field(default=False, description="an administrator lets them in no longer")
    joined: bool = Field(default=False, description="whether they have set a password of their own yet")
    consent: Consent | None = Field(None, description="what holds now; null: they see nothing")


class Look(_View):
    """That somebody looked at a patient's data, as the patient may know it: staff by role, not by name."""

    first: Instant
    last: Instant
    times: int
    who: Literal["self", "relative", "nurse", "doctor", "admin", "engineer", "display", "other"]
    name: str = Field("", description="of a relative only")
    what: list[str] = Field(description="actions such as `view_readings`")
