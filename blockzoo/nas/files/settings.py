"""Which dataset files belong to one benchmark: what their headers say of the networks, the images and the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blockzoo.nas.files.errors import describe
from blockzoo.nas.files.header import Header
from blockzoo.nas.space.costs import Skeleton

OF_THE_FILE = ("seed", "part", "columns", "format", "column_types", "layout", "dataset_type", "device")
"""What a header says of its own file; everything else it says of the benchmark."""
SKELETON = {"width": "width", "num_classes": "classes", "image_size": "image_size"}
"""Fields of `Skeleton` and the names that a header's `setting` has for them."""


def story(header: Header) -> dict[str, Any]:
    """What a header says of its benchmark, with the fields of nested ones by dotted names."""
    fields: dict[str, Any] = {}
    for name, value in header.items():
        if name == "setting" and isinstance(value, Mapping):
            fields.update({f"setting.{key}": inner for key, inner in value.items()})
        elif name not in OF_THE_FILE:
            fields[name] = value
    return fields


def contradictions(a: Header, b: Header, *, stated_by_both: bool = False) -> list[str]:
    """In what two headers are about different benchmarks, a few words each.

    Args:
        a: header of one file; its values are named first.
        b: header of the other.
        stated_by_both: look only at what both say, for files that say less (ext, env, info).
    """
    one, other = story(a), story(b)
    names = [name for name in {**one, **other} if not stated_by_both or (name in one and name in other)]
    return [
        f"{name} {_said(one.get(name))} against {_said(other.get(name))}"
        for name in names
        if one.get(name) != other.get(name)
    ]


def _said(value: Any) -> str:
    return (
        "(not said)"
        if value is None
        else str(value)
        if isinstance(value, str | int | float)
        else describe(value)
    )


def skeleton_of(header: Header) -> Skeleton:
    """What surrounds the cells of the networks that a file is about; the published one where it does not say."""
    setting = header.get("setting") or {}
    return Skeleton(**{name: int(setting[key]) for name, key in SKELETON.items() if setting.get(key)})


def misfits(benchmark: Header, times: Header) -> list[str]:
    """In what the networks that were timed are not those that were trained: width, image size, classes.

    A file of times that says nothing of its networks (as published ones do) fits any benchmark.
    """
    stated = times.get("setting") or {}
    trained = skeleton_of(benchmark)
    return [
        f"{key} {stated[key]} against {getattr(trained, name)}"
        for name, key in SKELETON.items()
        if stated.get(key) and stated[key] != getattr(trained, name)
    ]
