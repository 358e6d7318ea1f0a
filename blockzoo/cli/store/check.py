"""check: read every page and record of a results folder, and say what is damaged; writes nothing"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli.store._screen import show

Source = Annotated[Path, Parameter(help="a results folder, its .sqlite store or its .csv table")]


def check(source: Source = Path("results"), /, *, format: o.Format = "table") -> int:
    """Say what is sound and what is not: exit code 0 where all is, 1 where not.

    Examples:
        blockzoo store check results
        blockzoo store check results/results.sqlite --format json
    """
    from blockzoo.core.outputs import Outputs
    from blockzoo.core.repair import check as check_folder
    from blockzoo.execution.spool import damaged

    outputs = Outputs.at(source)
    report = check_folder(outputs)
    report.faults += damaged(outputs.spool)
    show(outputs, report, format)
    return 0 if report.is_sound else 1
