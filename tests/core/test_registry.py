from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from blockzoo import contracts
from blockzoo.core import contracts as core_contracts
from blockzoo.core.contracts import BLOCKS, PROTOCOLS, SUBJECTS
from blockzoo.core.errors import UnknownNameError, UsageError
from blockzoo.core.registry import Registry, TextRegistry
from blockzoo.data.contracts import DATASETS
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.measure.contracts import RUNTIMES

TEN = {
    "ResNetBasicBlock", "ResNetBottleneck", "InvertedResidual", "UniversalInvertedBottleneck", "EdgeResidual",
    "MobileOneBlock", "ReparamLargeKernelConv", "GhostBottleneckV3", "MBConvLNBlock", "RepMixer",
}  # fmt: skip


def test_the_ten_blocks_and_their_variants() -> None:
    assert set(BLOCKS) >= TEN
    assert not any("@" in name for name in BLOCKS)
    assert {f"{name}@published" for name in TEN} <= set(BLOCKS.names(variants=True))
    assert BLOCKS["UniversalInvertedBlock"] is BLOCKS["UniversalInvertedBottleneck"]


def test_what_is_read_from_the_source_is_what_importing_gives() -> None:
    for registry in (BLOCKS, DATASETS, PROTOCOLS, RUNTIMES, EXECUTORS):
        assert registry.names(), registry.kind
        for name in registry.names(variants=True):
            obj = registry[name]
            assert sys.modules[obj.__module__].__name__ == obj.__module__
            assert registry.summary(name), f"{name} has no sentence"


def test_a_tag_is_read_without_importing() -> None:
    assert SUBJECTS.tagged(core_contracts.WRAPPER) == {"tiled", "celled"} and not SUBJECTS.tagged("nothing")


def test_plugins_written_earlier_find_all_doors_in_core() -> None:
    assert core_contracts.ENGINES is contracts.ENGINES and core_contracts.STOPPERS is contracts.STOPPERS
    with pytest.raises(ImportError):
        exec("from blockzoo.core.contracts import NO_SUCH_DOOR")


def test_registering_and_removing() -> None:
    registry: Registry[type] = Registry("REGISTRY", "thing")

    @registry.register
    class First:
        """The first."""

    @registry.register("second", aliases=("zweite",))
    class Second: ...

    registry["third"] = object
    assert registry.names() == ["First", "second", "third"]
    assert registry["zweite"] is Second
    assert registry.summary("First") == "The first."
    del registry["third"]
    assert "third" not in registry
    with pytest.raises(UnknownNameError, match="Did you mean second"):
        registry["secnd"]
    with pytest.raises(KeyError):  # it is a mapping
        registry["nothing"]


def test_names_that_would_break_the_grammar() -> None:
    for name in ("", "a/b", "a:b"):
        with pytest.raises(UsageError, match="name"):
            BLOCKS[name] = object


def test_a_text_makes_an_object() -> None:
    registry: TextRegistry[Any] = TextRegistry("REGISTRY", "thing")

    @registry.register("step")
    class Step:
        """`step:2`: a step of 2."""

        def __init__(self, argument: str) -> None:
            self.size = int(argument or 1)
            if self.size == 7:
                raise UsageError("not 7, of all numbers")

    assert registry.make(" step:2 ").size == 2 and registry.make("step").size == 1
    with pytest.raises(UsageError, match="thing 'step:x': `step:2`: a step of 2"):
        registry.make("step:x")
    with pytest.raises(UsageError, match=r"^not 7, of all numbers$"):
        registry.make("step:7")
    with pytest.raises(UnknownNameError, match="Did you mean step"):
        registry.make("stop:2")


DOORS = sorted(
    (registry for registry in vars(contracts).values() if isinstance(registry, Registry)),
    key=lambda registry: registry.constant,
)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.constant)
def test_every_door_takes_a_class_of_a_file_and_of_a_module_but_where_it_means_something_else(
    door: Registry[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "class Mine:\n    '''One of my own.'''\n    def __init__(self, argument=''): self.argument = argument\n"
    source += "".join(f"    def {method}(self): ...\n" for method in door.methods)
    (tmp_path / "mine.py").write_text(source)
    module = f"theirs_{door.constant.lower()}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    absolute = f"{tmp_path / 'mine.py'}:Mine"
    if not door.files:
        assert door.constant in (
            "ATTENTIONS", "CHECKS", "CONVERSIONS", "NETWORKS", "QUANTITIES", "RESULTS", "SUBJECTS",
        )  # fmt: skip
        assert "mine.py:Mine" not in door and absolute not in door
        with pytest.raises(UnknownNameError):
            door["mine.py:Mine"]
        return
    assert door["mine.py:Mine"] is door[absolute] and door["mine.py:Mine"].__name__ == "Mine"
    assert door.canonical("mine.py:Mine") == absolute and "mine.py:Mine" in door
    assert door.summary("mine.py:Mine") == "One of my own." and door.origin(absolute) == str(
        tmp_path / "mine.py"
    )
    if isinstance(door, TextRegistry):
        assert (
            door.make("mine.py:Mine").argument == "" and door.make("mine.py:Mine:0.9:b").argument == "0.9:b"
        )
    assert door[f"{module}:Mine"].__module__ == module
    assert door.names() == [name for name in door.names() if "mine" not in name], (
        "nothing is registered by asking"
    )
    kinds = ("os:system", "subprocess:Popen") if door.methods else ()
    for wrong, says in (
        ("mine.py:Other", "no class 'Other'"),
        ("gone.py:Mine", "no such file"),
        *((name, "is no class with a method") for name in kinds),
    ):
        assert wrong not in door
        with pytest.raises(UsageError, match=says):
            door[wrong]
    with pytest.raises(UnknownNameError, match="nonsense:Thing"):
        door["nonsense:Thing"]


def test_the_message_for_a_wrong_name_has_a_few_names_at_its_end() -> None:
    doors: Registry[Any] = Registry("DOORS", "door", files=False, how_to_add="Name your own with --plugin.")
    for number in range(20):
        doors[f"one{number:02}"] = object
    with pytest.raises(UnknownNameError) as error:
        doors["zzz"]
    lines = str(error.value).splitlines()
    assert lines[1] == "Name your own with --plugin." and lines[-1].endswith("one07, and 12 more.")
