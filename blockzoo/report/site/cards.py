"""What a block is, read from the source that registers it: nothing of the package is imported for it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

from blockzoo.core.discovery import PACKAGE, Declaration, declarations, first_sentence
from blockzoo.report.site.markup import Markup, joined, tag

ARXIV = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Card:
    """A block of the zoo.

    Args:
        sentence: what it is.
        caveats: what else its description says: constraints, choices.
        source: the paper.
        module: where its code lies.
        code: of it.
    """

    sentence: str
    caveats: tuple[str, ...]
    source: str
    module: str
    code: str


def card_of(block: str) -> Card | None:
    """The card of a block of the zoo, by its name with or without a variant; None of any other."""
    name = block.partition(" ")[0]  # without a width or depth of its own
    declaration = _declared().get(name)
    if declaration is None:
        return None
    text = (PACKAGE.parent / (declaration.module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
    kinds = ast.ClassDef | ast.FunctionDef
    (node,) = [n for n in ast.parse(text).body if isinstance(n, kinds) and n.name == declaration.attribute]
    parts = [" ".join(part.split()) for part in (ast.get_docstring(node) or "").split("\n\n")]
    caveats = tuple(
        part for part in parts[1:] if not part.startswith(("Source:", "Args:", "Raises:", "Examples:"))
    )
    code = ast.get_source_segment(text, node) or ""
    return Card(first_sentence(parts[0]), caveats, declaration.source, declaration.module, code)


@cache
def _declared() -> dict[str, Declaration]:
    return {declaration.name: declaration for declaration in declarations("BLOCKS")}


def cited(source: str) -> Markup:
    """A source with its paper as a link."""
    match = ARXIV.search(source)
    if match is None:
        return joined([source])
    link = tag("a", match[0], href=f"https://arxiv.org/abs/{match[1]}", rel="noreferrer")
    return joined([source[: match.start()], link, source[match.end() :]])
