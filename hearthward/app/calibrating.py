"""The site's own calibration learned in a process of its own; see ``hearthward.app.child``."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from cloud_ingest.calibrating import Calibrated
from hearthward.app.child import ask_child, run_child
from hearthward.app.recalibrate import recalibrate, rule_text
from hearthward.core.settings import Settings

__all__ = ["ChildCalibrator", "main"]

_RESULT: Final = TypeAdapter(Calibrated)


class ChildCalibrator:
    """Learns of the outcomes in the directory; see ``cloud_ingest.calibrating.Calibrator``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __call__(self) -> Calibrated:
        """See Calibrator."""
        order = (self._settings.model_dump(),)
        found = await ask_child("hearthward.app.calibrating", order, lambda *_: None)
        return _RESULT.validate_python(found)


def main() -> None:
    """Learn, and write the rule's file if it is to be changed."""
    run_child(lambda order: _main(*order))


async def _main(settings: dict[str, Any]) -> Any:
    found = await recalibrate(Settings(**settings))
    if found.learned.refused is None:
        found.text = rule_text(found.learned)
    return _RESULT.dump_python(found, mode="json")


if __name__ == "__main__":
    main()
