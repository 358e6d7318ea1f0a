"""Write what follows from the settings: `python scripts/settings.py`.

docs/settings.md, the table of all settings, and the keywords.py of blockzoo/core and blockzoo/tiling/planning, their names and
types as typed dictionaries for type checkers and editors.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import Field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from blockzoo.blockwise.curvature.options import Searching
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.handling import Handling, Processes
from blockzoo.blockwise.run.options import Network, Options
from blockzoo.card.options import Carding
from blockzoo.core.checked import settings_of
from blockzoo.core.settings import TABLES
from blockzoo.nas.options import Contest, Sharing, Teaching, Timing
from blockzoo.tiling.onnx.options import Quantising
from blockzoo.tiling.planning.options import Cutting, Planning
from blockzoo.trials.options import Verifying

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"
BLOCKWISE = (Options, RunConfig, Network, Handling, Processes, Searching)
"""The settings of `blockzoo blockwise`."""
OF_NAS = (Timing, Contest, Teaching, Sharing)
"""The settings of `blockzoo nas`."""
OF_VERIFY = (Verifying,)
"""The settings of `blockzoo verify`."""
OF_CARDS = (Carding,)
"""The settings of `blockzoo card`."""
TILING = (Planning, Quantising)
"""The settings of `blockzoo tile plan` and `tile export`."""
KEYWORDS = {
    ROOT / "blockzoo" / "core" / "keywords.py": TABLES,
    ROOT / "blockzoo" / "blockwise" / "curvature" / "keywords.py": (Searching,),
    ROOT / "blockzoo" / "blockwise" / "run" / "keywords.py": (Handling, Processes),
    ROOT / "blockzoo" / "tiling" / "planning" / "keywords.py": (Cutting, Planning),
}
"""Files of typed dictionaries, and the settings in each."""
LENSES = {"nas": OF_NAS, "blockwise": BLOCKWISE, "tile": TILING}
"""Said beside the names of those that only one has."""
HEAD = '''"""Keyword arguments by name and type: written by `python scripts/settings.py` from the dataclasses of settings."""

from __future__ import annotations

'''
IMPORTS = {"Sequence": "collections.abc", "Path": "pathlib", "Literal": "typing", "TypedDict": "typing"}


def bare(kind: Any) -> str:
    """A type as Python writes it; what is stored as a path or a tuple may be given as a text or any sequence."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return bare(parts[0])
    if origin in (Union, UnionType):
        return " | ".join(bare(part) for part in parts)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, parts)).replace(chr(39), chr(34))}]"
    if origin is tuple:
        return f"Sequence[{bare(parts[0])}]"
    if kind is Path:
        return "str | Path"
    return "None" if kind is NoneType else str(kind.__name__)


def ranges(kind: Any) -> str:
    """The values that a setting may have, in words."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return next((words for part in parts if (words := ranges(part))), "")
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin is tuple:
        return ranges(parts[0])
    if origin is not Annotated:
        return "yes or no" if kind is bool else ""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return ", ".join(
        f"{sign} {getattr(limit, name)}"
        for limit in parts[1:]
        for name, sign in signs.items()
        if hasattr(limit, name)
    )


def keywords(kinds: Sequence[type]) -> str:
    """A module of typed dictionaries."""
    lines: list[str] = []
    for kind in kinds:
        hints = get_type_hints(kind, include_extras=True)
        doc = (inspect.getdoc(kind) or "").splitlines()[0]
        lines += ["", "", f"class {kind.__name__}Keywords(TypedDict, total=False):", f'    """{doc}"""', ""]
        lines += [f"    {name}: {bare(hints[name])}" for name in settings_of(kind)]
    body = "\n".join(lines) + "\n"
    used = [name for name in IMPORTS if name in body]
    modules = dict.fromkeys(IMPORTS[name] for name in used)
    lines = [f"from {m} import {', '.join(n for n in used if IMPORTS[n] == m)}\n" for m in modules]
    return f"{HEAD}{''.join(lines)}{body}"


def page() -> str:
    """The table of all settings, as Markdown."""
    made = [
        "# Settings",
        "",
        "Each setting is one field of a dataclass in `blockzoo/core/settings.py`: the command line, the keyword arguments of the",
        "Python functions, sweep files, fingerprints, columns of the results and this page read it there. Another value in",
        "Scaffold, Recipe, Data or Seeded is another trial; what stands in Run and Sweeping changes no result.",
        "",
        "`python scripts/settings.py` writes this page.",
    ]
    for kind in (*TABLES, *OF_VERIFY, *OF_CARDS, *OF_NAS, *BLOCKWISE, *TILING):
        hints = get_type_hints(kind, include_extras=True)
        made += [
            "",
            f"## {kind.__name__}{next((f' ({lens})' for lens, kinds in LENSES.items() if kind in kinds), '')}",
            "",
            " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split()),
            "",
        ]
        made += [
            "| setting | command line | default | values | meaning | column |",
            "|---|---|---|---|---|---|",
        ]
        made += [_line(field, hints[name]) for name, field in settings_of(kind).items()]
    return "\n".join(made) + "\n"


def _line(field: Field[Any], kind: Any) -> str:
    story = field.metadata
    options = ", ".join(f"`{name}`" for name in ("--" + field.name.replace("_", "-"), *story["names"]))
    default = "" if field.default in (None, (), "") else f"`{field.default}`"
    sentence = story["sentence"].replace("|", "\\|")
    values = ", ".join(filter(None, (ranges(kind), story["unit"])))
    return f"| `{field.name}` | {options} | {default} | {values} | {sentence} | {'yes' if story['column'] else ''} |"


def main() -> None:
    for path, kinds in KEYWORDS.items():
        path.write_text(keywords(kinds))
    PAGE.write_text(page())
    print(f"{', '.join(map(str, KEYWORDS))} and {PAGE} written")


if __name__ == "__main__":
    main()
