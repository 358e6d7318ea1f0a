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
