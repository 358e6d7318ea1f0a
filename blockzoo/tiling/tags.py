"""How a network is cut, as short text: F28 (tiles of 28 pixels), H4x4 (so many tiles), whole; and subjects made of it.

`tiled:F28,reflect,224px:torchvision:resnet18` is ResNet-18 on tiles of 28 x 28 pixels padded by mirror images, made for images of
224 x 224. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from blockzoo.core.contracts import NETWORKS
from blockzoo.core.documents import describe
from blockzoo.core.errors import UsageError
from blockzoo.core.subject import Subject
from blockzoo.tiling.geometry import BLOCKINGS, Blocking

Padding = Literal["zeros", "replicate", "reflect"]
PADDINGS = ("zeros", "replicate", "reflect")
SYNONYMS = {"zero": "zeros", "constant": "zeros", "mirror": "reflect"}
WHOLE = "whole"
SMALL_SIDE = 64
"""Images of at most so many pixels a side get the first layers that suit 32 x 32 images, where a network has both."""
IMAGENET_SIDE = 224
TAG = re.compile(r"(?P<kind>[FH])(?P<rows>\d{1,6})(?:x(?P<columns>\d{1,6}))?")


@dataclass(frozen=True)
class Tiling:
    """How all maps of a network are cut.

    Args:
        blocking: "fixed" or "hierarchical"; None for a network that is left whole.
        block: pixels of a tile (fixed) or number of tiles (hierarchical), rows and columns.
        padding: what stands around each tile.
    """

    blocking: Blocking | None = None
    block: tuple[int, int] = (0, 0)
    padding: Padding = "zeros"

    @property
    def tag(self) -> str:
        """F28, F28x14, H4x4, or whole."""
        if self.blocking is None:
            return WHOLE
        rows, columns = self.block
        if self.blocking == "hierarchical":
            return f"H{rows}x{columns}"
        return f"F{rows}" if rows == columns else f"F{rows}x{columns}"

    def padded(self, padding: str) -> Tiling:
        """The same cut with another padding.

        Raises:
            UsageError: no such padding.
        """
        return replace(self, padding=padding_of(padding))


def padding_of(name: str) -> Padding:
    """zeros, replicate or reflect; `zero` and `constant` are zeros.

    Raises:
        UsageError: another name.
    """
    padding = SYNONYMS.get(name, name)
    if padding not in PADDINGS:
        raise UsageError(f"padding mode {describe(name)}: choose {', '.join([*PADDINGS, *SYNONYMS])}")
    return padding  # type: ignore[return-value]


def tiling_of(tag: str, padding: str = "zeros") -> Tiling:
    """The tiling that a tag names.

    Raises:
        UsageError: no such tag or padding.
    """
    match = TAG.fullmatch(tag)
    if tag == WHOLE:
        return Tiling()
    if not match or int(match["rows"]) == 0 or match["columns"] == "0":
        raise UsageError(
            f"blocking {describe(tag)}: F28 (tiles of 28 x 28 pixels), H4x4 (4 x 4 tiles of every map), or whole"
        )
    rows = int(match["rows"])
    block = (rows, int(match["columns"] or rows))
    blocking: Blocking = "fixed" if match["kind"] == "F" else "hierarchical"
    return Tiling(blocking, block, padding_of(padding))


def tiling_from(
    block_size: Sequence[int] = (28,),
    blocking: str | None = None,
    type_: int | None = None,
    padding: str = "zeros",
) -> Tiling:
    """The tiling that the options of the command line name.

    Args:
        block_size: one number or two.
        blocking: fixed or hierarchical.
        type_: the same as 0 or 1, as earlier scripts have it.
        padding: see `padding_of`.

    Raises:
        UsageError: values out of range, or two that contradict each other.
    """
    if type_ not in (None, 0, 1):
        raise UsageError(f"--type {type_}: 0 (fixed) or 1 (hierarchical)")
    named = None if type_ is None else BLOCKINGS[type_]
    if blocking not in (None, *BLOCKINGS):
        raise UsageError(f"--blocking {blocking!r}: choose {' or '.join(BLOCKINGS)}")
    if named and blocking and named != blocking:
        raise UsageError(f"--type {type_} is {named} and --blocking says {blocking}: give one of them")
    kind = blocking or named or "fixed"
    if len(block_size) not in (1, 2) or min(block_size) < 1:
        raise UsageError(
            f"--block-size {','.join(map(str, block_size))}: one or two positive numbers, 28 or 28,14"
        )
    block = (block_size[0], block_size[-1])
    return Tiling(kind, block, padding_of(padding))  # type: ignore[arg-type]


def has_small_form(plain: Subject) -> bool:
    """Whether other first layers are made for small images."""
    return str(plain) == "model:mobilenet_v1" or (
        plain.prefix == "torchvision" and f"block_{plain.name}" in NETWORKS
    )


def plain_subject(arch: str) -> str:
    """The network behind --arch, not cut: `block_resnet18` and `resnet18` are `torchvision:resnet18`.

    Raises:
        UsageError: a block, or a name that no door knows.
    """
    name, shown = arch.removeprefix("model:").removeprefix("block_"), arch[:80]
    if name == "mobilenet":
        return "model:mobilenet_v1"
    if f"block_{name}" in NETWORKS:
        return f"torchvision:{name}"
    if ":" not in arch and "/" not in arch:
        names = ", ".join(n for n in NETWORKS if n.startswith("block_"))
        raise UsageError(
            f"--arch {shown}: choose {names}, or a network as torchvision:NAME, timm:NAME, model:NAME"
        )
    subject = Subject.parse(arch)
    if subject.prefix == "tiled":
        raise UsageError(f"--arch {shown}: name the network itself; --block-size and --blocking cut it")
    return str(subject)


def tiled_subject(arch: str, tiling: Tiling, side: int) -> str:
    """The subject of a network cut in a way, for images of `side` pixels; of the network itself where nothing is changed."""
    plain = plain_subject(arch)
    small = side <= SMALL_SIDE and has_small_form(Subject.parse(plain))
    if tiling.blocking is None:
        return f"tiled:{WHOLE},{side}px:{plain}" if small else plain
    return f"tiled:{tiling.tag},{tiling.padding},{side}px:{plain}"


def read_options(text: str) -> tuple[Tiling, int]:
    """A tiling and the side of the images from `F28,reflect,224px`; padding and side may be left out.

    Raises:
        UsageError: what is none of these.
    """
    tag, *rest = text.split(",")
    padding, side = "zeros", IMAGENET_SIDE
    for word in rest:
        if re.fullmatch(r"[1-9]\d*px", word):
            side = int(word[:-2])
        else:
            padding = padding_of(word)
    return tiling_of(tag, padding), side
