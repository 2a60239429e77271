"""Hearthward: remote patient monitoring gateway and alarm system."""

__version__ = "0.1.0"
