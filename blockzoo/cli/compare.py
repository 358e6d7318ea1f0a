"""compare: is one block better than another? Differences of paired seeds with the variance of the whole table, and a verdict"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core.progress import working


def compare(
    block: Annotated[str, Parameter(help="a block of the results")],
    other: Annotated[str, Parameter(help="the block that it is compared with")],
    source: Annotated[
        Path, Parameter("--results", help="a results folder, a .sqlite store or a .csv table")
    ] = Path("results"),
    *,
    position: Annotated[
        Literal["early", "mid", "late"] | None,
        Parameter(help="that position alone (default: each that has both, and the mean over them)"),
    ] = None,
    on: Annotated[Literal["test", "validation"], Parameter(help="images that the accuracy is of")] = "test",
    equal_within: o.EqualWithin = 0.5,
    format: o.Format = "table",
    output: o.OutputFile = None,
    plugins: o.Plugins = (),
) -> None:
    """Say which of two blocks is better, by how much, and how sure that is.

    Only rows are compared whose protocol, data and overrides are equal, in the seeds that both blocks have. A store
    has what every test image came to, so two blocks are compared image by image too; a CSV table has not.

    Examples:
        blockzoo compare InvertedResidual ResNetBasicBlock
        blockzoo compare InvertedResidual ResNetBasicBlock results/results.sqlite --position mid
    """
    from blockzoo.core.outputs import each_row, is_table, open_store
    from blockzoo.core.reading import Asked
    from blockzoo.report.comparison import compare as differences_of
    from blockzoo.report.images import outcomes_in
    from blockzoo.report.summaries import LOOKED_AT
    from blockzoo.report.verdicts import comparison_rows, comparison_tables

    screen.check_output(output)
    rows = each_row(source, Asked(columns=(*LOOKED_AT, "fingerprint")))
    store = None if is_table(source) else open_store(source)
    with working("reading and comparing"):
        comparisons = differences_of(
            rows,
            block,
            other,
            position=position,
            column="test_acc" if on == "test" else "val_acc",
            margin=equal_within / 100,
            outcomes=None if store is None else partial(outcomes_in, store),
        )
    flat: list[dict[str, Any]] = comparison_rows(comparisons)
    screen.show(comparison_tables(comparisons), flat, format, output)
