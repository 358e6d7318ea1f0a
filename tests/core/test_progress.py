"""Work is heard where somebody listens, and costs nothing where nobody does."""

from __future__ import annotations

import time

import pytest

from blockzoo.core.progress import Task, followed, heard_by, working


class Ears:
    def __init__(self) -> None:
        self.heard: list[tuple[str, str, float]] = []

    def began(self, task: Task) -> None:
        self.heard.append(("began", task.what, task.done))

    def moved(self, task: Task) -> None:
        self.heard.append(("moved", task.what, task.done))

    def ended(self, task: Task) -> None:
        self.heard.append(("ended", task.what, task.done))


def test_what_is_heard() -> None:
    ears = Ears()
    with heard_by(ears):
        assert list(followed("ab", "letters", 2)) == ["a", "b"]
        with pytest.raises(KeyError), working("searching"):
            raise KeyError
    with working("alone"):
        pass
    assert ears.heard == [
        ("began", "letters", 0),
        ("moved", "letters", 1),
        ("moved", "letters", 2),
        ("ended", "letters", 2),
        ("began", "searching", 0),
        ("ended", "searching", 0),
    ]


def test_what_is_left_follows_from_what_is_done() -> None:
    task = Task("x", 10, began=time.monotonic() - 30)
    assert task.left is None
    task.done = 2.5
    assert task.left == pytest.approx(90, abs=1) and task.share == 0.25
    assert Task("x").share is None and Task("x", done=3).left is None
