"""Which code of the user's own a request rests on, as a digest: edited code is another request.

A file counts with every module of the user's own that it imports, directly or through others: what lies in no library. They are
read from the source, import by import in its order, so that the digest is the same in every process and on every machine.
Seen are `import` statements wherever they stand, `import_module("name")`, `__import__("name")` and names of `.py` files in texts
(as they are given to `spec_from_file_location` or `exec`), and of files with settings or weights (`DATA`) that lie beside the
code; what is imported or read by a name that is computed is not.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
import sysconfig
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import load_module, module_file

HOME = Path(__file__).resolve().parents[1]
"""The package itself, whose code is no user's."""
INSTALLED = frozenset(("site-packages", "dist-packages"))
"""Folders of installed libraries."""
DATA = ("json", "yaml", "yml", "toml", "ini", "cfg", "npy", "npz", "safetensors", "pt", "pth")
"""Endings of files that code reads what it does from, where their names stand in it."""


def code_digest(origin: str, *, load: bool = True) -> str | None:
    """16 hex digits of the code behind an origin: a `.py` file, or the name of a module; None where there is none.

    Of a file that imports nothing of the user's own, the SHA-256 of its bytes; of a module of an installed library that and the
    library's version.

    Args:
        origin: path of a `.py` file, or name of a module; what follows a colon in the latter is ignored.
        load: import it first, where it may run, so that folders which it puts on the path are known.

    Raises:
        UsageError: it imports a module whose name stands for another file in this process.
    """
    is_file = origin.endswith(".py")
    origin = origin if is_file else origin.partition(":")[0]
    path = _file_of(origin)
    if path is None:
        return None
    if not is_own(path):
        library = _library(path)
        return _joined([(library, _content(path))]) if library else _content(path)
    if load and origin not in sys.modules:
        try:
            load_module(origin)
        except (UsageError, SystemExit):  # what needs it will say so
            load = False
    key = path, load, *sys.path
    stamps, digest = _known.get(key, ({}, ""))
    if not stamps or any(_stamp(file) != stamp for file, stamp in stamps.items()):
        before = () if is_file else _packages(path)
        files = list(_closure(path, before, check=load))
        digest = (
            _content(path) if len(files) == 1 else _joined([(name, _content(file)) for name, file in files])
        )
        _known[key] = {file: _stamp(file) for _, file in files}, digest
        for _, file in files if load else ():
            _first.setdefault(file, _content(file))
    return digest


def own_files(origin: str) -> list[Path]:
    """The files of the user's own that the code behind an origin rests on, that itself first; none of a module not found."""
    path = _file_of(origin)
    if path is None or not is_own(path):
        return [path] if path else []
    return [
        file for _, file in _closure(path, () if origin.endswith(".py") else _packages(path), check=False)
    ]


def check_unedited(origins: Iterable[str | None]) -> None:
    """The code behind some origins is about to run: what this process has of it is what its files hold.

    Raises:
        UsageError: a file was edited after it was imported here, so that old code would run under a new digest.
    """
    wanted = {_file_of(origin) for origin in origins if origin and code_digest(origin)}
    if not wanted:
        return
    files = {file for (path, *_), (stamps, _) in _known.items() if path in wanted for file in stamps}
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for file in sorted(files):
        is_loaded = str(file) in loaded or file.suffix[1:] in DATA
        if is_loaded and _content(file) != _first.get(file, _content(file)):
            raise UsageError(
                f"{file} was edited after this process imported it, so its old content would run: start a new process"
            )


def _file_of(origin: str) -> Path | None:
    path = Path(origin).expanduser() if origin.endswith(".py") else module_file(origin.partition(":")[0])
    return path.resolve() if path is not None and path.is_file() else None


def digest_of_codes(origins: Iterable[str | None]) -> str | None:
    """One digest of the code behind several origins, whatever their order; None where there is none of the user's own."""
    digests = {digest for origin in origins if origin and (digest := code_digest(origin))}
    return _joined([("", digest) for digest in sorted(digests)]) if digests else None


_known: dict[Any, tuple[dict[Path, Any], str]] = {}
"""What was found for a file, with the stamps of all that it rests on: a sweep asks for one digest often."""
_first: dict[Path, str] = {}
"""What files held when this process had imported them, or first asked."""


def _closure(path: Path, before: tuple[Path, ...], *, check: bool) -> Iterator[tuple[str, Path]]:
    """How each file is imported, and the file; each once, in the order of the imports."""
    waiting = deque([("", path), *((f"package {n}", init) for n, init in enumerate(before))])
    seen: set[Path] = set()
    while waiting:
        name, file = waiting.popleft()
        if file in seen:
            continue
        seen.add(file)
        yield name, file
        for wanted in _read(file, _stamp(file))[1]:
            waiting += [
                (wanted, imported) for imported in _files(wanted, file, check=check) if is_own(imported)
            ]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:  # it is gone
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _content(path: Path) -> str:
    return _read(path, _stamp(path))[0]


@lru_cache(4096)
def _read(path: Path, stamp: tuple[int, int]) -> tuple[str, tuple[str, ...]]:
    """The digest of a file's content and what it imports, as it is written there: `a.b`, `.a` within its package, `./a.py`."""
    content = path.read_bytes()
    imports: dict[str, None] = {}
    if path.suffix == ".py":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # what imports it will say so
            tree = ast.Module([], [])
        for node in ast.walk(tree):
            imports.update(dict.fromkeys(_imported(node)))
    return hashlib.sha256(content).hexdigest()[:16], tuple(imports)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        yield base
        yield from (
            f"{base}{'.' if node.module else ''}{alias.name}" for alias in node.names if alias.name != "*"
        )
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
        "import_module",
        "__import__",
    ):
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value
    elif isinstance(node, ast.Constant):
        text = node.value if isinstance(node.value, str) else ""
        if re.fullmatch(rf".{{1,250}}\.(py|{'|'.join(DATA)})", text):
            yield f"./{text}"


def _files(wanted: str, importer: Path, *, check: bool) -> list[Path]:
    """The files that an import executes, packages first; none where it is no module, or one of Python's own."""
    if wanted.startswith("./"):
        file = importer.parent / wanted[2:]
        return [file.resolve()] if file.is_file() else []
    if wanted.startswith("."):
        dots = len(wanted) - len(wanted.lstrip("."))
        place = importer.parents[dots - 1] if dots <= len(importer.parents) else importer.parent
        init = place / "__init__.py"
        parts = [part for part in wanted[dots:].split(".") if part]
        return [*([init] if init.is_file() else []), *_within([str(place)], parts)]
    top = wanted.partition(".")[0]
    places = [p for p in (_folder(os.path.abspath(place)) for place in sys.path) if p]  # noqa: PTH100
    beside = str(importer.parent)
    if beside in places:  # where several stand first on the path, each in its own process
        places = [beside, *places]
    files = _within(places, wanted.split("."))
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return files if files and _module_path(top) == files[0] else []
    if not files and (loaded := module_file(top)) and is_own(loaded):
        files = _within([str(_root_of(loaded))], wanted.split("."))
    if check and files and is_own(files[0]) and _module_path(top) not in (None, files[0]):
        raise UsageError(
            f"{importer} imports {top}, which is {files[0]}, but in this process {_module_path(top)} has that name already, and "
            "runs in its place: give one of the two another name"
        )
    return files


def _within(places: list[str], parts: list[str]) -> list[Path]:
    """What Python runs to import these nested names from some folders: the files of packages, then of the module."""
    files: list[Path] = []
    for part in parts:
        if not part.isidentifier():
            return files
        deeper: list[str] = []
        for place in places:
            here = os.path.join(place, part)  # noqa: PTH118  (asked often)
            if os.path.isfile(init := os.path.join(here, "__init__.py")):  # noqa: PTH113, PTH118
                files.append(Path(init).resolve())
                deeper = [here]
                break
            file = next((here + s for s in (*EXTENSION_SUFFIXES, ".py") if os.path.isfile(here + s)), None)  # noqa: PTH113
            if file:
                return [*files, Path(file).resolve()]
            if os.path.isdir(here):  # noqa: PTH112
                deeper.append(here)
        if not deeper:
            return files
        places = deeper
    return files


def is_own(path: Path) -> bool:
    """Whether a file is the user's: in no library, neither Python's nor an installed one, and not ours."""
    if INSTALLED & set(path.parts) or HOME in path.parents:
        return False
    return not any(library in path.parents for library in _libraries())


@cache
def _libraries() -> tuple[Path, ...]:
    return tuple(
        Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )


@lru_cache(256)
def _folder(place: str) -> str | None:
    """A folder of the path that is no library's."""
    path = Path(place).resolve()
    return str(path) if path.is_dir() and is_own(path / "module.py") else None


def _packages(path: Path) -> tuple[Path, ...]:
    """The files of the packages around a module that say something, from the outside."""
    files: list[Path] = []
    for folder in path.parents:
        if not (init := folder / "__init__.py").is_file():
            break
        if init != path and init.read_bytes().strip():
            files.insert(0, init)
    return tuple(files)


def _root_of(file: Path) -> Path:
    """The folder that the top of a module's name lies in."""
    return file.parents[1] if file.name == "__init__.py" else file.parent


def _module_path(name: str) -> Path | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    return Path(file).resolve() if file else None


@cache
def _library(path: Path) -> str:
    """Name and version of the installed library that a file belongs to; nothing where that is not known."""
    place = next((n for n, part in enumerate(path.parts) if part in INSTALLED), None)
    if place is None or HOME in path.parents:
        return ""
    top = path.parts[place + 1].removesuffix(".py")
    try:
        return f"{top} {version(top)}"
    except PackageNotFoundError:  # it has another name than its package
        names = set(packages_distributions().get(top, ()))
    return ", ".join(f"{name} {version(name)}" for name in sorted(names))


def _joined(parts: list[tuple[str, str]]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
