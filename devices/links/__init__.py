"""devices/links."""
