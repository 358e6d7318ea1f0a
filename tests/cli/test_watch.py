"""While a command works it says so: at once, then how far it is, with the time that is left."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.progress import Progress

from blockzoo.cli import screen
from blockzoo.cli import watch as module
from blockzoo.cli.screen import Screen
from blockzoo.cli.watch import Watch, how_far
from blockzoo.core.progress import Task, working


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 0.0)
    monkeypatch.setattr(module, "LINES_S", (0.3, 0.6))
    monkeypatch.setattr(module, "MINUTE_S", 3600)


def test_dated_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Watch("blockzoo train X"), working("training", 4, "epochs") as task:
        for _ in range(4):
            time.sleep(0.4)
            task.advance()
    said = capsys.readouterr()
    first, *others = said.err.splitlines()
    assert said.out == "" and re.fullmatch(r"\d\d:\d\d:\d\d  blockzoo train X begins", first)
    assert len(others) == 2 and all("of 4 epochs" in line for line in others)
    assert re.search(r"about \d+ s left", others[1])


def test_no_command_reads_a_clock_of_its_own() -> None:
    """A budget of time counts from the start of the command: `core.began`. What shows progress, or says how long searches took,
    reads one."""
    shows = {"watch.py", "progress.py", "search.py"}
    files = [path for path in Path(module.__file__).parent.rglob("*.py") if path.name not in shows]
    clocks = re.compile(r"monotonic|perf_counter|time\.time|process_time")
    assert len(files) > 50 and not [str(path) for path in files if clocks.search(path.read_text())]


def test_quiet_says_nothing_and_a_quick_command_neither(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Watch("x", quiet=True), working("training", 4):
        time.sleep(0.7)
    monkeypatch.setattr(module, "FIRST_S", 60)
    with Watch("x"):
        time.sleep(0.4)
    assert capsys.readouterr().err == ""


def test_the_watch_goes_on_after_results(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with module.watching("blockzoo x", quiet=False):
        screen.write(["a result\n"])
        screen.show(screen.table("", ["a"], [["1"]]), [{"a": 1}])
        with working("drawing"):
            time.sleep(0.8)
    said = capsys.readouterr()
    assert "a result" in said.out and "blockzoo x works for" in said.err and ": drawing" in said.err


def test_nothing_moves_while_results_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    file = on_a_terminal(monkeypatch)
    with module.watching("x", quiet=False):
        time.sleep(0.4)
        with screen.still():
            before = len(file.getvalue())
            time.sleep(0.5)
            assert len(file.getvalue()) == before > 0
        time.sleep(0.4)
        assert len(file.getvalue()) > before


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    file = io.StringIO()
    console = Screen(file=file, force_terminal=True, width=80)
    monkeypatch.setattr(module, "_bars", lambda: Progress(
        *Progress.get_default_columns()[:2], "{task.fields[left]}", console=console, auto_refresh=False))  # fmt: skip
    return file


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = on_a_terminal(monkeypatch)
    with Watch("blockzoo train X") as watch, working("training", 4, "epochs") as task:
        for _ in range(4):
            time.sleep(0.3)
            task.advance()
        watch.hold()
        before = len(file.getvalue())
        time.sleep(0.4)
        assert len(file.getvalue()) == before, "somebody else shows this part"
    shown = file.getvalue()
    assert "blockzoo train X" in shown and "training" in shown and re.search(r"\d s left", shown)


def test_nothing_runs_beside_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    file = on_a_terminal(monkeypatch)
    with Watch("x"), working("timing", 1.0, steady=True) as task:
        time.sleep(0.1)
        before = len(file.getvalue())
        time.sleep(0.7)
        assert len(file.getvalue()) == before
        monkeypatch.setattr(module, "BETWEEN_STEPS_S", 0.0)
        task.at(0.5)
        assert len(file.getvalue()) > before


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (Task("planning"), "planning"),
        (Task("planning", done=7, unit="parts"), "planning: 7 parts"),
        (
            Task("timing", 1.0, done=0.25, began=time.monotonic() - 1e8),
            "timing: 25%, about 8333",
        ),
    ],
)
def test_a_task_in_words(task: Task, text: str) -> None:
    assert how_far(task).startswith(text)
