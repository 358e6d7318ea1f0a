from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blockzoo.core.together import finish, together

KILLED = """
import os, sys
from pathlib import Path
from blockzoo.core import together
at = int(sys.argv[2])
replace = Path.replace

def dying(self, target):
    global at
    at -= 1
    if at < 0:
        os._exit(9)
    return replace(self, target)

Path.replace = dying
with together.together(Path(sys.argv[1])) as folder:
    for name in "abc":
        (folder / name).write_text(name)
        if at < 0:
            os._exit(9)
"""


@pytest.mark.parametrize("at", [-1, 0, 1, 2, 3])
def test_a_killed_process_leaves_nothing_or_what_the_next_one_finishes(tmp_path: Path, at: int) -> None:
    (tmp_path / "a").write_text("earlier")
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(at)]).returncode == 9
    finish(tmp_path)
    contents = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert contents == ({"a": "earlier"} if at <= 0 else {"a": "a", "b": "b", "c": "c"})


def test_an_error_leaves_what_was_there_and_another_process_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f".making-{1}-00"  # the first process of the system runs
    other.mkdir()
    with pytest.raises(ValueError, match="no"), together(tmp_path) as folder:
        (folder / "a").write_text("new")
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == [other]
