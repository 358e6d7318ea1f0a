"""The house: imports point down, in no circles, and no torch where none belongs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from blockzoo.core.contracts import SUBJECTS

ROOT = Path(__file__).parents[1] / "blockzoo"

LAYERS = [
    {"core"},
    {"models", "data", "blocks"},
    {"report", "execution", "training", "measure", "publish"},
    {"profile", "benchmark", "operations", "visualize", "wrappers", "testing"},
    {"trials"},
    {"train", "sweep"},
    {"nas", "blockwise", "tiling"},
    {"card"},
    {"contracts"},
    {"cite"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. `blocks` carry `models`; verbs may call one another, in no circle."""

LENS = {room: room for room in ("nas", "blockwise", "tiling")} | dict.fromkeys(
    LAYERS[3] | LAYERS[5], "isolate"
)
"""Rooms that answer a question each, and do not know each other. What they share lies on the floors below."""
RANK = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
TORCH = {"torch", "torchvision", "timm", "lightning"}


@cache
def modules() -> dict[str, Path]:
    return {
        ".".join(("blockzoo", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in sorted(ROOT.rglob("*.py"))
    }


def imports(path: Path, *, inside_functions: bool, for_types: bool = False) -> set[str]:
    """Modules that a file imports, but for its `if __name__ == "__main__"` part and, unless asked for, what types alone need."""
    names: set[str] = set()
    skipped = {"__name__ == '__main__'"} if for_types else {"__name__ == '__main__'", "TYPE_CHECKING"}

    def visit(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.If) and ast.unparse(node.test) in skipped:
                visit(node.orelse)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
                continue
            else:
                for field in ("body", "orelse", "finalbody", "handlers"):
                    visit(getattr(node, field, []) or [])

    visit(ast.parse(path.read_text()).body)
    return names


def texts(path: Path) -> set[str]:
    """Each text in a file that is not a sentence: a name, a dotted one, one with a colon."""
    constants = (
        node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
    )
    return {text for text in constants if isinstance(text, str) and re.fullmatch(r"[\w.:]+", text)}


def named(text: str) -> str | None:
    """The module that a text names: `blockzoo.nas`, `blockzoo.nas.space.cells:Cell`, `blockzoo.train.train_block`."""
    module = text.partition(":")[0]
    while module.startswith("blockzoo.") and module not in modules():
        module = module.rpartition(".")[0]
    return module if module.startswith("blockzoo.") else None


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def uses(path: Path) -> set[str]:
    """Modules that a file names, by an import, for its types, or as a text."""
    by_text = {module for text in texts(path) if (module := named(text))}
    return (imports(path, inside_functions=True, for_types=True) & set(modules())) | by_text


def test_names_point_down() -> None:
    """Imports, those for types too, and names given as texts."""
    wrong = []
    for module, path in modules().items():
        for target in uses(path):
            if room(module) and room(target) and RANK[room(target)] > RANK[room(module)]:
                wrong.append(f"{module} names {target}")
    assert not wrong, "\n".join(wrong)


def test_lenses_do_not_know_each_other() -> None:
    across = {
        (module, target)
        for module, path in modules().items()
        for target in uses(path)
        if (lens := LENS.get(room(module))) and lens != LENS.get(room(target), lens)
    }
    assert across == set()


def test_below_the_lenses_none_of_them_has_a_name() -> None:
    """Nor has what a lens adds to a grammar: its prefixes of subjects, its kinds of records."""
    words = {lens for lens in LENS.values() if lens != "isolate"}
    words |= {name for name in SUBJECTS if LENS.get(room(SUBJECTS.origin(name)))}
    assert {"nas", "tiled", "macro"} <= words
    wrong = [
        f"{module} says {word!r}"
        for module, path in modules().items()
        if room(module) and RANK[room(module)] < RANK["nas"] and LENS.get(room(module)) is None
        for word in texts(path) & words
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        "from blockzoo.cli import main",
        "def f():\n    import blockzoo.nas.space.cells",
        "if TYPE_CHECKING:\n    from blockzoo.tiling.tags import read_options",
        "job = Job('blockzoo.trials.bodies:execute_trial')",
        "import_module('blockzoo.blockwise.sweep')",
    ],
)
def test_a_name_of_an_upper_floor_is_seen_however_it_is_given(source: str, tmp_path: Path) -> None:
    (file := tmp_path / "file.py").write_text(source)
    assert any(RANK[room(target)] > RANK["core"] for target in uses(file) if room(target))


def test_every_room_has_its_floor() -> None:
    assert {room(m) for m in modules()} - {""} <= set(RANK)


def test_no_circles() -> None:
    known = modules()
    graph = {m: imports(p, inside_functions=False) & set(known) - {m} for m, p in known.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for target in graph[module]:
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("place", ["core", "report"])
def test_no_torch_in(place: str) -> None:
    for module, path in modules().items():
        if room(module) == place:
            used = {name.split(".")[0] for name in imports(path, inside_functions=True)} & TORCH
            assert not used, f"{module} imports {used}"


@pytest.mark.parametrize(
    "code",
    [
        "import blockzoo",
        "from blockzoo import list_available_blocks as f; assert len(f()) >= 10",
        "from blockzoo.wrappers import BLOCK_REGISTRY; assert 'UniversalInvertedBlock' in BLOCK_REGISTRY",
        "from blockzoo.cli import main; main(['--help'])",
        *[
            f"from blockzoo.cli import main; main(['{command}', '--help'])"
            for command in (
                "profile",
                "benchmark",
                "train",
                "sweep",
                "visualize",
                "blocks",
                "datasets",
                "results",
            )
        ],
        "from blockzoo.cli import main; main(['blocks', '--variants'])",
        "from blockzoo.cli import main; main(['datasets'])",
        "from blockzoo.cli import main; assert main(['profile', 'ResNetBasicBlok']) == 2",
        "import blockzoo.profile, blockzoo.benchmark, blockzoo.train, blockzoo.sweep, blockzoo.visualize",
    ],
)
def test_starts_without_torch(code: str) -> None:
    check = f"{code}\nimport sys\nassert not {TORCH!r} & set(sys.modules), {TORCH!r} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_keep_to_one_idea() -> None:
    long = {str(p): n for p in modules().values() if (n := len(p.read_text().splitlines())) > 350}
    assert not long, f"which second idea moved in? {long}"


def test_a_class_of_a_room_has_a_name_of_its_own() -> None:
    places: dict[tuple[str, str], list[str]] = {}
    for name, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault((name.split(".")[1], node.name), []).append(name)
    assert {key: where for key, where in places.items() if len(where) > 1} == {}


NEWER = {
    "typing": {
        "Self",
        "Unpack",
        "Never",
        "LiteralString",
        "Required",
        "NotRequired",
        "TypeVarTuple",
        "override",
        "assert_never",
    },
    "enum": {"StrEnum"},
    "datetime": {"UTC"},
    "itertools": {"batched"},
}
"""What came to Python after 3.10, the oldest that we run on: for types alone typing_extensions has it."""


def test_nothing_newer_than_the_oldest_python_is_imported() -> None:
    names = {
        (module, name) for module, path in modules().items() for name in imports(path, inside_functions=True)
    }
    newer = {f"{library}.{name}" for library, known in NEWER.items() for name in known}
    assert not [(module, name) for module, name in names if name in newer]
