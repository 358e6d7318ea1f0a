"""Processes that we start: they find the modules that this process finds, and run the code that this process may run."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from blockzoo.core import consent
from blockzoo.core.safe_path import VARIABLE, safe_path
from blockzoo.core.text import PlainFormatter


@contextmanager
def starting() -> Iterator[None]:
    """Within, processes of multiprocessing start with a safe path."""
    path, variable = sys.path, os.environ.get(VARIABLE)
    sys.path = safe_path()
    os.environ[VARIABLE] = "1"
    try:
        if sys.version_info < (
            3,
            11,
        ):  # which does not know the variable: from a folder that holds no modules
            here = Path.cwd()
            os.chdir("/")
            try:
                forkserver.ensure_running()
            finally:
                os.chdir(here)
        yield
    finally:
        sys.path = path
        os.environ.pop(VARIABLE) if variable is None else os.environ.update({VARIABLE: variable})


def body(function: Callable[..., None], *arguments: object) -> dict[str, Any]:
    """The `target` and `args` of a process that does `function(*arguments)`."""
    return {"target": begin, "args": (consent.granted(), function, arguments)}


def begin(granted: tuple[str, ...] | None, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """What such a process does."""
    consent.close(granted)
    os.environ[VARIABLE] = "1"  # for the processes that it starts itself
    if logging.lastResort is not None:  # what no one has set up, as in a child of ours
        logging.lastResort.setFormatter(PlainFormatter("%(message)s"))
    function(*arguments)
