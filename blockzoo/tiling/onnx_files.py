"""ONNX files: opened with their faults named, written whole or not at all; the packages are an extra."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from blockzoo.core.errors import RequestError
from blockzoo.core.files import write_atomically


def needed(name: str) -> Any:
    """A package of the extra `onnx`.

    Args:
        name: "onnx", "onnxruntime", "onnxscript", or a module within.

    Raises:
        RequestError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RequestError(
            f"ONNX files need {error.name or name}, which is not installed: pip install 'blockzoo[onnx]'"
        ) from error


def opened(path: str | Path) -> Any:
    """The model in a file, checked.

    Raises:
        RequestError: there is no such file, or it is damaged or no ONNX model.
    """
    onnx = needed("onnx")
    path = Path(path)
    if not path.is_file():
        raise RequestError(f"{path}: there is no such file; `blockzoo tile export SUBJECT` writes one")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RequestError(f"{path} is damaged or no ONNX model ({first}); export it again") from error
    return model


def free(path: str | Path, overwrite: bool) -> Path:
    """The path, if a file may be written there.

    Raises:
        RequestError: there is a file, and it is not to be overwritten.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise RequestError(f"{path} exists already: choose another name, or overwrite it with --overwrite")
    return path


def saved(model: Any, path: Path, check: Callable[[Path], Mapping[str, Any]] = lambda written: {}) -> Path:
    """Check a model and write it, whole or not at all.

    Args:
        check: of the written file, before it gets its name: what it returns is added to the metadata, and where it raises
            there is no file.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    onnx = needed("onnx")
    onnx.checker.check_model(model)

    def write(temporary: Path) -> None:
        temporary.write_bytes(model.SerializeToString())
        if found := check(temporary):
            temporary.write_bytes(told(model, found).SerializeToString())

    write_atomically(path, write)
    return path


def told(model: Any, story: Mapping[str, Any]) -> Any:
    """The same model, changed: what is said of it stands in its metadata, under names that begin with `blockzoo.`."""
    kept = [entry for entry in model.metadata_props if entry.key.removeprefix("blockzoo.") not in story]
    entries = [(entry.key, entry.value) for entry in kept]
    del model.metadata_props[:]
    for key, value in [*entries, *((f"blockzoo.{name}", str(value)) for name, value in story.items())]:
        model.metadata_props.add(key=key, value=value)
    return model
