"""Settings that all tests share."""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "thorough", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_collection_finish() -> None:
    """What is imported by now stays, and most of what a test makes goes without a collection of garbage.

    Looking through all of it again and again was a third of the CPU time of all tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)
