"""`api/v1/`: what the pages of a site show as JSON files for programs, at addresses that stay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from blockzoo import __version__
from blockzoo.core.quantity import quantities
from blockzoo.core.table import COLUMNS, Row

VERSION = 1
"""Of the files: raised, and so the folder, where a name gets another meaning; not where one is added."""
FOLDER = f"api/v{VERSION}"
OF_TRAININGS = (
    "fingerprint", "block", "position", "seed", "status", "tier", "submitted_by", "val_acc", "test_acc", "params_total", "macs",
    "flops", "peak_activation_bytes", "latency_ms", "stage_latency_ms", "latency_device", "timestamp",
)  # fmt: skip
"""Columns of the trainings of a table."""
MEANINGS = {
    "table": "the key of its table, which is a file of its own, table-KEY.json",
    "accuracy_percent": "mean over seeds, percent",
    "accuracy_of": "the split that it is of: test; validation where most trainings of the table have no test accuracy",
    "low": "lower end of the interval that holds all means of a position together in 95 % of tables, percent",
    "high": "its upper end, percent",
    "n": "seeds",
    "rank": "by the mean, from 1; null where it is in no comparison",
    "rank_low": "the best rank it can have",
    "rank_high": "the worst rank it can have",
    "p_best": "probability of being the best of its position",
    "tier": "who vouches for the line: own, or how many of its trainings others reported, or reported and a rerun agreed",
}
"""Of the figures of a leaderboard."""


@dataclass(frozen=True)
class Figures:
    """What the files say.

    Args:
        title: of the site.
        made: when, UTC, ISO 8601.
        lines: of all leaderboards, see `build.lines_of`.
        tables: of each key its leaderboard and the rows of its trainings.
        addresses: of the pages of blocks, by name.
    """

    title: str
    made: str
    lines: Sequence[Mapping[str, Any]]
    tables: Mapping[str, tuple[Mapping[str, Any], Sequence[Row]]]
    addresses: Mapping[str, str]


def api_files(told: Figures) -> Iterator[tuple[str, str]]:
    """Addresses and texts of the files; `index.json` names all others."""
    keys = {board["title"]: key for key, (board, _) in told.tables.items()}
    counts = Counter(line["block"] for line in told.lines)
    files: dict[str, Any] = {
        "leaderboard.json": [{**line, "table": keys[line["table"]]} for line in told.lines],
        "blocks.json": [
            {"block": block, "page": address, "lines": counts[block]}
            for block, address in told.addresses.items()
        ],
        "columns.json": _columns(),
        **{f"table-{key}.json": _table(key, *of) for key, of in told.tables.items()},
    }
    index = {
        "api_version": VERSION,
        "made": told.made,
        "made_by": f"blockzoo {__version__}",
        "title": told.title,
        "files": {name: f"{FOLDER}/{name}" for name in files},
        "tables": [
            {"key": key, "title": board["title"], **board["facets"], "accuracy_of": split_of(board)}
            for key, (board, _) in told.tables.items()
        ],
    }
    for name, content in {"index.json": index, **files}.items():
        yield f"{FOLDER}/{name}", json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n"


def split_of(board: Mapping[str, Any]) -> str:
    """What the accuracies of a leaderboard are of: test or validation."""
    return str(board["accuracy"]).partition(" ")[0]


def _table(key: str, board: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Of one table its trainings, failed ones too, as they were stored: accuracies as fractions."""
    return {
        "key": key,
        "title": board["title"],
        **board["facets"],
        "accuracy_of": split_of(board),
        "left_out": board["left_out"],
        "trainings": [{name: _value(row.get(name)) for name in OF_TRAININGS} for row in rows],
    }


def _value(value: Any) -> Any:
    """JSON has no number that is not finite."""
    return None if isinstance(value, float) and not isfinite(value) else value


def _columns() -> list[dict[str, str]]:
    units = {name: quantity.unit for name, quantity in quantities().items()}
    of_trainings = [
        {"file": "table-KEY.json", "name": name, "meaning": COLUMNS[name], "unit": units.get(name, "")}
        for name in OF_TRAININGS
    ]
    of_lines = [
        {"file": "leaderboard.json", "name": name, "meaning": meaning, "unit": ""}
        for name, meaning in MEANINGS.items()
    ]
    return [*of_lines, *of_trainings]
