"""What is damaged, one file for each kind of reader; importing this registers all of it."""

from tests.fuzz.entries import datasets

__all__ = ["datasets"]
