"""Read what the source files of the package register without importing any of it.

Importing torch and timm costs seconds; listing names must not. A decorated class or function is
visible in the source text, so its name, aliases and first sentence are read from there (`ast`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
REGISTERED = re.compile(rb"^@([A-Z_]+)\.register\b", re.MULTILINE)


@dataclass(frozen=True)
class Declaration:
    """One `@REGISTRY.register(...)` found in a source file."""

    name: str
    module: str
    attribute: str
    summary: str
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    source: str = ""


def first_sentence(docstring: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())


def source_of(docstring: str | None) -> str:
    """What a docstring gives as its source, on one line: the paragraph that begins so; "" where there is none."""
    paragraphs = (" ".join(part.split()) for part in (docstring or "").strip().split("\n\n"))
    return next((part.removeprefix("Source: ") for part in paragraphs if part.startswith("Source: ")), "")


def declarations(registry: str) -> Iterator[Declaration]:
    """Yield what the files of the package register with the registry called `registry`, wherever they lie."""
    for path in _files_by_registry().get(registry, ()):
        for node in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                yield from _of_definition(node, module_of(path), registry)


def module_of(path: Path) -> str:
    """The dotted name of a source file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def module_that_declares(registry: str) -> str | None:
    """The module of a room's doors that has the registry called `registry`."""
    for path in sorted(PACKAGE.glob("*/contracts.py")):
        if re.search(rf"^{re.escape(registry)}: ", path.read_text(encoding="utf-8"), re.MULTILINE):
            return module_of(path)
    return None


@cache
def _files_by_registry() -> dict[str, tuple[Path, ...]]:
    """By a registry's name, the files that register something with it: one walk through the package for all registries."""
    files: dict[str, tuple[Path, ...]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_bytes()
        if b".register" in source:  # few have it, and looking for a text is quicker than for a pattern
            for registry in dict.fromkeys(REGISTERED.findall(source)):
                files[registry.decode()] = (*files.get(registry.decode(), ()), path)
    return files


def _of_definition(node: ast.ClassDef | ast.FunctionDef, module: str, registry: str) -> Iterator[Declaration]:
    for decorator in node.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not (isinstance(call, ast.Attribute) and call.attr == "register"):
            continue
        if not (isinstance(call.value, ast.Name) and call.value.id == registry):
            continue
        name, options = node.name, {}
        if isinstance(decorator, ast.Call):
            if decorator.args:
                name = ast.literal_eval(decorator.args[0])
            options = {k.arg: tuple(ast.literal_eval(k.value)) for k in decorator.keywords}
        doc = ast.get_docstring(node)
        aliases, tags = options.get("aliases", ()), options.get("tags", ())
        yield Declaration(name, module, node.name, first_sentence(doc), aliases, tags, source_of(doc))
