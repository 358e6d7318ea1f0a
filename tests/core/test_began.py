"""A budget of time counts from the start of the command; of a call in a program, from the call."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from blockzoo.cli import app, main
from blockzoo.core import began as module
from blockzoo.core.began import began, command, process_age


def test_outside_of_a_command_it_is_now() -> None:
    before = time.perf_counter()
    assert before <= began() <= time.perf_counter()


def test_within_one_it_is_its_start_and_afterwards_not_any_more() -> None:
    with command(age=7.0):
        first = began()
        assert time.perf_counter() - first >= 7 and began() == first
    assert time.perf_counter() - began() < 7


def test_the_age_of_a_process_is_that_which_the_system_tells() -> None:
    known = time.time() - psutil.Process().create_time()
    assert process_age() == pytest.approx(
        known, abs=1.5
    )  # psutil knows the start of the system to the second


def test_where_the_system_does_not_tell_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert process_age() == 0.0


def test_a_command_counts_from_where_its_process_began() -> None:
    code = (
        "import sys, time; time.sleep(0.4); sys.argv = ['blockzoo', 'datasets']\n"
        "from blockzoo.cli import app, main\n"
        "app._run = lambda *words: print('age', time.perf_counter() - __import__('blockzoo.core.began').core.began.began())\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = next(line for line in done.stdout.splitlines() if line.startswith("age "))
    assert float(said.split()[1]) >= 0.4, done.stderr


def test_a_command_called_by_a_program_counts_from_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ages = []
    monkeypatch.setattr(app, "_run", lambda *words: ages.append(time.perf_counter() - began()) or 0)
    before = time.perf_counter()
    assert main(["datasets"]) == 0
    assert 0 <= ages[0] <= time.perf_counter() - before
    assert module._BEGAN.get() is None
