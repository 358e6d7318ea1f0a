from __future__ import annotations

import sys

import pytest

from blockzoo.core.contracts import BLOCKS, DATASETS, EXECUTORS, PROTOCOLS, RUNTIMES
from blockzoo.core.errors import RequestError, UnknownNameError
from blockzoo.core.registry import Registry

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


def test_registering_and_removing() -> None:
    registry = Registry("REGISTRY", "thing", "blockzoo.nowhere")

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
        with pytest.raises(RequestError, match="name"):
            BLOCKS[name] = object


def test_a_text_makes_an_object() -> None:
    registry = Registry("REGISTRY", "thing", "blockzoo.nowhere")

    @registry.register("step")
    class Step:
        """`step:2`: a step of 2."""

        def __init__(self, argument: str) -> None:
            self.size = int(argument or 1)
            if self.size == 7:
                raise RequestError("not 7, of all numbers")

    assert registry.make(" step:2 ").size == 2 and registry.make("step").size == 1
    with pytest.raises(RequestError, match="thing 'step:x': `step:2`: a step of 2"):
        registry.make("step:x")
    with pytest.raises(RequestError, match=r"^not 7, of all numbers$"):
        registry.make("step:7")
    with pytest.raises(UnknownNameError, match="Did you mean step"):
        registry.make("stop:2")
