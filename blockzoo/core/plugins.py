"""Bring the user's own blocks, datasets and protocols into a process: files, modules, remembered ones."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from blockzoo.core import consent
from blockzoo.core.documents import LARGEST, decoded, describe, from_toml, from_yaml
from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.said import say_once
from blockzoo.core.trusted import Project, allowed

ENVIRONMENT_VARIABLE = "BLOCKZOO_PLUGINS"
_PREFIX = "blockzoo_plugin_"  # of the module that a loaded file becomes


def load_plugins(named: Sequence[str] = (), *, ambient: bool = True) -> list[str]:
    """Load the plugins of the project (if it is trusted), of BLOCKZOO_PLUGINS and the `named` ones, each once.

    Args:
        named: files or modules that were asked for.
        ambient: also those of the project and of the variable; a worker is told all of them.

    Returns:
        All of them with absolute paths, so that a worker in another folder can load the same.
    """
    from_variable = [p for p in os.environ.get(ENVIRONMENT_VARIABLE, "").split(os.pathsep) if p]
    around = [*remembered(), *from_variable] if ambient else []
    plugins = list(dict.fromkeys(absolute(p) for p in [*around, *named]))
    consent.name(plugins)
    for plugin in plugins:
        load_module(plugin)
    return plugins


def absolute(plugin: str) -> str:
    """A file as an absolute path; the name of a module as it is."""
    return str(Path(plugin).expanduser().resolve()) if plugin.endswith(".py") else plugin


def load_module(plugin: str) -> ModuleType:
    """Import a `.py` file by its path, or a module by its name; a file is executed once per process.

    Raises:
        UsageError: no such file or module, it raises while it is imported, or it may not run (see `consent`).
    """
    consent.check(absolute(plugin))
    try:
        if _OWN not in sys.meta_path:
            # once before, of a path that every library is asked about: what that loads the finder would look for, which asks it
            importlib.import_module("blockzoo.core.sources").is_own(Path("/"))
            sys.meta_path.insert(0, _OWN)
        if not plugin.endswith(".py"):
            return importlib.import_module(plugin)
        path = Path(plugin).expanduser().resolve()
        if not path.is_file():
            raise UsageError(f"plugin {plugin!r}: there is no such file")
        name = f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"plugin {plugin!r} cannot be loaded: {type(error).__name__}: {error}") from error


class _FromSource(SourceFileLoader):
    """Runs the source that the user can look at, never a compiled file that lies beside it in `__pycache__`."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _OwnModules(MetaPathFinder):
    """Finds what the other finders find, and has modules of the user's own run from their source."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        from blockzoo.core.sources import is_own

        finders = (finder for finder in sys.meta_path if finder is not self)
        spec = next((answer for f in finders if (answer := f.find_spec(fullname, path, target))), None)
        if spec and type(spec.loader) is SourceFileLoader and is_own(Path(spec.loader.path)):
            spec.loader = _FromSource(fullname, spec.loader.path)
        return spec


_OWN = _OwnModules()


def origin_of(obj: type | FunctionType) -> str:
    """Where `load_object` finds a class again: its module, or the `.py` file of a script or a loaded plugin.

    Raises:
        UsageError: it was typed into a running session.
    """
    if obj.__module__ != "__main__" and not obj.__module__.startswith(_PREFIX):
        return str(obj.__module__)
    file = getattr(sys.modules[obj.__module__], "__file__", None)
    if file is None:
        raise UsageError(f"{obj.__name__} was typed into a running session; put it into a file of its own")
    return str(Path(file).resolve())


_OWN_CODE = re.compile(r"(?P<file>.+\.py)?(?P<module>[A-Za-z_][\w.]*)?:(?P<name>[A-Za-z_]\w*)")


def own_code(text: object) -> tuple[str, str] | None:
    """Origin and name of `path/to/file.py:Class` (the path absolute) or `package.module:Class`; None for any other text.

    Of a module the first part must be there, so that `name:argument` is not taken for one.
    """
    match = _OWN_CODE.fullmatch(text) if isinstance(text, str) else None
    if not match or bool(match["file"]) == bool(match["module"]):
        return None
    if match["file"]:
        return absolute(match["file"]), match["name"]
    top = match["module"].partition(".")[0]
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        return None
    return match["module"], match["name"]


def code_in(text: str) -> Iterator[str]:
    """The origins of code that a text may name, whatever stands around it: `tiled:F28:my.py:Net/mid`, `my.py:Stopper:0.5`."""
    for before, after in pairwise(text.split(":")):
        if (name := re.match(r"[A-Za-z_]\w*", after)) and (code := own_code(f"{before}:{name[0]}")):
            yield code[0]


def code_asked_for(values: object) -> set[str]:
    """The origins of all code that the values of options name: a text, or a part of one (`my.py:Unit rank=4`)."""
    origins: set[str] = set()
    for text in _texts(values):
        for part in (text, *re.split(r"[\s,;=|]+", text)):
            origins.update(code_in(part))
            if code := own_code(part):  # a path with a colon in it
                origins.add(code[0])
    return origins


def check_values(values: object, file: Path) -> None:
    """What a file says, at any depth, names no code but what the user named too.

    Raises:
        UsageError: it does.
    """
    from blockzoo.core.contracts import SUBJECTS

    with consent.text_of(file):
        for text in _texts(values):
            for origin in code_in(text):
                if origin not in SUBJECTS:
                    consent.check(origin)


def _texts(values: Any) -> Iterator[str]:
    waiting, seen = [values], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif (
            isinstance(value, (dict, list, tuple)) and id(value) not in seen
        ):  # YAML can name one list many times
            seen.add(id(value))
            waiting += [*value, *value.values()] if isinstance(value, dict) else value


def module_file(name: str) -> Path | None:
    """The source file of a module that is imported or could be; unlike importlib's find_spec it imports no package to look."""
    if (loaded := sys.modules.get(name)) is not None:
        file = getattr(loaded, "__file__", None)
    else:
        top, *parts = name.split(".")
        try:
            spec = importlib.util.find_spec(top)
            for count in range(len(parts)):
                places = spec.submodule_search_locations if spec else None
                within = ".".join([top, *parts[: count + 1]])
                spec = PathFinder.find_spec(within, list(places)) if places else None
        except (ImportError, ValueError, KeyError):
            return None
        file = spec.origin if spec else None
    path = Path(file) if file else None
    return path if path and path.is_file() else None


def load_object(origin: str, name: str) -> Any:
    """The class or function `name` of a `.py` file or a module.

    Raises:
        UsageError: as `load_module`, or there is no such class in it.
    """
    module = load_module(origin)
    loaded = getattr(module, name, None)
    if not callable(loaded):
        own = {
            k.lower(): k for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        }
        near = [own[k] for k in difflib.get_close_matches(name.lower(), own, n=3, cutoff=0)]
        raise UsageError(f"{origin} has no class {name!r}; it has {', '.join(near) or 'none'}")
    return loaded


def remembered() -> list[str]:
    """The plugins of the project here, if it is trusted; else none, which is said, as is a project file that cannot be read."""
    try:
        project = project_of(Path.cwd())
    except (UsageError, DataError) as error:  # of whoever has a folder above: it ends no command
        say_once(f"{error}; no plugins are taken from there")
        return []
    return list(project.plugins) if project and project.plugins and allowed(project) else []


def project_of(folder: Path) -> Project | None:
    """`plugins = [...]` under `[tool.blockzoo]` of the nearest pyproject.toml, here or above; paths count from that file.

    Raises:
        UsageError: it is not TOML, or plugins is no list of texts.
    """
    for place in (folder.resolve(), *folder.resolve().parents):
        file = place / "pyproject.toml"
        if file.is_file():
            value: Any = options_in(file)
            for part in ("tool", "blockzoo", "plugins"):
                value = value.get(part, []) if isinstance(value, dict) else []
            plugins = value
            if not isinstance(plugins, list) or not all(isinstance(p, str) and p for p in plugins):
                raise UsageError(
                    f"{file}: [tool.blockzoo] plugins must be a list of texts, not {describe(plugins)}"
                )
            names = [absolute(str(place / p)) if p.endswith(".py") else p for p in plugins]
            return Project(
                file.resolve(),
                {name: Path(name) if name.endswith(".py") else module_file(name) for name in names},
            )
    return None


def read_options(path: Path) -> dict[str, Any]:
    """The options in a YAML or TOML file, as a dictionary.

    Raises:
        UsageError: no such file, not YAML or TOML, not a mapping of options, or it names code that the user did not name.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    options = options_in(path)
    check_values(options, path)
    return options


def options_in(path: Path) -> dict[str, Any]:
    """Names and values of a YAML or TOML file, within bounds; whether they name code is for `check_values`.

    Raises:
        UsageError: it cannot be read, or holds no options.
    """
    try:
        with path.open("rb") as file:
            text = decoded(file.read(LARGEST + 1), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    options = from_toml(text, str(path)) if path.suffix == ".toml" else from_yaml(text, str(path))
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
        raise UsageError(f"{path} must hold options, one `name: value` a line")
    return options
