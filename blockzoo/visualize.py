"""visualize: pictures of a results table, accuracy against what it costs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import each_row
from blockzoo.core.reading import Asked
from blockzoo.core.table import Row

if TYPE_CHECKING:
    import pandas as pd


def plot_results(
    source: str | Path | Iterable[Row] | pd.DataFrame,
    output: str | Path | None = None,
    *,
    average_positions: bool = False,
) -> list[Path]:
    """Draw accuracy against FLOPs, latency, memory and what else has an axis, each alone and all side by side, as PNG and SVG.

    Args:
        source: a results CSV, a results store, rows, or a pandas DataFrame.
        output: folder of the pictures (default: `figures/` beside the source).
        average_positions: one point per block, the mean over positions and seeds.

    Returns:
        The files, the overviews first. Rows that are not comparable are never in one picture: a second group gets
        files of its own, numbered.

    Raises:
        UsageError: the source cannot be read, or holds nothing to draw.
        StoreError: the folder cannot be written.
    """
    from blockzoo.report.charts import AXES, charts, draw, save

    rows, statuses = rows_of(source), Counter[str]()
    groups = charts(_counted(rows, statuses), average=average_positions)
    if not groups:
        raise UsageError(f"nothing to draw: {statuses.total()} rows, of these {dict(statuses)}")
    folder = Path(output) if output is not None else _beside(source)
    averaged = "_averaged" if average_positions else ""
    overviews, single = [], []
    for number, group in enumerate(groups, start=1):
        tail = averaged + (f"_{number}" if len(groups) > 1 else "")
        overviews.append((group, folder / f"accuracy{tail}"))
        for chart in group:
            short = AXES[chart.cost].picture or chart.cost
            single.append(([chart], folder / f"accuracy_{short}{tail}"))
    written = []
    for drawn, stem in overviews + single:
        figure = draw(drawn)
        for suffix in (".png", ".svg"):
            save(figure, stem.with_name(stem.name + suffix))
            written.append(stem.with_name(stem.name + suffix))
    return written


def _counted(rows: Iterable[Row], statuses: Counter[str]) -> Iterator[Row]:
    for row in rows:
        statuses[str(row.get("status") or "without accuracy or cost")] += 1
        yield row


def rows_of(source: str | Path | Iterable[Row] | pd.DataFrame) -> Iterable[Row]:
    """The rows of a place, with the columns that pictures are made of; those of a DataFrame, or that are given."""
    if hasattr(source, "to_dict"):  # a DataFrame
        return [{k: None if v != v else v for k, v in row.items()} for row in source.to_dict("records")]
    if not isinstance(source, str | Path):
        rows: Iterable[Row] = source
        return rows
    from blockzoo.report.statistics import LOOKED_AT

    return each_row(source, Asked(columns=LOOKED_AT))


def _beside(source: Any) -> Path:
    if not isinstance(source, str | Path):
        return Path("figures")
    path = Path(source)
    return (path if path.is_dir() else path.parent) / "figures"


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["visualize", *sys.argv[1:]]))
