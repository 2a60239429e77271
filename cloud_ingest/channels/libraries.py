"""The libraries of the channels: heavy ones are imported when first needed, in a thread, one at a time.

One at a time, because some of them set and reset the process's filters of warnings while they are imported:
two at once can leave a filter of one undone by the other, and a harmless warning on stderr.
"""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import Any

__all__ = ["library"]

_importing = Lock()


def library(name: str) -> Any:
    """The module ``name``, imported when it is not yet; blocks while another is being imported.

    Raises ImportError.
    """
    with _importing:
        return import_module(name)
