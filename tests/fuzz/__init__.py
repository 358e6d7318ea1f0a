"""Damaged files for every reader. `python -m tests.fuzz` prints what came of it; a format is one entry, see `formats.py`."""
