"""retry: try the trials of the last sweep again that came to no result"""

from __future__ import annotations

from pathlib import Path

from blockzoo.cli import options as o
from blockzoo.cli.sweep.resume import again


def retry(
    output: o.Output = Path("results"),
    *,
    workers: o.OtherWorkers = None,
    address: o.OtherAddress = None,
    plugins: o.Plugins = (),
    plots: o.Plots = True,
    dry_run: o.PlanOnly = False,
    format: o.Format = "table",
) -> int:
    """Run the trials again that failed, were killed, ran out of memory or out of time; those that diverged did not fail.

    Examples:
        blockzoo sweep retry
        blockzoo sweep retry results --dry-run
    """
    overrides = {"workers": workers, "address": address}
    return again("failed", output, overrides, (plots, dry_run, format))
