"""The doors of what a spec names (blocks, networks, recipes), of quantities, results and checks. All doors: `blockzoo.contracts`.

Each door is a contract (what to write) and a registry (where it is found). Adding one thing touches one
file: a registry reads the source of the package, so nothing is listed twice.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from blockzoo.core.discovery import module_that_declares
from blockzoo.core.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from blockzoo.core.quantity import Quantity
    from blockzoo.core.result import Result
    from blockzoo.core.spec import NetworkSpec
    from blockzoo.core.subject import Subject

POSITIONS = ("early", "mid", "late")
"""Where in the scaffold the block under test stands: stage 1, 2 or 3."""
DEFAULT_FILLER = "ResNetBasicBlock"
"""What the other stages hold, and what budgets are measured by, where nothing else is said."""
STAGES = "stages"
"""Prefix of a network whose three stages hold a block each: `stages:EARLY,MID,LATE`."""
WRAPPER = "wrapper"
"""Tag of a prefix that says something of another subject: `PREFIX:OPTIONS:SUBJECT`."""


class Block(Protocol):
    """A convolutional block: maps (B, in_channels, H, W) to (B, out_channels, ceil(H/stride), ceil(W/stride))."""

    def __call__(self, in_channels: int, out_channels: int, stride: int, position: str) -> nn.Module: ...

    def __hash__(self) -> int: ...


class Attention(Protocol):
    """What is added behind a block, `BLOCK+NAME`: maps (B, channels, H, W) to the same shape. Your own comes by a plugin: a colon
    in a name stands for a file already.
    """

    def __call__(self, channels: int) -> nn.Module: ...


class Conversion(Protocol):
    """What a prefix makes of a block, `PREFIX:OPTIONS:BLOCK`, in the stage under test alone; made from the options without torch,
    or UsageError where there are none such.
    """

    @property
    def options(self) -> str:
        """The same options always as the same text."""
        ...

    @property
    def sentence(self) -> str:
        """What becomes of a block, for its card."""
        ...

    @property
    def remedy(self) -> str:
        """What to do where nothing becomes of it."""
        ...

    def convert(self, block: nn.Module, in_channels: int) -> nn.Module:
        """The block converted, with the names, the weights and the shapes that it had."""
        ...

    def changes(self, block: nn.Module, shape: Sequence[int]) -> tuple[int, list[str]]:
        """How many layers of a plain block compute something else where its map is (B, C, H, W), and why the others do not."""
        ...


class ConversionMaker(Protocol):
    """Makes a conversion from the options between its prefix and the block."""

    def __call__(self, options: str) -> Conversion: ...


class Network(Protocol):
    """A network by name, `model:NAME`: made for the classes and input channels of the spec."""

    def __call__(self, spec: NetworkSpec) -> nn.Module: ...


class Usual(Protocol):
    """What a recipe says of the settings that a trial leaves open; `training.protocols.Protocol` has it, and all the rest."""

    @property
    def name(self) -> str: ...

    @property
    def epochs(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def lr(self) -> float: ...


class ProtocolMaker(Protocol):
    """A named, versioned recipe of training: a function without arguments. A changed recipe gets a new version."""

    def __call__(self) -> Usual: ...


class SubjectResolver(Protocol):
    """What a subject's prefix means: builds the network of `prefix:rest`."""

    def __call__(self, subject: Subject, spec: NetworkSpec) -> nn.Module: ...


class Check(Protocol):
    """A fast path compared with the plain way where it is used: a function that returns the largest deviation found
    (of each entry where there are several; None where there is nothing to compare with).

    Its docstring says what is compared with what, then has the paragraphs `Catches:`, `Tolerance:` and `Cost:` that
    docs/trust.md shows. A test marked `@pytest.mark.mutation("name")` breaks the fast path and sees it fail.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> float | Sequence[float] | None:
        """CheckFailed where the deviation is more than is tolerated. Each check takes what it compares."""
        ...


HOW_TO_ADD_A_BLOCK = """Your own block can be named in four ways:
  --plugin path/to/file.py          (a file with @register_block classes; or BLOCKZOO_PLUGINS=path/to/file.py)
  path/to/file.py:ClassName         (as the block's name)
  package.module:ClassName          (as the block's name)
  an entry point in the group "blockzoo.blocks" of an installed package
To keep plugins for a project: plugins = ["path/to/file.py"] under [tool.blockzoo] in pyproject.toml, then `blockzoo trust`."""

BLOCKS: Registry[Block] = Registry("BLOCKS", "block", how_to_add=HOW_TO_ADD_A_BLOCK)
ATTENTIONS: Registry[Attention] = Registry("ATTENTIONS", "attention", files=False)
CONVERSIONS: Registry[ConversionMaker] = Registry("CONVERSIONS", "conversion of blocks", files=False)
NETWORKS: Registry[Network] = Registry("NETWORKS", "network", files=False)
SUBJECTS: Registry[SubjectResolver] = Registry("SUBJECTS", "subject prefix", files=False)
PROTOCOLS: Registry[ProtocolMaker] = Registry("PROTOCOLS", "protocol")
QUANTITIES: Registry[type[Quantity]] = Registry("QUANTITIES", "quantity", files=False)
RESULTS: Registry[type[Result]] = Registry("RESULTS", "result", files=False)
CHECKS: Registry[Check] = Registry("CHECKS", "check", files=False)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Registry[Any]:
        """The door of another room: plugins written earlier ask for all of them here."""
        if module := module_that_declares(name):
            return getattr(importlib.import_module(module), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
