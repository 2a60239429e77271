"""Trained models: small versioned files, evaluated in pure Python, and what they are given to look at."""
