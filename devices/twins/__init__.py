"""devices/twins."""
