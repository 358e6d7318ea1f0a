"""cite: what to cite for what was used: blocks, datasets, protocols, algorithms, libraries, and this package."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from blockzoo.contracts import (
    ATTENTIONS,
    BLOCKS,
    DATASETS,
    ENGINES,
    PROTOCOLS,
    SEARCHES,
)
from blockzoo.core.citations import LIBRARIES, METHODS, Citation, citations_of, keyed
from blockzoo.core.discovery import PACKAGE
from blockzoo.core.documents import from_json
from blockzoo.core.errors import UnknownNameError, UsageError
from blockzoo.core.outputs import Outputs, is_table, open_store, read_rows
from blockzoo.core.plugins import options_in
from blockzoo.core.registry import Registry
from blockzoo.core.subject import Subject, as_stored

DOORS: dict[str, Registry[Any]] = {
    registry.kind: registry for registry in (BLOCKS, DATASETS, PROTOCOLS, SEARCHES, ENGINES, ATTENTIONS)
}
LIBRARY, METHOD = "library", "method"
LENSES = {
    "nas": "Chau et al., BLOX: Macro Neural Architecture Search Benchmark and Algorithms, NeurIPS 2022, arXiv:2210.07271",
    "tile": "Li et al., Block Convolution: Toward Memory-Efficient Inference of Large-Scale CNNs on FPGA, TCAD 2022, "
    "doi:10.1109/TCAD.2021.3082868",
}
WAYS = {**LENSES, **METHODS}
"""Lenses and settings that are of a paper."""
KINDS_OF_KEYS = {
    "dataset": DATASETS.kind,
    "protocol": PROTOCOLS.kind,
    "algorithm": SEARCHES.kind,
    "algorithms": SEARCHES.kind,
    "training_mode": ENGINES.kind,
    **dict.fromkeys(("block", "blocks", "subject", "subjects", "filler", "model"), BLOCKS.kind),
}
"""What a key of a record, a row, a manifest or a file of options names."""
TRAINED_WITH = ("torch", "torchvision", "lightning", "numpy")
"""Libraries that every training goes through."""
LOOKED_AT = (*KINDS_OF_KEYS, *METHODS)
OTHER_KINDS = ("blockwise",)
"""Kinds of records that are no rows of the table."""


@dataclass(frozen=True)
class Used:
    """One thing that was used.

    Args:
        kind: what it is: a block, a dataset, ...
        name: its own.
        source: as its docstring gives it; "" where nothing is known.
    """

    kind: str
    name: str
    source: str

    @property
    def works(self) -> list[Citation]:
        """What to cite for it."""
        return citations_of(self.source)


def cite(*what: str | Path) -> list[Used]:
    """What was used, each with its source, in the order of kinds.

    Args:
        what: names of blocks (with variants, attention, positions), datasets, protocols, search algorithms, update engines,
            libraries and lenses; a results folder, store, table or folder of `nas search`; a YAML or TOML file of options.

    Raises:
        UnknownNameError: neither a name nor a place; with the nearest names.
        UsageError: a place that holds nothing to cite for.
        StoreError: a results folder that cannot be read.
    """
    pairs = dict.fromkeys(chain.from_iterable(map(_pairs, what)))
    order = [*DOORS, METHOD, LIBRARY]
    return [Used(*pair, _source(*pair)) for pair in sorted(pairs, key=lambda pair: order.index(pair[0]))]


def bibliography(used: list[Used]) -> str:
    """BibTeX: each work once, above it what it is cited for; at the end what has no source."""
    works = keyed(work for one in used for work in one.works)
    lines = []
    for key, work in works.items():
        users = [one for one in used if work in one.works]
        kinds = dict.fromkeys(one.kind for one in users)
        remark = "; ".join(f"{kind} {', '.join(o.name for o in users if o.kind == kind)}" for kind in kinds)
        lines.append(f"% {_remark(remark)}\n{work.bibtex(key)}")
    if without := [f"{one.kind} {one.name}" for one in used if not one.source]:
        lines.append(f"% no source is known of: {_remark(', '.join(without))}\n")
    return "\n".join(lines)


def _remark(text: str) -> str:
    """Outside of entries BibTeX reads on to the next sign that begins one."""
    return " ".join(text.replace("@", " at ").split())


def _pairs(what: str | Path) -> Iterator[tuple[str, str]]:
    text = str(what)
    if Path(text).exists():
        yield from _in_place(Path(text))
        return
    name = text.partition("/")[0]
    for kind, registry in DOORS.items():
        if kind != BLOCKS.kind and name in registry:
            yield kind, registry.canonical(name)
            return
    if name in LIBRARIES or name in WAYS:
        yield (LIBRARY if name in LIBRARIES else METHOD), name
        return
    try:
        subject = Subject.parse(text)
    except UnknownNameError:
        raise UnknownNameError(_unknown(text)) from None
    yield from _of_subject(subject)


def _unknown(text: str) -> str:
    names = [*chain.from_iterable(registry.names() for registry in DOORS.values()), *LIBRARIES, *WAYS]
    lowered = {name.lower(): name for name in names}
    near = [lowered[name] for name in difflib.get_close_matches(text.lower(), lowered, n=3, cutoff=0.5)]
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"{text!r} is no place, and nothing that has a source.{meant} `blockzoo blocks` and `blockzoo datasets` list names."


def _of_subject(subject: Subject) -> Iterator[tuple[str, str]]:
    """What a subject is made of."""
    if subject.wrapped is not None:
        yield METHOD, "tile"
        yield from _of_subject(subject.wrapped)
        return
    if subject.stages:
        for one in subject.stages:
            yield from _of_subject(one)
        return
    if subject.prefix == "macro":
        yield METHOD, "nas"
        return
    if subject.prefix in LIBRARIES:
        yield LIBRARY, subject.prefix
    if subject.prefix != "block":
        return
    name, *attentions = subject.name.split("+")
    base = name.partition("@")[0]
    yield BLOCKS.kind, base
    for attention in attentions:
        yield ATTENTIONS.kind, attention
    if "timm" in _imports_of(BLOCKS.origin(base)) if base in BLOCKS else attentions:
        yield LIBRARY, "timm"


@cache
def _imports_of(module: str) -> frozenset[str]:
    """The libraries that a module of ours imports, read from its source."""
    path = PACKAGE.parent / f"{module.replace('.', '/')}.py"
    if not module.startswith("blockzoo.") or not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    return frozenset(name.partition(".")[0] for name in modules)


def _in_place(path: Path) -> Iterator[tuple[str, str]]:
    """What a place says was used.

    Raises:
        UsageError: it says nothing.
    """
    uses = dict.fromkeys(_of_place(path))
    if not uses:
        raise UsageError(f"{path}: nothing is used there that has a source")
    yield from uses


def _of_place(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix in (".yaml", ".yml", ".toml"):
        yield from _of_values(options_in(path))
        return
    manifest = path / "manifest.json" if path.is_dir() else path
    if manifest.suffix == ".json" and manifest.is_file():
        yield from _of_values(from_json(manifest.read_text(encoding="utf-8"), str(manifest)))
    if (
        is_table(path)
        or (path.is_file() and path.suffix != ".json")
        or (path.is_dir() and Outputs.at(path).database.is_file())
    ):
        yield from _of_results(path)


def _of_results(path: Path) -> Iterator[tuple[str, str]]:
    rows = read_rows(path)
    with as_stored():
        for values in _different(rows):
            yield from _of_values(values)
        if not is_table(path):
            for kind in OTHER_KINDS:
                for record in open_store(path).records(kind):
                    yield from _of_values({"subject": record.subject, **record.spec})
    if rows:
        yield from ((LIBRARY, name) for name in TRAINED_WITH)


def _different(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What rows say of what is looked at, each once."""
    seen = {tuple(row.get(name) for name in LOOKED_AT): row for row in rows}
    return [{name: row.get(name) for name in LOOKED_AT} for row in seen.values()]


def _of_values(values: object) -> Iterator[tuple[str, str]]:
    """What values by name say, at any depth."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            name = str(key).replace("-", "_")
            if name in WAYS and value not in (None, "", False):
                yield METHOD, name
            elif kind := KINDS_OF_KEYS.get(name):
                yield from _of_names(kind, value)
            yield from _of_values(value)
    elif isinstance(values, list):
        for value in values:
            yield from _of_values(value)


def _of_names(kind: str, value: object) -> Iterator[tuple[str, str]]:
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str) or not text:
            continue
        name = re.split(r"[ :]", text)[0] if kind != BLOCKS.kind else text
        if kind != BLOCKS.kind:
            yield kind, name
            continue
        try:
            with as_stored():
                yield from _of_subject(Subject.parse(text.partition(" ")[0]))
        except UsageError:  # a name of another version, or of code that is not there
            yield kind, text


def _source(kind: str, name: str) -> str:
    if kind in (LIBRARY, METHOD):
        return (LIBRARIES if kind == LIBRARY else WAYS)[name]
    registry = DOORS[kind]
    try:
        return registry.source(name)
    except UsageError:
        return ""
