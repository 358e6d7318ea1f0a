"""Which tests are a file's: `python scripts/tests_of.py blockzoo/core/scan.py`.

Those of its path and name, where there are any; else those that reach it over the fewest imports, of the nearest folder; of
a command, those that call it by its words; of what a registry loads by its name, those of the folder.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 5
"""Files that are named, of those that reach a module alike."""


def tests_of(path: Path) -> list[Path]:
    """Files of tests, relative to the repository, as the path is: the most telling first."""
    inside = path.relative_to("blockzoo")
    own = Path("tests") / inside.with_name(f"test_{inside.name}")
    if (ROOT / own).exists():
        return [own]
    near = _callers(inside) if inside.parts[0] == "cli" else []
    near = near or _reaching(_module(path)) or _beside(inside.parent)
    return sorted(near, key=lambda test: (-_shared(test, inside), str(test)))[:MOST]


def _callers(inside: Path) -> list[Path]:
    """Tests that call a command: its words are strings of a list there, or a line of a shell."""
    words = [part for part in inside.with_suffix("").parts[1:] if part != "run"]
    names = [rf"{re.escape(word).replace('_', '[-_]')}" for word in words]
    call = re.compile(r'"' + r'",\s*"'.join(names) + r'"|blockzoo ' + " ".join(names) + r"\b")
    return [test for test in _tests() if call.search((ROOT / test).read_text())]


def _reaching(module: str) -> list[Path]:
    """Tests that reach a module over the fewest imports."""
    seen, level = {module}, {module}
    while level:
        importers = {by for name in level for by in _importers()[name]}
        if tests := [by for by in importers if isinstance(by, Path)]:
            return tests
        level = {by for by in importers if isinstance(by, str)} - seen
        seen |= level
    return []


def _beside(folder: Path) -> list[Path]:
    """Tests of a folder, or of the nearest one above that has some."""
    beside = [test for test in _tests() if Path("tests") / folder in test.parents]
    return beside or _beside(folder.parent)


def _shared(test: Path, inside: Path) -> int:
    """Folders that a test and a module have in common, from the top."""
    pairs = zip(test.parts[1:-1], inside.parts[:-1], strict=False)
    return next(
        (count for count, (a, b) in enumerate(pairs) if a != b),
        min(len(test.parts) - 2, len(inside.parts) - 1),
    )


@cache
def _tests() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))


@cache
def _importers() -> dict[str, set[str | Path]]:
    """Who imports a module: modules by name, tests by path."""
    modules = {
        _module(path): path for path in (p.relative_to(ROOT) for p in (ROOT / "blockzoo").rglob("*.py"))
    }
    by: dict[str, set[str | Path]] = defaultdict(set)
    importers: list[tuple[str | Path, Path]] = [*modules.items(), *((test, test) for test in _tests())]
    for who, path in importers:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                if name in modules and name != who:
                    by[name].add(who)
    return by


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def main() -> None:
    """Print them."""
    for given in sys.argv[1:]:
        print(*tests_of(Path(given).resolve().relative_to(ROOT)), sep="\n")


if __name__ == "__main__":
    main()
