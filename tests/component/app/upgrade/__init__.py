"""Data folders as earlier releases left them, and how one is made."""
