"""retry: try the trials of the last sweep again that came to no result"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli.sweep.resume import again


def retry(
    *,
    output: o.Output = Path("results"),
    workers: Annotated[int | None, Parameter(help="trials at a time (default: as it was started)")] = None,
    address: Annotated[
        str | None, Parameter(help="of the Ray cluster, named again where it was started on one")
    ] = None,
    plugins: o.Plugins = (),
    plots: Annotated[bool, Parameter(negative="--no-plots", help="draw the pictures afterwards")] = True,
    dry_run: Annotated[bool, Parameter(help="print the plan, train nothing", negative=())] = False,
    format: o.Format = "table",
) -> int:
    """Run the trials again that failed, were killed, ran out of memory or out of time; those that diverged did not fail.

    Examples:
        blockzoo sweep retry
        blockzoo sweep retry --output results --dry-run
    """
    given = {"workers": workers, "address": address}
    return again("failed", output, given, (plots, dry_run, format))
