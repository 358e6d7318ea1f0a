"""Bring the user's own blocks, datasets and protocols into a process: files, modules, remembered ones."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blockzoo.core.errors import RequestError

ENVIRONMENT_VARIABLE = "BLOCKZOO_PLUGINS"
_PREFIX = "blockzoo_plugin_"  # of the module that a loaded file becomes


def load_plugins(named: Sequence[str] = (), *, ambient: bool = True) -> list[str]:
    """Load the plugins of the project file, of BLOCKZOO_PLUGINS and the `named` ones, each once.

    Args:
        named: files or modules that were asked for.
        ambient: also those of the project file and of the variable.

    Returns:
        All of them with absolute paths, so that a worker in another folder can load the same.
    """
    from_variable = [p for p in os.environ.get(ENVIRONMENT_VARIABLE, "").split(os.pathsep) if p]
    around = [*remembered(), *from_variable] if ambient else []
    plugins = list(dict.fromkeys(absolute(p) for p in [*around, *named]))
    for plugin in plugins:
        load_module(plugin)
    return plugins


def absolute(plugin: str) -> str:
    """A file as an absolute path; the name of a module as it is."""
    return str(Path(plugin).expanduser().resolve()) if plugin.endswith(".py") else plugin


def load_module(plugin: str) -> Any:
    """Import a `.py` file by its path, or a module by its name; a file is executed once per process.

    Raises:
        RequestError: no such file or module, or it raises while it is imported.
    """
    try:
        if not plugin.endswith(".py"):
            return importlib.import_module(plugin)
        path = Path(plugin).expanduser().resolve()
        if not path.is_file():
            raise RequestError(f"plugin {plugin!r}: there is no such file")
        name = f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(f"plugin {plugin!r} cannot be loaded: {type(error).__name__}: {error}") from error


def origin_of(obj: Any) -> str:
    """Where `load_object` finds a class again: its module, or the `.py` file of a script or a loaded plugin.

    Raises:
        RequestError: it was typed into a running session.
    """
    if obj.__module__ != "__main__" and not obj.__module__.startswith(_PREFIX):
        return str(obj.__module__)
    file = getattr(sys.modules[obj.__module__], "__file__", None)
    if file is None:
        raise RequestError(f"{obj.__name__} was typed into a running session; put it into a file of its own")
    return str(Path(file).resolve())


_OWN_CODE = re.compile(r"(?P<file>.+\.py)?(?P<module>[A-Za-z_][\w.]*)?:(?P<name>[A-Za-z_]\w*)")


def own_code(text: object) -> tuple[str, str] | None:
    """Origin and name of `path/to/file.py:Class` (the path absolute) or `package.module:Class`; None for any other text.

    Of a module the first part must be there, so that `name:argument` is not taken for one.
    """
    found = _OWN_CODE.fullmatch(text) if isinstance(text, str) else None
    if not found or bool(found["file"]) == bool(found["module"]):
        return None
    if found["file"]:
        return absolute(found["file"]), found["name"]
    top = found["module"].partition(".")[0]
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        return None
    return found["module"], found["name"]


def load_object(origin: str, name: str) -> Any:
    """The class or function `name` of a `.py` file or a module.

    Raises:
        RequestError: as `load_module`, or there is no such class in it.
    """
    found = getattr(load_module(origin), name, None)
    if not callable(found):
        raise RequestError(f"{origin} has no class {name!r}")
    return found


def remembered() -> list[str]:
    """`plugins = [...]` under `[tool.blockzoo]` of the nearest pyproject.toml; paths count from that file."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        project = folder / "pyproject.toml"
        if project.is_file():
            plugins = _read_toml(project).get("tool", {}).get("blockzoo", {}).get("plugins", [])
            if not isinstance(plugins, list) or not all(isinstance(p, str) for p in plugins):
                raise RequestError(
                    f"{project}: [tool.blockzoo] plugins must be a list of texts, not {plugins!r}"
                )
            return [str(folder / p) if p.endswith(".py") else p for p in plugins]
    return []


def read_options(path: Path) -> dict[str, Any]:
    """The options in a YAML or TOML file, as a dictionary.

    Raises:
        RequestError: no such file, not YAML or TOML, or not a mapping of options.
    """
    if not path.is_file():
        raise RequestError(f"there is no file {path}")
    if path.suffix == ".toml":
        return _read_toml(path)
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(found, dict):
        raise RequestError(f"{path} must hold options, one `name: value` a line")
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not valid TOML: {error}") from error
