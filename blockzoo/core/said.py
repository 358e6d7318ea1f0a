"""What is worth saying once in a process, however often it happens."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)
_said: set[str] = set()


def say_once(sentence: str) -> None:
    """Warn of something that the user should know, the first time."""
    if sentence not in _said:
        _said.add(sentence)
        log.warning(sentence)


def forget_what_was_said() -> None:
    """Say everything again."""
    _said.clear()
