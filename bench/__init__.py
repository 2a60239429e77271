"""Measurements: ``./dev bench [NAME...]``. No test depends on their figures; docs/measurements.md has them."""
