"""WHAT came out: one record per trial or measurement, with its samples and its story."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

SCHEMA_VERSION = 1

Status = Literal["ok", "diverged", "failed", "killed"]
FINAL: tuple[str, ...] = ("ok", "diverged")
"""Statuses that a sweep does not run again: the outcome belongs to the trial, not to the circumstances."""


def now() -> str:
    """The present moment in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass
class Record:
    """The outcome of one spec.

    `values` are single numbers with the unit in the name, `samples` the raw series they come from (times of
    single calls, one value per epoch). Means, intervals and ranks are derived on reading, never stored.
    """

    kind: str  # "trial" or "latency"
    fingerprint: str
    subject: str
    spec: dict[str, Any]
    status: Status = "ok"
    reason: str = ""
    values: dict[str, float | int | str | None] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    experiment_name: str = ""
    notes: str = ""
    timestamp: str = field(default_factory=now)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """One line of JSON; non-finite numbers become null."""
        return json.dumps(_finite(asdict(self)), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not (-float("inf") < value < float("inf")):
        return None
    return value
