"""The grammar of what is looked at: a string names a block, a block in the scaffold, or a network.

ResNetBasicBlock            a block                 ResNetBasicBlock@published   a variant of it
ResNetBasicBlock+eca        with attention behind it
ResNetBasicBlock/mid        in the scaffold         timm:resnet18                a network of a library
my_file.py:MyBlock[/mid]    the user's own code     package.module:MyBlock[/mid]
tiled:F28:NETWORK           that network on tiles    tiled:F8:BLOCK[/mid]    a block on tiles
celled:16:BLOCK               a network of the macro space with that block in each of its cells
stages:A,B,C                the scaffold with a block in each of its stages

Code with a `stride` in its constructor (or any arguments, or a width it must be told, such as `dim`) is a block, any other a
whole network unless a position is given. In Python a class may stand for its text.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from blockzoo.core import consent
from blockzoo.core.contracts import (
    ATTENTIONS,
    BLOCKS,
    CONVERSIONS,
    NETWORKS,
    POSITIONS,
    STAGES,
    SUBJECTS,
    WRAPPER,
)
from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import load_object, origin_of, own_code
from blockzoo.core.signature import why_a_block
from blockzoo.core.sources import code_digest

_STORED: ContextVar[bool] = ContextVar("stored", default=False)


@contextmanager
def as_stored() -> Iterator[None]:
    """Within, subjects are taken as a record has them: their code need not be there any more to be read of, and does not run."""
    token = _STORED.set(True)
    try:
        with consent.text_of("a record"):
            yield
    finally:
        _STORED.reset(token)


@dataclass(frozen=True)
class Subject:
    """A parsed subject. `str(subject)` is its canonical text, so equal subjects have equal texts."""

    prefix: str  # "block", "code" (the user's own), or a prefix that a door resolves: "timm", "model", ...
    name: str
    position: str | None = None

    @classmethod
    def parse(cls, text: str | type | Subject) -> Subject:
        """Parse a subject; a class stands for the text that names it.

        Raises:
            UsageError: an empty text, an unknown block, prefix or position, or a file that is not there.

        Examples:
            >>> Subject.parse("InvertedResidual/late")
            Subject(prefix='block', name='InvertedResidual', position='late')
            >>> str(Subject.parse(" timm:resnet18 "))
            'timm:resnet18'
        """
        if isinstance(text, Subject):
            return text
        if not isinstance(text, str):
            text = _text_of(text)
        if not text.strip():
            raise UsageError(f"{text!r} names no subject; try a block such as ResNetBasicBlock")
        text = text.strip()
        prefix, colon, rest = text.partition(":")
        if prefix == "model" and own_code(rest):  # its own code, like any
            return cls.parse(rest)
        if colon and prefix == STAGES:
            return cls(prefix, _stages(rest, text))
        if colon and prefix in SUBJECTS:
            return cls(prefix, *_wrapped(prefix, rest, text)) if _wraps(prefix) else cls(prefix, rest)
        head, colon, tail = text.rpartition(":")
        name, slash, position = tail.partition("/")
        if slash and position not in POSITIONS:
            raise UsageError(f"position {position!r} of {text!r}: choose one of {', '.join(POSITIONS)}")
        if not colon:
            return cls("block", name if _STORED.get() else _canonical(name), position or None)
        if not _STORED.get():
            _check_code(head, name.partition("+")[0], text)
            name = _canonical(name, known=True)
        return cls("code", f"{head}:{name}", position or None)

    @property
    def taken_for_a_block(self) -> str:
        """Why a class of the user's is a block although nobody says so, in words; "" for other subjects."""
        if self.prefix != "code" or self.position or _STORED.get():
            return ""
        return _why_a_block(*self.name.partition("+")[0].rpartition(":")[::2])

    @property
    def wrapped(self) -> Subject | None:
        """What a prefix such as `tiled:` is said of, at the same position."""
        if not _wraps(self.prefix):
            return None
        inner = Subject.parse(self.name.partition(":")[2])
        return replace(inner, position=self.position) if self.position else inner

    @property
    def innermost(self) -> Subject:
        """What all such prefixes are said of; the subject itself where there is none."""
        return self.wrapped.innermost if self.wrapped else self

    @property
    def is_block(self) -> bool:
        """True for a block, which the scaffold can hold; False for a whole network."""
        if self.wrapped:
            return self.prefix in CONVERSIONS and self.wrapped.is_block
        if self.prefix == "code" and not self.position:
            return bool(self.taken_for_a_block)
        return self.prefix in ("block", "code")

    @property
    def stages(self) -> tuple[Subject, ...]:
        """The blocks of `stages:A,B,C`, each at its position; none of others."""
        if self.prefix != STAGES:
            return ()
        return tuple(
            Subject.parse(name).at(place)
            for name, place in zip(names_of_stages(self.name), POSITIONS, strict=True)
        )

    @property
    def in_scaffold(self) -> bool:
        """Is it built of the scaffold's stages?"""
        return self.is_block or self.prefix == STAGES

    def at(self, position: str) -> Subject:
        """The same block at a position of the scaffold; a network stays what it is."""
        if position not in POSITIONS:
            raise UsageError(f"position {position!r}: choose one of {', '.join(POSITIONS)}")
        return replace(self, position=position) if self.is_block else self

    def placed(self, position: str | None) -> Subject:
        """The block at the position that it names, else at this one (None: mid); a network stays what it is.

        Raises:
            UsageError: there is no such position, wherever the block names its own.
        """
        elsewhere = self.at(position or "mid")
        return self if self.position else elsewhere

    @property
    def label(self) -> str:
        """The subject without its position, as the `block` column shows it."""
        return self.name if self.prefix in ("block", "code") else f"{self.prefix}:{self.name}"

    def __str__(self) -> str:
        return f"{self.label}/{self.position}" if self.position else self.label

    @property
    def in_running_script(self) -> bool:
        """Whether its block is defined in the script that runs, where no other process can find it."""
        inner = self.innermost
        return inner.prefix == "block" and BLOCKS.origin(inner.name.partition("+")[0]) == "__main__"

    @property
    def own_origins(self) -> list[str | None]:
        """`own_origin`, of each block where there are several."""
        return [stage.own_origin for stage in self.stages] or [self.own_origin]

    @property
    def own_origin(self) -> str | None:
        """The file or module outside the package that the block, the network or the prefix comes from; None for our own."""
        if _wraps(self.prefix):
            return self.innermost.own_origin
        if self.prefix == "code":
            return self.name.rpartition(":")[0]
        if self.prefix == "block":
            return BLOCKS.own_origin(self.name.partition("+")[0])
        return NETWORKS.own_origin(self.name) if self.prefix == "model" else SUBJECTS.own_origin(self.prefix)

    def source_digest(self) -> str | None:
        """A digest of the user's own code behind the subject, see `code_digest`; None for what ships with a library.

        It enters the fingerprint of a trial: edited code is another subject.
        """
        if digests := [stage.source_digest() or "" for stage in self.stages]:
            return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16] if any(digests) else None
        origin = self.own_origin
        return code_digest(origin, load=not _STORED.get()) if origin else None


def _canonical(name: str, *, known: bool = False) -> str:
    """`BLOCK` or `BLOCK+ATTENTION`, both by their registered names; of a block that is known only the attention is looked up."""
    block, plus, attention = name.partition("+")
    return (
        (block if known else BLOCKS.canonical(block))
        + plus
        + (ATTENTIONS.canonical(attention) if plus else "")
    )


def _stages(rest: str, text: str) -> str:
    """Three blocks, canonical."""
    blocks = [Subject.parse(name) for name in names_of_stages(rest)]
    if len(blocks) != len(POSITIONS) or any(not block.is_block or block.position for block in blocks):
        raise UsageError(
            f"{text!r}: name three blocks, as in {STAGES}:RepMixer,ResNetBasicBlock,GhostBottleneck"
        )
    return ",".join(map(str, blocks))


def names_of_stages(text: str) -> list[str]:
    """The blocks of `A,B,C`; a comma within the options of a prefix parts no two of them.

    Examples:
        >>> names_of_stages("RepMixer,tiled:F8,reflect:RepMixer,GhostBottleneck")
        ['RepMixer', 'tiled:F8,reflect:RepMixer', 'GhostBottleneck']
    """
    prefixes = "|".join(SUBJECTS.tagged(WRAPPER))
    return re.findall(rf"(?:^|,)((?:(?:{prefixes}):[^:]*:)*[^,]*)", text)


def _wraps(prefix: str) -> bool:
    """Whether a prefix says something of another subject."""
    return prefix in SUBJECTS.tagged(WRAPPER)


def _wrapped(prefix: str, rest: str, text: str) -> tuple[str, str | None]:
    """`OPTIONS:SUBJECT`, the subject canonical, and of a block its position; of a block the options are canonical too."""
    options, colon, inner = rest.partition(":")
    if not colon:
        raise UsageError(f"{text!r}: say what of. {SUBJECTS.summary(prefix)}")
    subject = Subject.parse(inner)
    if not subject.is_block or prefix not in CONVERSIONS:
        return f"{options}:{subject}", None
    options = options if _STORED.get() else CONVERSIONS[prefix](options).options
    return f"{options}:{subject.label}", subject.position


def _text_of(obj: object) -> str:
    """The text that names a class, so that another process can find it."""
    if isinstance(obj, list | tuple | set):
        raise UsageError(
            f"a {type(obj).__name__} of {len(obj)}: give one subject and call this for each; `benchmark_block` takes several"
        )
    if not isinstance(obj, type) and not inspect.isfunction(obj):
        raise UsageError(
            f"{type(obj).__name__} object: a subject is a text or a class, since its weights are drawn from a seed; "
            "for a network at hand there are get_model_profile and benchmark_model"
        )
    registered = BLOCKS.name_of(obj)
    if registered:
        return registered
    if "<locals>" in obj.__qualname__ or "." in obj.__qualname__:
        raise UsageError(f"{obj.__qualname__} is defined inside something; move it to the top of its file")
    return f"{origin_of(obj)}:{obj.__name__}"


@cache
def _why_a_block(origin: str, name: str) -> str:
    return why_a_block(load_object(origin, name))


def _check_code(origin: str, name: str, text: str) -> None:
    if not name.isidentifier():
        raise UsageError(f"{text!r}: after the colon comes the name of a class, as in my_file.py:MyBlock")
    if origin.endswith(".py"):
        if not Path(origin).is_file():
            raise UsageError(f"{text!r}: there is no file {origin}")
    elif not all(part.isidentifier() for part in origin.split(".")):
        prefixes = ", ".join(f"{p}:" for p in SUBJECTS)
        raise UsageError(
            f"{text!r}: {origin!r} is neither a known prefix ({prefixes}), a .py file, nor a package.module"
        )
