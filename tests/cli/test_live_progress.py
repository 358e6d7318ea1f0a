"""The progress display of designs of several rounds."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import pytest
from rich.console import Console
from rich.text import Text

from blockzoo.cli import main
from blockzoo.cli.progress import LiveProgress
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.execution.jobs import Job


@dataclass
class Plan:
    trials: list[TrialSpec] = field(
        default_factory=lambda: [TrialSpec(NetworkSpec("RepMixer/mid"), epochs=2)]
    )
    workers: int = 1
    threads: int = 1

    @property
    def pending(self) -> list[TrialSpec]:
        return self.trials


@pytest.mark.parametrize("terminal", [True, False])
def test_rounds_follow_one_another_with_and_without_widths_to_find(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    plan = Plan()
    stub = Record("trial", plan.trials[0].fingerprint(), "RepMixer/mid", {})
    with LiveProgress(console) as progress:
        progress.phase("learning rate 0.2 of 0.2, 0.8: 1 networks")
        for _ in range(2):
            progress.preparing("widths for iso-macs", 0, 1)
            progress.preparing("widths for iso-macs", 1, 1)
            progress.planned(plan, 12.0)
            for epoch in (1, 2):
                progress.progressed(Job(None, {}, stub), epoch, {})  # type: ignore[arg-type]
            progress.phase("times of the networks")
            progress.phase("fresh seeds")
            (task,) = progress._bar.tasks
            assert task.completed == task.total == 1 and task.description == "fresh seeds"
    said = Text.from_ansi(console.file.getvalue()).plain  # type: ignore[attr-defined]
    assert "learning rate 0.2 of 0.2, 0.8: 1 networks" in said and said.count("1 trials, 0 done already") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "rounds", "line"),
    [
        (["--learning-rates", "0.1", "0.4"], (3, 4, 5), "learning rate 0.1 of 0.1, 0.4: 2 networks"),
        (["--design", "halving", "--survivors", "1"], (2,), "fresh seeds for 1 networks"),
    ],
)
def test_the_command_says_each_round(tmp_path, capsys, design, rounds, line) -> None:
    words = "sweep run --blocks RepMixer FasterNetBlock --positions mid --track iso-macs --dataset digits --epochs 1"
    small = "--limit-train 64 --base-channels 8 --num-blocks 1 --no-latency --no-plots --workers 1 --output"
    assert main([*words.split(), *design, *small.split(), str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("done already") in rounds and line in said  # a search may go on beyond its ends
