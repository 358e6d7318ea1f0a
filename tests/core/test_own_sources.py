"""Files that change beneath a sweep are noticed, by name; files that only look as if they had are not."""

from __future__ import annotations

import os
from pathlib import Path

from blockzoo.core.own_sources import SourceFiles, in_words, own_sources


def test_what_became_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    for name in ("core/one.py", "core/two.py", "three.py", "notes.txt"):
        (tmp_path / name).write_text("x = 1\n")
    files = SourceFiles(tmp_path)
    (tmp_path / "notes.txt").write_text("y = 2\n")
    os.utime(tmp_path / "core" / "two.py", ns=(1, 1))  # touched
    assert files.changes() == []
    (tmp_path / "core" / "one.py").write_text("x = 2\n")  # as long as it was
    (tmp_path / "three.py").unlink()
    (tmp_path / "four.py").write_text("")
    changes = ["three.py is gone", "core/one.py changed", "four.py is new"]
    assert files.changes() == changes and in_words(changes) == ", ".join(changes)
    assert in_words([*changes, "a", "b"]) == f"{', '.join(changes)} and 2 more"
    (tmp_path / "core" / "one.py").write_text("x = 1\n")
    (tmp_path / "three.py").write_text("x = 1\n")
    (tmp_path / "four.py").unlink()
    assert files.changes() == [], "all is as it was"


def test_this_package_is_looked_at_once() -> None:
    assert own_sources() is own_sources() and len(own_sources()._stamps) > 400
