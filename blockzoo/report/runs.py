"""Block-wise runs of a results store as rows and as a table: one line a run, with the settings in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blockzoo.core.record import Record
from blockzoo.report.groups import Row
from blockzoo.report.tables import as_cells, as_text

if TYPE_CHECKING:
    from rich.table import Table

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
        names = dict.fromkeys(name for setting in settings for name in setting if name not in KEYS)
        varied = [name for name in names if len({repr(setting.get(name)) for setting in settings}) > 1]
        shown = [name for name in FIGURES if any(row.get(name) is not None for row in rows)]
        lines = []
        for row in rows:
            status = row["status"] if row["status"] == "ok" else f"{row['status']}: {row['reason']}"
            line = [_text(row.get(name)) for name in (*KEYS, *varied)]
            lines.append([*line, *(_figure(row.get(name), FIGURES[name][1]) for name in shown), status])
        headings = [name.replace("_", " ") for name in (*KEYS, *varied)]
        return cls(headings, [FIGURES[name][0] for name in shown], lines)


def runs_table(records: Sequence[Record]) -> Table:
    """The runs for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    runs = RunLines.of(records)
    made = Table(title="block-wise runs", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    made.caption, made.caption_justify = "final values on the validation examples, one run a line", "left"
    for name in runs.settings:
        made.add_column(as_text(name))
    for name in runs.figures:
        made.add_column(name, justify="right")
    made.add_column("status")
    for line in runs.lines:
        made.add_row(*as_cells(line))
    return made


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
