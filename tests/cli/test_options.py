"""Options that are settings have the setting's sentence, spelling and range, wherever a command takes them one by one."""

from __future__ import annotations

import inspect
import runpy
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from annotated_types import Ge, Lt
from cyclopts import Parameter

from blockzoo.cli import main
from blockzoo.cli.conditions import With, conditions
from blockzoo.cli.expanded import expanded
from blockzoo.cli.options import taken
from blockzoo.core.checked import Checked, Count, Share, needing, setting, settings_of
from tests.cli.test_cli import commands_of_the_package
from tests.cli.test_conditions import function_of

ROOT = Path(__file__).parents[2]
OTHERWISE = {
    "address": "of a cluster that is named again",
    "against": "of pictures: what all blocks are drawn against",
    "batch_size": "of curvature and of scores: no step is taken; of a run: 0 is tried out",
    "dataset": "of an export and a study: in place of another",
    "devices": "of one training: which is the request's own",
    "dtype": "of a file",
    "duplicates": "of the zoo",
    "experiment_name": "a filter",
    "image_size": "of a plan: rows and columns",
    "num_classes": "of a network that has its own",
    "output": "a file, a folder of another kind",
    "ranks": "of results",
    "resume": "of one training, or of a run",
    "seed": "of a benchmark's trainings",
    "seeds": "how many trainings",
    "strict": "of a file",
    "workers": "processes that read images",
}
"""Names that mean something else in some commands, and what."""


def sentences() -> dict[str, set[str]]:
    """Of each name of a setting, what it is, in words; without the default."""
    script = runpy.run_path(str(ROOT / "scripts" / "settings.py"))
    kinds = [
        kind
        for name in ("TABLES", "OF_VERIFY", "OF_CARDS", "OF_NAS", "BLOCKWISE", "TILING")
        for kind in script[name]
    ]
    words: dict[str, set[str]] = defaultdict(set)
    for kind in kinds:
        for name, field in settings_of(kind).items():
            words[name].add(field.metadata["sentence"].partition(" (default")[0])
    return words


def test_a_setting_has_one_sentence() -> None:
    words, wrong, otherwise = sentences(), [], set()
    for command in commands_of_the_package():
        for parameter in inspect.signature(function_of(command), eval_str=True).parameters.values():
            name = parameter.name.strip("_")
            options = [part for part in get_args(parameter.annotation)[1:] if isinstance(part, Parameter)]
            if (
                name in words
                and options
                and str(options[0].help).partition(" (default")[0] not in words[name]
            ):
                otherwise.add(name)
                wrong += [f"{' '.join(command)} --{name}: {options[0].help}"] if name not in OTHERWISE else []
    assert not wrong, "take the option from the setting (cli/options.py, taken):\n" + "\n".join(wrong)
    assert otherwise == {*OTHERWISE}, "these mean the same everywhere now"


@dataclass(frozen=True, kw_only=True)
class MadeUp(Checked):
    """A made-up table."""

    share: Share | None = setting(None, "a made-up share (default: half)", names=("-s",))
    several: tuple[Count, ...] = setting((), "made-up counts")
    count: Annotated[int, Ge(2), Lt(9)] = needing("--other on", setting(3, "a made-up count"))


def test_an_option_is_taken_from_its_setting() -> None:
    option = taken(MadeUp, "share")
    assert option.name == ("--share", "-s") and option.help == "a made-up share (default: half)"
    assert taken(MadeUp, "share", "--part", default="all").help == "a made-up share (default: all)"
    assert taken(MadeUp, "share", "--part").name == ("--part",)
    check: Any = taken(MadeUp, "count").validator
    check[0](int, 2)
    for value in (1, 9):
        with pytest.raises(ValueError, match="Must be"):
            check[0](int, value)
    assert not taken(MadeUp, "several").validator, "a text is no number, nor are several"


def test_a_setting_says_what_it_needs() -> None:
    @expanded()
    def command(made_up: MadeUp, *, other: str = "off") -> int:
        return made_up.count

    command.__annotations__.clear()
    count = inspect.signature(command).parameters["count"]
    assert conditions(count.annotation) == [With("--other on")]


@pytest.mark.parametrize(
    "words", ["nas latency", "nas distil 1", "train ResNetBasicBlock", "export ResNetBasicBlock"]
)
def test_a_seed_has_one_range(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--seed", str(2**31)]) == 2
    assert "2147483647" in capsys.readouterr().err
