"""claims: do earlier conclusions about blocks hold, natively and at equal budgets?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen


def claims(
    *sources: Annotated[Path, Parameter(help="results folders, .sqlite stores or .csv tables")],
    claims: Annotated[
        Path | None,
        Parameter(help="a YAML file of claims (default: those of the published picture, report/claims.yaml)"),
    ] = None,
    equal_within: o.EqualWithin = 0.5,
    format: o.Format = "table",
    output: o.OutputFile = None,
    plugins: o.Plugins = (),
) -> None:
    """Print which conclusions about blocks hold, do not hold, or are not shown by these records.

    Each group of comparable rows judges by itself, against the blocks that all groups have.

    Examples:
        blockzoo claims results
        blockzoo claims native.csv equal-budgets.csv --format markdown
    """
    from blockzoo.core.errors import UsageError
    from blockzoo.core.outputs import each_row
    from blockzoo.core.reading import Asked
    from blockzoo.report.claims import CLAIMS, claims_of, judged_claims
    from blockzoo.report.claims_tables import claim_rows, claim_tables
    from blockzoo.report.summaries import LOOKED_AT

    screen.check_output(output)
    if not sources:
        raise UsageError(
            "name one table of results or more: a results folder, a .sqlite store or a .csv table"
        )
    query = Asked(columns=LOOKED_AT)
    rows = [row for source in sources for row in each_row(source, query)]
    verdicts = judged_claims(rows, claims_of(claims or CLAIMS), margin=equal_within / 100)
    screen.show(claim_tables(verdicts, equal_within / 100), claim_rows(verdicts), format, output)
