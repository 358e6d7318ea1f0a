"""A run's folder read again, by whoever goes on with it, compares it or draws it: every value checked, damage named.

A line of a JSON lines file that cannot be read costs that line alone. All other files are whole or an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.core import consent
from blockzoo.core.arrays import open_array
from blockzoo.core.documents import checked, decoded, describe, first_line, from_json
from blockzoo.core.errors import DataError, StoreError, UsageError
from blockzoo.core.locks import Held, locked
from blockzoo.core.said import say_once
from blockzoo.training.archives import read_saved

Checkpoint = dict[str, Any]
Lines = list[dict[str, Any]]
LONGEST_LINE = 1 << 24
"""Bytes of one line: measurements hold up to 4,096 numbers each, some dozens of them."""
PARTS = {"frame": dict, "totals": dict, "clock": list, "reports": list}
"""What every checkpoint of a run has, beside the state of its engine and its curriculum."""


def read_lines(path: Path) -> Lines:
    """The lines of progress.jsonl or measurements.jsonl that can be read, none without a file; those that cannot are said once.

    A last line that a kill has torn is left out in silence: the run that goes on writes it again.

    Raises:
        DataError: the file cannot be opened.
    """
    return split_lines(path)[0]


def split_lines(path: Path) -> tuple[Lines, list[bytes]]:
    """The lines that can be read, and the others as they are."""
    good: Lines = []
    bad: list[bytes] = []
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(LONGEST_LINE):
                number += 1
                try:
                    good.append(_line(raw, path, number))
                except DataError as error:
                    if raw.endswith(b"\n"):
                        bad.append(raw)
                        say_once(f"{error}; that line is left out, the others are kept")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return good, bad


def _line(raw: bytes, path: Path, number: int) -> dict[str, Any]:
    name = f"{path}: line {number}"
    line = from_json(decoded(raw, name, LONGEST_LINE), name)
    if not isinstance(line, dict) or type(line.get("round")) is not int or line["round"] < 0:
        raise DataError(f"{name} has no round: it holds {describe(line)}")
    measured = isinstance(line.get("unit"), str) and isinstance(line.get("values"), dict)
    if path.name == "measurements.jsonl" and not measured:
        raise DataError(f"{name} names no unit with values")
    return line


def read_parameters(folder: Path) -> tuple[RunConfig, dict[str, Any]]:
    """What was asked of a run, and its environment.

    Raises:
        DataError: there is no such file, or it says something that no run can be asked.
    """
    path = folder / "parameters.json"
    parameters = dict(_document(path))
    parameters.pop("fingerprint", None)
    environment = parameters.pop("environment", {})
    if not isinstance(environment, dict):
        raise DataError(f"{path}: environment: names and values are needed, not {describe(environment)}")
    try:
        with consent.text_of(path):
            return RunConfig.from_json(parameters), environment
    except UsageError as error:
        raise DataError(f"{path}: {error}") from None


def run_status(folder: Path) -> dict[str, Any] | None:
    """The state of a run. None: there is no run.

    One that says it is running while nobody holds its folder was "killed". A state that cannot be read is "damaged": the run can
    be gone on with, or started anew.
    """
    path = folder / "status.json"
    if not path.is_file():
        return None
    try:
        state = {"reason": "", **_document(path)}
        for name, kind in (("status", str), ("reason", str), ("process", int)):
            if not isinstance(state.get(name), kind):
                raise DataError(f"{path}: {name} is {describe(state.get(name))}")
    except DataError as error:
        return {"status": "damaged", "reason": str(error), "process": 0}
    if state["status"] == "running" and not _is_held(folder):
        state |= {"status": "killed", "reason": f"process {state['process']} ended without an error message"}
    return state


def _is_held(folder: Path) -> bool:
    path = folder / ".lock"
    try:
        if path.exists():
            with locked(path, shared=True):
                pass
    except Held:
        return True
    except StoreError:  # it is no lock: nobody can hold it
        return False
    return False


def read_checkpoint(path: Path) -> Checkpoint:
    """What a run left to go on from.

    Raises:
        UsageError: it is damaged, or no checkpoint of a run.
    """
    try:
        content = read_saved(path)
    except DataError as error:
        raise UsageError(f"{error}; --restart starts the run anew") from None
    except Exception as error:
        raise UsageError(
            f"checkpoint {path} cannot be read ({first_line(error)}); --restart starts anew"
        ) from None
    parts = isinstance(content, dict) and all(isinstance(content.get(n), kind) for n, kind in PARTS.items())
    if not parts or type(content["frame"].get("round")) is not int:
        raise UsageError(f"checkpoint {path} is none of a block-wise run; --restart starts anew")
    checkpoint: Checkpoint = content
    return checkpoint


def read_array(folder: Path, value: object, dimensions: int) -> np.ndarray:
    """An array of a measurement's line, or of the file in arrays/ that the line names.

    Raises:
        DataError: it is no array of numbers, or its file is gone, damaged, or lies elsewhere.
    """
    if isinstance(value, dict):
        name = value.get("file")
        if not isinstance(name, str) or not re.fullmatch(r"arrays/[^/\0]+\.npy", name):
            raise DataError(f"{folder}: {describe(name)} is no file of arrays/")
        try:
            array = np.array(open_array(folder / name))
        except OSError as error:
            raise DataError(f"{folder / name}: {error.strerror or error}") from None
    else:
        try:
            array = np.array(value)
        except ValueError as error:
            raise DataError(f"{folder}: {describe(value)} is no array ({first_line(error)})") from None
    if array.dtype.kind not in "biuf" or array.ndim != dimensions:
        raise DataError(
            f"{folder}: {array.dtype} of {array.ndim} dimensions, where {dimensions} of numbers are measured"
        )
    return array


def _document(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    document: dict[str, Any] = checked(
        dict[str, Any], from_json(decoded(content, str(path)), str(path)), str(path)
    )
    return document
