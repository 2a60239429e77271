"""Measurements: ``./dev bench [NAME...]``. No test depends on them; docs/measurements.md has figures."""
