"""Where Python processes look for modules: not in the folder the user happens to stand in.

Python looks there first where it is started as `python -c` or `python -m`, as the fork server, its helpers and a child of
ours are: a `random.py` beside the user would be run by each. So the path is given, from Python 3.11 on in PYTHONSAFEPATH too,
which the children of children know. What the user put on PYTHONPATH stays where it is.
"""

from __future__ import annotations

import os  # little is imported here: what is, Python may still find in the current folder
import sys

VARIABLE = "PYTHONSAFEPATH"
HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
"""The folder that holds the package."""


def leave_the_current_folder() -> None:
    """Where this process is `python -m blockzoo...`, Python has put the current folder on its path: no more from now on."""
    words = " ".join(sys.orig_argv).partition(" -m")[2].split()
    if sys.argv[:1] == ["-m"] and words and words[0].split(".")[0] == "blockzoo" and not _is_safe():
        del sys.path[0]
        os.environ.setdefault(VARIABLE, "1")


def be_a_command() -> None:
    """This process is a command: the Python processes that it starts have a safe path."""
    os.environ.setdefault(VARIABLE, "1")


def safe_path() -> list[str]:
    """For a child: the folders of this process, the current one last where Python itself put it first.

    There it hides nothing that is installed, and a module of the user's own that a program or a notebook names is still found.
    """
    folders, here = list(sys.path), os.getcwd()  # noqa: PTH109
    if not _is_safe() and folders[:1] in ([""], [here]):
        folders = [*folders[1:], here]
    return folders if HOME in folders else [*folders, HOME]


class elsewhere:
    """Within, this process stands in a folder that holds no modules or settings, for what would look for them there."""

    def __enter__(self) -> str:
        self._here = os.getcwd()  # noqa: PTH109
        os.chdir("/")
        return self._here

    def __exit__(self, *error: object) -> None:
        os.chdir(self._here)


def module_command(module: str, *words: str) -> list[str]:
    """`python -m module words` with a safe path."""
    run = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return [sys.executable, "-c", f"import sys; sys.path[:] = {safe_path()!r}; {run}", *words]


def _is_safe() -> bool:
    return bool(getattr(sys.flags, "safe_path", False))  # unknown before Python 3.11
