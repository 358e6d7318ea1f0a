"""WHAT came out: one record per trial or measurement, with its samples and its story."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, cast, get_args

from blockzoo.core.errors import Damaged

SCHEMA_VERSION = 2

Status = Literal["ok", "diverged", "failed", "killed", "out of memory", "timed out"]
FINAL: tuple[str, ...] = ("ok", "diverged")
"""Statuses that a sweep does not run again: the outcome belongs to the trial, not to the circumstances."""


def now() -> str:
    """The present moment in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass
class Record:
    """The outcome of one spec.

    `values` are single numbers with the unit in the name, `samples` the raw series they come from (times of
    single calls, one value per epoch). Means, intervals and ranks are derived on reading, never stored. `outcomes` is what single
    test images came to, see `core/outcomes.py`.
    """

    kind: str  # "trial" or "latency"
    fingerprint: str
    subject: str
    spec: dict[str, Any]
    status: Status = "ok"
    reason: str = ""
    values: dict[str, float | int | str | None] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    experiment_name: str = ""
    notes: str = ""
    timestamp: str = field(default_factory=now)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """One line of JSON; non-finite numbers become null, and bytes that are no text question marks."""
        return json.dumps(_storable(asdict(self)), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read what `to_json` wrote.

        Raises:
            Damaged: it is not that, or of a newer version; the message says what is wrong with it.
        """
        return cls.of(plain(text))

    @classmethod
    def of(cls, values: object) -> Record:
        """A record of its fields; `Damaged` where they are none."""
        if fault := _fault(values):
            raise Damaged(fault)
        return cls(**cast(dict[str, Any], values))


def plain(text: str | bytes) -> Any:
    """The value of a JSON text, which may hold what JSON knows and nothing else; `Damaged` where it is no JSON."""
    try:
        return DECODER.decode(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise Damaged(f"no JSON: {error}") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


DECODER = json.JSONDecoder(parse_constant=_no_number)


def _fault(values: Any) -> str:
    """What is wrong with the fields of a record; nothing where nothing is."""
    if not isinstance(values, dict):
        return f"no record: {str(values)[:40]!r}"
    version = values.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return f"of schema version {version}, written by a newer blockzoo (this one reads {SCHEMA_VERSION}): update it"
    if unknown := sorted(set(values) - set(CHECKS)):
        return f"unknown field {unknown[0][:40]!r}"
    if missing := [name for name in REQUIRED if name not in values]:
        return f"no field {missing[0]!r}"
    wrong = [name for name, value in values.items() if not CHECKS[name](value)]
    return f"{wrong[0]} cannot be {str(values[wrong[0]])[:40]!r}" if wrong else ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_plain(value: Any) -> bool:
    """What a cell of the table can hold: no more than 64 bits of a whole number."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, float | str)


def _is_dict(inner: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(inner, value.values()))


CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("kind", "fingerprint", "subject", "reason", "experiment_name", "notes", "timestamp"), _is_text
    ),
    "spec": _is_dict(lambda value: True),
    "status": lambda value: value in get_args(Status),
    "values": _is_dict(_is_plain),
    "samples": _is_dict(lambda value: isinstance(value, list)),
    "outcomes": _is_dict(_is_text),
    "environment": _is_dict(lambda value: True),
    "schema_version": lambda value: type(value) is int and 1 <= value <= SCHEMA_VERSION,
}
"""What each field of a record can be."""
REQUIRED = ("kind", "fingerprint", "subject", "spec")


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_storable(k): _storable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(v) for v in value]
    if isinstance(value, float) and not (-float("inf") < value < float("inf")):
        return None
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()  # an option may have bytes that are no text
    return value
