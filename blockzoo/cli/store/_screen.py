"""What is known of a results folder, on one screen."""

from __future__ import annotations

from blockzoo.cli import screen
from blockzoo.core.outputs import Outputs
from blockzoo.core.repair import Report
from blockzoo.core.typeset import prose

MOST = 20
"""Lines of faults that are shown."""


def show(outputs: Outputs, report: Report, format: str = "table") -> None:
    """Print counts, faults and what was done."""
    if format != "table":
        columns = ["what", prose("which")]
        lines = [("records", f"{count:,} {kind}") for kind, count in sorted(report.records.items())]
        lines += [("damaged", f"record {number}: {reason}") for number, reason in report.damaged.items()]
        lines += [("damaged", fault) for fault in report.faults] + [("done", what) for what in report.done]
        rows = [{"what": what, "which": which} for what, which in lines]
        screen.show(screen.table(str(outputs.database), columns, lines), rows, format)
        return

    def say(what: str, text: str) -> None:
        screen.out.print(f"{what:9} {text}", soft_wrap=True, markup=False)

    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.records.items()))
    say("store", str(outputs.database))
    say("sound", f"records: {counts or 'none'}")
    faults = [f"record {number}: {reason}" for number, reason in report.damaged.items()] + report.faults
    for fault in faults[:MOST]:
        say("damaged", fault)
    if len(faults) > MOST:
        say("", f"and {len(faults) - MOST} more")
    for what in report.done:
        say("done", what)
    if faults and not report.done:
        say("remedy", f"blockzoo store repair {outputs.database}")
    elif not faults:
        say("", "nothing is damaged")
