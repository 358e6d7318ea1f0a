"""Classes of other libraries as blocks: told width and stride by the names they have for them, as their signatures say.

A class that can change neither its width nor its resolution, or one of the two alone, gets one transition in front where the
shape changes, the same for all (`transition`). What a signature does not tell is not guessed: the message says what to write.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import nn

from blockzoo.blocks.transition import conv_norm, transition
from blockzoo.core.errors import UsageError
from blockzoo.core.signature import Signature, signature_of

Maker = Callable[..., nn.Module]


def is_of_the_zoo(maker: Maker) -> bool:
    """Is it part of this package, and tested with it?"""
    return (getattr(maker, "__module__", None) or "").startswith("blockzoo.")


def name_of(maker: Maker) -> str:
    """`package.module:Class`, for messages; of the user's own file the class alone."""
    name = getattr(maker, "__name__", type(maker).__name__)
    module = getattr(maker, "__module__", None) or ""
    return name if module.startswith("blockzoo_plugin_") or not module else f"{module}:{name}"


@cache
def adapted(maker: Maker) -> Maker:
    """`maker` as a block: itself where it is called with the four arguments of one, else an `Adapter`, the same each time.

    Raises:
        UsageError: its signature names no input channels, or asks for more; the message has the class to write.
    """
    if is_of_the_zoo(maker):
        return maker
    signature = signature_of(maker)
    if signature.positional:
        return maker
    if signature.input is None or signature.lacking:
        raise UsageError(_what_to_write(maker, signature))
    return Adapter(maker, signature)


class Adapter:
    """A block made by a class that is told in its own words.

    Args:
        maker: the class.
        signature: what it calls things.
    """

    def __init__(self, maker: Maker, signature: Signature) -> None:
        self.maker, self.signature = maker, signature
        self.__name__, self.__module__ = getattr(maker, "__name__", ""), getattr(maker, "__module__", "")
        self.__doc__ = maker.__doc__

    def __call__(self, in_channels: int, out_channels: int, stride: int, position: str) -> nn.Module:
        signature = self.signature
        front: list[nn.Module] = []
        widens, strides = signature.output is not None, signature.stride is not None
        if (stride != 1 and not strides) or (in_channels != out_channels and not widens):
            front = transition(in_channels, out_channels, stride)
            in_channels, stride = out_channels, 1
        block = self.maker(**self._arguments(in_channels, out_channels, stride, position))
        return nn.Sequential(*front, block) if front else block

    def _arguments(self, in_channels: int, out_channels: int, stride: int, position: str) -> dict[str, Any]:
        signature = self.signature
        expansion = self._expansion
        if out_channels % expansion:
            raise UsageError(
                f"{name_of(self.maker)} gives {expansion} x {signature.output} channels, so not {out_channels}: "
                f"choose a width that {expansion} divides"
            )
        values = {
            signature.input: in_channels,
            signature.output: out_channels // expansion,
            signature.stride: stride,
            signature.position: position,
        }
        if signature.downsample and (stride != 1 or in_channels != out_channels):
            values[signature.downsample] = conv_norm(in_channels, out_channels, 1, stride)
        return {name: value for name, value in values.items() if name is not None}

    @property
    def _expansion(self) -> int:
        """ResNets are told a width and give a multiple of it."""
        times = getattr(self.maker, "expansion", 1)
        return times if self.signature.output == "planes" and isinstance(times, int) and times > 0 else 1

    @property
    def said(self) -> str:
        """How the class is called, as a sentence."""
        roles = self.signature
        named = ", ".join(n for n in (roles.input, roles.output, roles.stride, roles.position) if n)
        sentence = f"{name_of(self.maker)} is told {named}, all else as its defaults"
        if self._expansion != 1:
            sentence += f" ({roles.output} x {self._expansion} are its channels)"
        if roles.downsample:
            sentence += (
                f"; where the shape changes its {roles.downsample} is a 1x1 convolution and a batch norm"
            )
        lacks = [w for w, n in (("width", roles.output), ("resolution", roles.stride)) if n is None]
        if lacks:
            sentence += (
                f"; it keeps its {' and '.join(lacks)}, so a transition (1x1, then 3x3 depthwise with the stride, each with "
                f"batch norm and ReLU) stands in front where {'that changes' if len(lacks) == 1 else 'they change'}"
            )
        return sentence


def _what_to_write(maker: Maker, signature: Signature) -> str:
    """A class that fills in what is lacking, to be completed by whoever knows."""
    name = getattr(maker, "__name__", "Block")
    needs = ", ".join(signature.lacking)
    mapping = {
        signature.input: "in_channels",
        signature.output: "out_channels",
        signature.stride: "stride",
        signature.position: "position",
    }
    arguments = [f"{parameter}={ours}" for parameter, ours in mapping.items() if parameter]
    arguments += [f"{lacking}=..." for lacking in signature.lacking]
    return (
        (f"{name_of(maker)} needs {needs}, which nothing says. " if needs else "")
        + "Write what is right for it into a file of your own, and name that as my_block.py:MyBlock:\n"
        f"    from {getattr(maker, '__module__', 'its_file')} import {name}\n\n"
        f"    class MyBlock({name}):\n"
        f'        def __init__(self, in_channels, out_channels, stride=1, position="mid"):\n'
        f"            super().__init__({', '.join(arguments) or '...'})"
    )


def what_to_write(maker: Maker) -> str:
    """See `adapted`: the class to write instead of one that could not be used as its signature promised; "" for one that is
    written as a block.
    """
    original = maker.maker if isinstance(maker, Adapter) else maker
    signature = signature_of(original)
    return "" if signature.positional and signature.input else _what_to_write(original, signature)
