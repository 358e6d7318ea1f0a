"""An option that would have no effect is refused: what needs another one, and what another one makes idle."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from cyclopts import Parameter

from blockzoo.cli import main
from blockzoo.cli.app import build
from blockzoo.cli.conditions import Alone, Given, With, Without, check, conditions, spelling
from blockzoo.core.errors import UsageError
from tests.cli.test_cli import commands_of_the_package


def function_of(words: tuple[str, ...]) -> Callable[..., Any]:
    app: Any = build()
    for word in words:
        app = app[word]
    return app.default_command  # type: ignore[no-any-return]


def parameters() -> Iterator[tuple[Callable[..., Any], inspect.Parameter]]:
    """Of every command."""
    for words in commands_of_the_package():
        command = function_of(words)
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            yield command, parameter


def test_every_option_that_says_with_or_without_is_held_to_it() -> None:
    held = 0
    for command, parameter in parameters():
        given: dict[str, Any] = {parameter.name: not parameter.default}
        names = {spelling(p): n for n, p in inspect.signature(command, eval_str=True).parameters.items()}
        for condition in conditions(parameter.annotation):
            if isinstance(condition, With):
                name, _, value = condition.other.partition(" ")
                both = {**given, names[name]: value or "x"}
                assert not any(condition.other in fault for fault in Given(command, both).faults())
                alone = {**given, names[name]: "another"} if value else given
                with pytest.raises(UsageError, match=f"give {condition.other} too"):
                    check(command, alone)
                held += 1
            elif isinstance(condition, Without):
                for other in condition.others:
                    with pytest.raises(UsageError, match=f"beside {other}"):
                        check(command, {**given, names[other]: "x"})
                    held += 1
    assert held > 30


def test_no_sentence_says_it_by_hand() -> None:
    for command, parameter in parameters():
        sentences = [
            str(getattr(part, "help", "")) for part in getattr(parameter.annotation, "__metadata__", ())
        ]
        said = [one for one in sentences if re.match(r"with(out)? --", one)]
        assert not said, f"{command.__module__}: {said}: say it with a condition beside the type"


def made_up(
    source: Path = Path("results"),
    *,
    mode: Annotated[str, Parameter(name=("-m", "--way"))] = "a",
    figure: Annotated[str | None, With("--way b")] = None,
    quickly: Annotated[bool, Without("SOURCE")] = False,
    all_: Annotated[bool, Alone("--way")] = False,
) -> None: ...


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"figure": "x"}, "--figure has an effect with --way b alone"),
        ({"figure": "x", "mode": "b"}, None),
        ({"quickly": True, "source": Path("a")}, "--quickly has no effect beside SOURCE"),
        ({"quickly": False, "source": Path("a")}, None),
        ({"all_": True, "mode": "b"}, None),
        (
            {"all_": True, "source": Path("a"), "quickly": True},
            "SOURCE, --quickly: without effect beside --all",
        ),
        ({"source": Path("a"), "mode": "c"}, None),
    ],
)
def test_what_was_given_is_held_to_the_conditions(said: dict[str, Any], fault: str | None) -> None:
    if fault is None:
        check(made_up, said)
    else:
        with pytest.raises(UsageError, match=fault):
            check(made_up, said)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("blockwise curvature --run x --model cnn --widths [64]", "--model has no effect beside --run"),
        ("blockwise curvature --run x --partition tensor", "--partition has no effect beside --run"),
        ("blockwise curvature --along", "give --run too"),
        ("blockwise curvature --along --run x --tol 0.1 --batches 2", "--batches, --tol: without effect"),
        ("tile plan x --pareto --buffer 64KiB", "--buffer has no effect beside --pareto"),
        ("tile plan x --padding-mode reflect", "x is not cut"),
        ("blocks ResNetBasicBlock --duplicates", "--duplicates has no effect beside NAME"),
        ("tile export x -o y --split test", "give --evaluate too"),
        ("nas convert a.csv b.csv --to native", "suffix of b.csv says another format"),
    ],
)
def test_on_the_command_line(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert says in " ".join(capsys.readouterr().err.split())
