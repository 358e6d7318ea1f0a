"""The house: imports point down, in no circles, and no torch where none belongs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "blockzoo"

LAYERS = [
    {"core"},
    {"models", "data", "blocks"},
    {"report", "execution", "training", "measure"},
    {"profile", "benchmark", "train", "sweep", "visualize", "wrappers", "preflight", "workers", "testing"},
    {"nas", "blockwise", "tiling"},
    {"contracts"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. `blocks` carry `models`; verbs may call one another, in no circle."""

RANK = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
TORCH = {"torch", "torchvision", "timm", "lightning"}


def modules() -> dict[str, Path]:
    return {
        ".".join(("blockzoo", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in sorted(ROOT.rglob("*.py"))
    }


def imports(path: Path, *, inside_functions: bool) -> set[str]:
    """Modules that a file imports, but for type checking and for its `if __name__ == "__main__"` part."""
    found: set[str] = set()

    def visit(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.If) and ast.unparse(node.test) in (
                "TYPE_CHECKING",
                "__name__ == '__main__'",
            ):
                visit(node.orelse)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
                continue
            else:
                for field in ("body", "orelse", "finalbody", "handlers"):
                    visit(getattr(node, field, []) or [])

    visit(ast.parse(path.read_text()).body)
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_imports_point_down() -> None:
    wrong = []
    for module, path in modules().items():
        for target in imports(path, inside_functions=True) & set(modules()):
            if room(module) and room(target) and RANK[room(target)] > RANK[room(module)]:
                wrong.append(f"{module} imports {target}")
    assert not wrong, "\n".join(wrong)


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
