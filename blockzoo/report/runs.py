"""Block-wise runs of a results store as rows and as a table: one line a run, with the settings in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blockzoo.core.record import Record
from blockzoo.core.typeset import HIGH, KEY, LOW, TextTable, name, number, prose
from blockzoo.report.groups import Row

KEYS = ("model", "dataset", "training_mode", "seed")
"""Settings that every line shows."""
CIRCUMSTANCES = ("device", "data_dir")
"""Fields of a run that do not make it another one."""
FIGURES = {
    "round": ("rounds", ",.0f"),
    "train_loss": ("train loss", ".4f"),
    "validation_loss": ("val loss", ".4f"),
    "validation_accuracy": ("val, %", ".2%"),
    "gradient_evaluations_total": ("gradients", ",.0f"),
    "communicated_bytes_total": ("bytes", ",.0f"),
    "seconds_total": ("seconds", ".1f"),
}
"""Final values of a run: the heading of each, and its format."""
IMPORTANCE = {"validation_loss": KEY, "validation_accuracy": KEY, "gradient_evaluations_total": 5}
"""Of these as columns; others are the first to go."""


def run_rows(records: Sequence[Record]) -> list[Row]:
    """One flat row per run: settings, final values, status."""
    return [
        {
            "timestamp": record.timestamp,
            **_settings(record),
            **record.values,
            "status": record.status,
            "reason": record.reason,
            "fingerprint": record.fingerprint,
        }
        for record in records
    ]


@dataclass(frozen=True)
class RunLines:
    """Runs as texts, the least validation loss first; runs that went wrong last, with their reason.

    Args:
        settings: headings of the settings that every line shows, and of those in which they differ.
        figures: headings of the final values, on the validation examples.
        lines: texts of the settings, of the final values, and the status.
    """

    settings: list[str]
    figures: list[str]
    lines: list[list[str]]

    @classmethod
    def of(cls, records: Sequence[Record]) -> RunLines:
        """Of records of runs."""
        rows = sorted(run_rows(records), key=_rank)
        settings = [_settings(record) for record in records]
        others = dict.fromkeys(key for setting in settings for key in setting if key not in KEYS)
        varied = [key for key in others if len({repr(setting.get(key)) for setting in settings}) > 1]
        shown = [figure for figure in FIGURES if any(row.get(figure) is not None for row in rows)]
        lines = []
        for row in rows:
            status = row["status"] if row["status"] == "ok" else f"{row['status']}: {row['reason']}"
            line = [_text(row.get(key)) for key in (*KEYS, *varied)]
            lines.append([*line, *(_figure(row.get(figure), FIGURES[figure][1]) for figure in shown), status])
        headings = [key.replace("_", " ") for key in (*KEYS, *varied)]
        return cls(headings, [FIGURES[figure][0] for figure in shown], lines)


def runs_table(records: Sequence[Record]) -> TextTable:
    """The runs, the least validation loss first; runs that went wrong last, with their reason."""
    runs = RunLines.of(records)
    importance = {FIGURES[figure][0]: IMPORTANCE.get(figure, LOW) for figure in FIGURES}
    columns = [name(heading) for heading in runs.settings[: len(KEYS)]]
    columns += [name(heading, HIGH) for heading in runs.settings[len(KEYS) :]]
    columns += [number(heading, importance=importance[heading]) for heading in runs.figures]
    caption = "final values on the validation examples, one run a line"
    lines = [tuple(line) for line in runs.lines]
    return TextTable("block-wise runs", (*columns, prose("status", KEY)), lines, caption)


def _settings(record: Record) -> Row:
    own = {name: value for name, value in record.spec.items() if name not in CIRCUMSTANCES}
    options: Row = own.pop("options", {})
    return options | {f"network_{k}": v for k, v in own.pop("network", {}).items()} | own


def _rank(row: Row) -> tuple[bool, float]:
    loss = row.get("validation_loss")
    return row["status"] != "ok", float("inf") if loss is None else loss


def _text(value: Any) -> str:
    return "-" if value in (None, "") else str(value)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form).removesuffix("%")
