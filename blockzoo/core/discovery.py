"""Read what a folder of source files registers without importing any of it.

Importing torch and timm costs seconds; listing names must not. A decorated class or function is
visible in the source text, so its name, aliases and first sentence are read from there (`ast`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Declaration:
    """One `@REGISTRY.register(...)` found in a source file."""

    name: str
    module: str
    attribute: str
    summary: str
    aliases: tuple[str, ...] = ()


def first_sentence(docstring: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())


def declarations(folder: Path, package: str, registry: str) -> Iterator[Declaration]:
    """Yield what the files in `folder`, and in the folders in it, register with the registry called `registry`."""
    for path in sorted(folder.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if f"@{registry}.register" not in source:
            continue
        module = ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for node in ast.parse(source, filename=str(path)).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                yield from _of_definition(node, module, registry)


def _of_definition(node: ast.ClassDef | ast.FunctionDef, module: str, registry: str) -> Iterator[Declaration]:
    for decorator in node.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not (isinstance(call, ast.Attribute) and call.attr == "register"):
            continue
        if not (isinstance(call.value, ast.Name) and call.value.id == registry):
            continue
        name, aliases = node.name, ()
        if isinstance(decorator, ast.Call):
            if decorator.args:
                name = ast.literal_eval(decorator.args[0])
            options = {k.arg: ast.literal_eval(k.value) for k in decorator.keywords}
            aliases = tuple(options.get("aliases", ()))
        yield Declaration(name, module, node.name, first_sentence(ast.get_docstring(node)), aliases)
