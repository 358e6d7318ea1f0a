"""submit: records that others hand in, checked and merged as reported; nothing of them runs"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import screen


def submit(
    source: Annotated[
        Path, Parameter(help="a file of records (.jsonl.gz), a results folder or its .sqlite store")
    ],
    *,
    by: Annotated[str, Parameter(help="who hands them in")],
    output: Annotated[
        Path, Parameter(("--output", "--out-dir", "-o"), help="the results folder that they are merged into")
    ] = Path("results"),
) -> None:
    """Check records of others, each by itself, and merge them: all or none. Their rows are of the tier `reported`.

    A result that is here stays the one that counts. `blockzoo verify` reruns a row.

    Examples:
        blockzoo submit records.jsonl.gz --by "A. Person" --output results
        blockzoo submit their-results --by "A group" -o results
    """
    from blockzoo.core.errors import UsageError
    from blockzoo.core.export import export
    from blockzoo.core.outputs import Outputs
    from blockzoo.execution.queue import only_writer
    from blockzoo.publish.submission import submit as run

    if not source.exists():
        raise UsageError(f"{source}: no such file of records, results folder or store")
    outputs = Outputs.at(output)
    with only_writer(outputs):
        store = outputs.store()
        report = run(source, store, by)
        table = export(outputs, store)
    counts = [(report.merged.copied, "taken as reported"), (report.merged.there, "there already"),
              (report.merged.answered, "of requests that have a result, which stays"),
              *((count, f"left out: {kind}") for kind, count in sorted(report.left_out.items()))]  # fmt: skip
    for count, what in counts:
        if count:
            screen.out.print(f"records   {count:,} {what}", soft_wrap=True, markup=False)
    if report.unchecked:
        screen.out.print(
            f"unchecked {report.unchecked:,} fingerprints, of code that is not here",
            soft_wrap=True,
            markup=False,
        )
    screen.out.print(f"submission {report.digest}; table {table}", soft_wrap=True, markup=False)
