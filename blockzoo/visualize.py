"""visualize: pictures of a results table, each of one question."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import each_row
from blockzoo.core.reading import Asked
from blockzoo.core.table import Row

if TYPE_CHECKING:
    import pandas as pd

    from blockzoo.report.comparable import Comparable

Kind = Literal["forest", "verdicts", "profiles", "accuracy", "worths", "predictions"]
"""Of pictures, as their files' names begin."""
log = logging.getLogger(__name__)


def plot_results(
    source: str | Path | Iterable[Row] | pd.DataFrame,
    output: str | Path | None = None,
    *,
    average_positions: bool = False,
    against: str | None = None,
    only: Collection[Kind] = (),
) -> list[Path]:
    """Draw what a table says, as PNG and SVG, each picture one question.

    `forest`: which blocks differ from the reference; `verdicts_POSITION`: all pairs; `profiles`: where a block is at its best;
    `accuracy_COST`: what accuracy costs, with the band that holds the front; of crossed designs `worths` and `predictions`. What
    cannot be drawn of a table is said in the log.

    Args:
        source: a results CSV, a results store, rows, or a pandas DataFrame.
        output: folder of the pictures (default: `figures/` beside the source).
        average_positions: `accuracy_averaged` alone: one point per block, the mean over positions and seeds.
        against: the block that others are compared with (default: ResNetBasicBlock where it stands at every position, else
            the mean of all).
        only: pictures of these kinds (default: all).

    Returns:
        The files. Rows that are not comparable are never in one picture: a second group gets files of its own, numbered.

    Raises:
        UsageError: the source cannot be read, holds nothing to draw, or no group of it has the reference.
        StoreError: the folder cannot be written.
    """
    from blockzoo.report.charts import charts
    from blockzoo.report.comparable import comparables
    from blockzoo.report.groups import name_of
    from blockzoo.report.pictures.accuracy import draw
    from blockzoo.report.pictures.drawn import Drawing, pictures
    from blockzoo.report.pictures.frame import settled
    from blockzoo.report.pictures.looks import look, save
    from blockzoo.report.summaries import usable

    statuses = Counter[str]()
    groups = [of for of in comparables(_counted(rows_of(source), statuses)) if usable(of.rows)]
    looks = look(name_of(row) for of in groups for row in of.rows)
    folder = Path(output) if output is not None else _beside(source)
    written, reasons = [], Counter[str]()
    _check_reference(against, groups)
    for number, of in enumerate(groups, start=1):
        tail = f"_{number}" if len(groups) > 1 else ""
        drawings: Iterable[Drawing] = (
            [(f"accuracy_{chart.name}", partial(draw, chart, looks)) for chart in charts(of, average=True)]
            if average_positions
            else pictures(of, looks, against=against)
        )
        for name, drawing in drawings:
            if only and name.partition("_")[0] not in only:
                continue
            if isinstance(drawing, str):
                reasons[drawing] += 1
                continue
            figure = settled(drawing())
            for suffix in (".png", ".svg"):
                path = folder / f"{name}{tail}{suffix}"
                save(figure, path)
                written.append(path)
    if not written:
        of_kinds = f" of {', '.join(only)}" if only else ""
        why = "; ".join(reasons) or f"{statuses.total()} rows, of these {dict(statuses)}"
        raise UsageError(f"nothing{of_kinds} to draw: {why}")
    for reason, count in reasons.items():
        log.warning(reason + (f" ({count} of {len(groups)} groups)" if len(groups) > 1 else ""))
    return written


def _check_reference(against: str | None, groups: list[Comparable]) -> None:
    """Is it in a group? One that lacks it is drawn against the usual one."""
    blocks = sorted({block for of in groups for block, _ in of.table})
    if against is not None and groups and against not in blocks:
        raise UsageError(f"--against {against}: the table has {', '.join(blocks) or 'no block'}")


def _counted(rows: Iterable[Row], statuses: Counter[str]) -> Iterator[Row]:
    for row in rows:
        statuses[str(row.get("status") or "without accuracy or cost")] += 1
        yield row


def rows_of(source: str | Path | Iterable[Row] | pd.DataFrame) -> Iterable[Row]:
    """The rows of a place, with the columns that pictures are made of; those of a DataFrame, or that are given."""
    if hasattr(source, "to_dict"):  # a DataFrame
        return [{str(k): None if v != v else v for k, v in row.items()} for row in source.to_dict("records")]
    if not isinstance(source, str | Path):
        rows: Iterable[Row] = source
        return rows
    from blockzoo.report.summaries import LOOKED_AT

    return each_row(source, Asked(columns=LOOKED_AT))


def _beside(source: Any) -> Path:
    if not isinstance(source, str | Path):
        return Path("figures")
    path = Path(source)
    return (path if path.is_dir() else path.parent) / "figures"


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["visualize", *sys.argv[1:]]))
