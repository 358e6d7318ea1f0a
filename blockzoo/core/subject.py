"""The grammar of what is looked at: a string names a block, a block in the scaffold, or a network.

ResNetBasicBlock            a block                 ResNetBasicBlock@published   a variant of it
ResNetBasicBlock/mid        in the scaffold         timm:resnet18                a network of a library
my_file.py:MyBlock[/mid]    the user's own code     package.module:MyBlock[/mid]
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

from blockzoo.core.contracts import BLOCKS, POSITIONS, SUBJECTS
from blockzoo.core.errors import RequestError


@dataclass(frozen=True)
class Subject:
    """A parsed subject. `str(subject)` is its canonical text, so equal subjects have equal texts."""

    prefix: str  # "block", "code" (the user's own), or a prefix that a door resolves: "timm", "model", ...
    name: str
    position: str | None = None

    @classmethod
    def parse(cls, text: str | Subject) -> Subject:
        """Parse a subject.

        Raises:
            RequestError: an empty text, an unknown block, prefix or position, or a file that is not there.
        """
        if isinstance(text, Subject):
            return text
        if not isinstance(text, str) or not text.strip():
            raise RequestError(f"{text!r} names no subject; try a block such as ResNetBasicBlock")
        text = text.strip()
        head, colon, tail = text.rpartition(":")
        if colon and head in SUBJECTS:
            return cls(head, tail)
        name, slash, position = tail.partition("/")
        if slash and position not in POSITIONS:
            raise RequestError(f"position {position!r} of {text!r}: choose one of {', '.join(POSITIONS)}")
        if not colon:
            return cls("block", BLOCKS.canonical(name), position or None)
        _check_code(head, name, text)
        return cls("code", f"{head}:{name}", position or None)

    @property
    def is_block(self) -> bool:
        """True for a block, which the scaffold can hold; False for a whole network."""
        return self.prefix in ("block", "code")

    def at(self, position: str) -> Subject:
        """The same block at a position of the scaffold; a network stays what it is."""
        if position not in POSITIONS:
            raise RequestError(f"position {position!r}: choose one of {', '.join(POSITIONS)}")
        return replace(self, position=position) if self.is_block else self

    @property
    def label(self) -> str:
        """The subject without its position, as the `block` column shows it."""
        return self.name if self.is_block else f"{self.prefix}:{self.name}"

    def __str__(self) -> str:
        return f"{self.label}/{self.position}" if self.position else self.label

    def source_digest(self) -> str | None:
        """A digest of the user's own source file, None for what ships with a library.

        It enters the fingerprint of a trial: edited code is another subject.
        """
        origin = self.name.rpartition(":")[0] if self.prefix == "code" else None
        if self.prefix == "block":
            origin = BLOCKS.origin(self.name)
            if origin.startswith("blockzoo."):
                return None
        path = _source_path(origin) if origin else None
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path else None


def _source_path(origin: str) -> Path | None:
    if origin.endswith(".py"):
        return Path(origin)
    try:
        found = importlib.util.find_spec(origin.partition(":")[0])
    except (ImportError, ValueError):
        return None
    path = Path(found.origin) if found and found.origin else None
    return path if path and path.is_file() else None


def _check_code(origin: str, name: str, text: str) -> None:
    if not name.isidentifier():
        raise RequestError(f"{text!r}: after the colon comes the name of a class, as in my_file.py:MyBlock")
    if origin.endswith(".py"):
        if not Path(origin).is_file():
            raise RequestError(f"{text!r}: there is no file {origin}")
    elif not all(part.isidentifier() for part in origin.split(".")):
        prefixes = ", ".join(f"{p}:" for p in SUBJECTS)
        raise RequestError(
            f"{text!r}: {origin!r} is neither a known prefix ({prefixes}), a .py file, nor a package.module"
        )
