"""ONNX files: opened with their faults named, written whole or not at all; the packages are an extra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from blockzoo.core import extras
from blockzoo.core.bounds import allowance, check_room
from blockzoo.core.documents import first_line
from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_atomically

if TYPE_CHECKING:
    from onnx import ModelProto

OnnxSource: TypeAlias = "ModelProto | str | Path"
"""A model, or the file of one."""

FLOOR = 4 << 30
"""Bytes that the values of any model may take: how large the maps of a network are does not follow from its file."""


def needed(name: str) -> ModuleType:
    """A package of the extra `onnx`.

    Args:
        name: "onnx", "onnxruntime", "onnxscript", or a module within.

    Raises:
        UsageError: it is not installed.
    """
    return extras.needed(name, "onnx", "ONNX files")


def opened(path: str | Path) -> ModelProto:
    """The model in a file, checked.

    Raises:
        UsageError: there is no such file, or it is damaged or no ONNX model.
    """
    onnx = needed("onnx")
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; `blockzoo tile export SUBJECT` writes one")
    try:
        model: ModelProto = onnx.load(str(path))
        onnx.checker.check_model(model)
        shaped = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:
        raise UsageError(
            f"{path} is damaged or no ONNX model ({first_line(error)}); export it again"
        ) from error
    check_room(
        values_bytes(shaped), allowance(path.stat().st_size, floor=FLOOR), f"{path}: its values, all at once,"
    )
    return model


def values_bytes(model: ModelProto) -> int:
    """Bytes of all values whose shape is known, at four bytes an element or the size of its type."""
    items = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
    total = 0
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        kind = value.type.tensor_type
        total += prod(max(1, d.dim_value) for d in kind.shape.dim) * items.get(kind.elem_type, 4)
    return total


def free(path: str | Path, overwrite: bool) -> Path:
    """The path, if a file may be written there.

    Raises:
        UsageError: there is a file, and it is not to be overwritten.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already: choose another name, or overwrite it with --overwrite")
    return path


def saved(
    model: ModelProto, path: Path, check: Callable[[Path], Mapping[str, Any]] = lambda written: {}
) -> Path:
    """Check a model and write it, whole or not at all.

    Args:
        model: what is written.
        path: of the file.
        check: of the written file, before it gets its name: what it returns is added to the metadata, and where it raises
            there is no file.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    onnx = needed("onnx")
    onnx.checker.check_model(model)

    def write(temporary: Path) -> None:
        temporary.write_bytes(model.SerializeToString())
        if facts := check(temporary):
            temporary.write_bytes(told(model, facts).SerializeToString())

    write_atomically(path, write)
    return path


def told(model: ModelProto, story: Mapping[str, Any]) -> ModelProto:
    """The same model, changed: what is said of it stands in its metadata, under names that begin with `blockzoo.`."""
    kept = [entry for entry in model.metadata_props if entry.key.removeprefix("blockzoo.") not in story]
    entries = [(entry.key, entry.value) for entry in kept]
    del model.metadata_props[:]
    for key, value in [*entries, *((f"blockzoo.{name}", str(value)) for name, value in story.items())]:
        model.metadata_props.add(key=key, value=value)
    return model
