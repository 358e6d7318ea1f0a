"""validity: does what a block is worth alone hold in mixed networks, in a benchmark of cells, in published networks?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen

if TYPE_CHECKING:
    from blockzoo.report.validity import OperationWorths


def validity(
    source: Annotated[
        Path,
        Parameter(help="a results folder, a .sqlite store or a .csv table of blocks that were trained alone"),
    ] = Path("results"),
    *,
    mixed: Annotated[
        Path | None,
        Parameter(help="the same of networks with a block in every stage (default: those in the source)"),
    ] = None,
    benchmark: Annotated[
        str, Parameter(help="the benchmark of cells: mini, or a folder; 'none' leaves it out")
    ] = "mini",
    format: o.Format = "table",
    output: o.OutputFile = None,
    plugins: o.Plugins = (),
) -> None:
    """Print Kendall's tau of worths alone with worths in company, effects of operations and published accuracies.

    Each with an interval, with what two repetitions would agree at, and with what it tells and does not.

    Examples:
        blockzoo validity results
        blockzoo validity results --mixed results/crossed --benchmark none
    """
    from blockzoo.core.outputs import each_row
    from blockzoo.core.reading import Asked
    from blockzoo.report.elsewhere import NEEDED
    from blockzoo.report.summaries import LOOKED_AT
    from blockzoo.report.validity import validities
    from blockzoo.report.validity_tables import validity_rows, validity_tables

    screen.check_output(output)
    query = Asked(columns=tuple(dict.fromkeys((*LOOKED_AT, *NEEDED))))
    others = [] if mixed is None else each_row(mixed, query)
    comparisons, missing = validities(
        each_row(source, query), others, None if benchmark == "none" else _effects(benchmark)
    )
    screen.show(validity_tables(comparisons, missing), validity_rows(comparisons, missing), format, output)


def _effects(benchmark: str) -> OperationWorths | None:
    """Of the operations of a benchmark that have kin in the zoo; None where none has."""
    from blockzoo.core.contracts import POSITIONS
    from blockzoo.nas.benchmark.loading import open_benchmark
    from blockzoo.nas.ranking.operations import KIN, operation_effects
    from blockzoo.report.validity import OperationWorths

    dataset = open_benchmark(benchmark)
    fit = operation_effects(dataset)
    cells = {cell: (KIN[cell[0]], POSITIONS[cell[1]]) for cell in fit.effects
             if cell[0] in KIN and cell[1] < len(POSITIONS)}  # fmt: skip
    kin = ", ".join(f"{block} for {op}" for op, block in KIN.items() if op in dataset.space.ops)
    setting = ", ".join(f"{name} {value}" for name, value in dataset.setting.items())
    name = dataset.title or benchmark
    note = (
        f"{name}: effects of one node more, from {fit.networks} networks ({setting}), which explain "
        f"{100 * fit.explained:.0f} % of the variance of their accuracies; kin: {kin}"
    )
    return OperationWorths(
        name,
        {cells[cell]: fit.effects[cell] for cell in cells},
        {cells[cell]: fit.errors[cell] for cell in cells},
        fit.degrees,
        note,
    )
