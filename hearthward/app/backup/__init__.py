"""Copies of the cloud's data, taken while it runs, and the way back (docs/operations.md, Backup)."""
