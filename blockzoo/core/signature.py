"""How a block's constructor calls what the scaffold tells it: read from its parameters, nothing is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

INPUT = (
    "in_channels in_chs in_chans in_ch in_planes inplanes inp in_dim input_dim dim_in width_in in_features c_in "
    "input_channels num_input_features"
).split()
"""What a parameter for the channels of a block's input is called."""
WIDTH = "dim dims channels chs width planes d_model embed_dim hidden_dim num_channels num_features".split()
"""What it is called where input and output have the same, or where the output's is named beside it (`dim`, `dim_out`)."""
OUTPUT = (
    "out_channels out_chs out_chans out_ch out_planes outplanes oup out_dim output_dim dim_out width_out out_features c_out "
    "output_channels planes"
).split()
"""What a parameter for the channels of its output is called."""
STRIDE = ("stride", "strides")
OF_BLOCKS_ALONE = frozenset("in_chs inplanes in_planes inp width_in dim".split())
"""A class that must be told one of these is a block, not a network, which is told the channels of images."""


@dataclass(frozen=True)
class Signature:
    """What a constructor calls input channels, output channels, stride and position; None where it takes none.

    `positional`: it is called with the four in this order, as `Block` of `core/contracts.py` says. `lacking` are parameters
    without a default that are none of them.
    """

    positional: bool = False
    input: str | None = None
    output: str | None = None
    stride: str | None = None
    position: str | None = None
    downsample: str | None = None
    lacking: tuple[str, ...] = ()


def parameters_of(maker: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Parameters by name; none where Python cannot tell (made in C)."""
    try:
        return inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return {}


def signature_of(maker: Callable[..., Any]) -> Signature:
    """How a class or function is told what the scaffold decides.

    Names decide. A class with arguments of any number, or whose first four parameters have names of its own, is called with
    the four in order.
    """
    parameters = parameters_of(maker)
    several = {p.name for p in parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    named = [name for name in parameters if name not in several]
    source = _first(INPUT, named) or _first(WIDTH, named)
    target = _first([name for name in OUTPUT if name != source], named)
    needed = [p.name for p in parameters.values() if p.default is p.empty and p.name not in several]
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    stride = _first(STRIDE, named)
    if (any_number and stride is None) or (source is None and len(needed) <= 4 <= len(named)):
        return Signature(positional=True)
    position = "position" if "position" in named else None
    arguments = {source, target, stride, position}
    downsample = "downsample" if "downsample" in named and parameters["downsample"].default is None else None
    lacking = tuple(name for name in needed if name not in arguments)
    positional = [source, target, stride, position] == named[:4] and None not in arguments and not lacking
    return Signature(positional, source, target, stride, position, downsample, lacking)


def why_a_block(maker: Callable[..., Any]) -> str:
    """What its constructor takes that only blocks take, in words: a stride, arguments of any number, or a width that it must be
    told as blocks are; "" for a whole network.
    """
    parameters = parameters_of(maker)
    for name, parameter in parameters.items():
        if name in STRIDE:
            return f"takes a {name}"
        if parameter.kind is parameter.VAR_POSITIONAL:
            return f"takes arguments of any number (*{name})"
    widths = [name for name, p in parameters.items() if p.default is p.empty and name in OF_BLOCKS_ALONE]
    return f"must be told its {widths[0]}" if widths and "num_classes" not in parameters else ""


def _first(names: list[str] | tuple[str, ...], among: list[str]) -> str | None:
    return next((name for name in names if name in among), None)
