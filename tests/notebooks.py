"""A notebook run from its first cell to its last, in a process of its own: `python -m tests.notebooks FILE`.

The last expression of a cell is shown as a notebook shows it. Prints a line of JSON for each value that is shown.
"""

from __future__ import annotations

import ast
import json
import linecache
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORMS = ("_repr_html_", "_repr_png_")


def cells_of(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook."""
    return json.loads(path.read_text())["cells"]  # type: ignore[no-any-return]


def run(path: Path) -> Iterator[dict[str, Any]]:
    """What each cell shows: the class, the repr, and the richer forms that there are. All cells have one namespace."""
    module = types.ModuleType("__main__")
    for number, cell in enumerate(cells_of(path)):
        if cell["cell_type"] != "code":
            continue
        file, source = f"<{path.stem}, cell {number}>", "".join(cell["source"])
        linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
        *body, last = ast.parse(source, file).body
        if not isinstance(last, ast.Expr):
            body.append(last)
        exec(compile(ast.Module(body, []), file, "exec"), vars(module))
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), file, "eval"), vars(module))
            forms = [form for form in FORMS if getattr(value, form, lambda: None)()]
            kinds = [kind.__name__ for kind in type(value).__mro__]
            yield {"cell": number, "kinds": kinds, "repr": repr(value)[:200], "forms": forms}


if __name__ == "__main__":
    for shown in run(Path(sys.argv[1])):
        print(json.dumps(shown))
    print(json.dumps({"cpu_seconds": time.process_time()}))
