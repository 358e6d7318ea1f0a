"""export-records: results for others: Parquet tables with card, schema and metadata, or in the format of another collection"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core.units import rough_size


def export_records(
    source: Annotated[Path, Parameter(help="a results folder, or its .sqlite store")] = Path("results"),
    *,
    output: Annotated[
        Path, Parameter(name=("--output", "--out-dir", "-o"), help="folder to write to")
    ] = Path("dataset"),
    format: Annotated[
        Literal["dataset", "timm", "every-eval-ever"],
        Parameter(
            help="dataset: Parquet, as the Hugging Face Hub reads it; timm: its tables of results; every-eval-ever: a JSON for "
            "each block and protocol"
        ),
    ] = "dataset",
    title: Annotated[str | None, Parameter(help="of the data set")] = None,
    licence: Annotated[
        Literal["cc-by-4.0", "cc0-1.0", "cc-by-sa-4.0", "apache-2.0", "mit"],
        Parameter(name=("--licence", "--license"), help="that it is published under"),
    ] = "cc-by-4.0",
    author: Annotated[str, Parameter(help="who publishes it")] = "",
    url: Annotated[str, Parameter(help="where it will lie")] = "",
    plugins: o.Plugins = (),
) -> None:
    """Write what a store holds as tables that others read without blockzoo; nothing is sent anywhere.

    Numbers stay as they were stored. Names of machines are left out.

    Examples:
        blockzoo export-records results -o dataset
        blockzoo export-records results -o tables --format timm
    """
    from blockzoo.publish.about import Wishes
    from blockzoo.publish.folder import export_results

    wishes = Wishes(title or Wishes.title, licence, author, url)
    for path, rows in export_results(source, output, format, wishes):
        count = "" if rows is None else f", {rows:,} rows"
        screen.out.print(f"{path}: {rough_size(path.stat().st_size)}{count}", soft_wrap=True, markup=False)
