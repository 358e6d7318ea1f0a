"""push: an exported folder to the Hugging Face Hub; with --dry-run what would be sent, and nothing is"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core import typeset as t
from blockzoo.core.units import rough_size


def push(
    folder: Annotated[Path, Parameter(help="what `export-records` or `export` wrote")],
    repository: Annotated[str, Parameter(help="OWNER/NAME on the Hub")],
    *,
    public: Annotated[
        bool, Parameter(help="anybody can read it (else who sends it alone)", negative=())
    ] = False,
    dry_run: Annotated[
        bool, Parameter(help="list what would be sent; nothing is, and nothing is asked for", negative=())
    ] = False,
    plugins: o.Plugins = (),
    format: o.Format = "table",
) -> None:
    """Send the files of a folder to a repository of the Hub, private unless --public is given.

    Who sends is known by the login that `hf auth login` made.

    Examples:
        blockzoo push dataset somebody/block-results --dry-run
        blockzoo push dataset somebody/block-results --public
    """
    from blockzoo.publish.hub import PERSONAL, planned
    from blockzoo.publish.hub import push as send

    plan = planned(folder, repository, public=public)
    who = "anybody could read it" if public else "private"
    verb = "would be sent" if dry_run else "is sent"
    caption = f"{rough_size(plan.size)} in {len(plan.files)} files {verb} to {plan.address} ({who})"
    if plan.kind == "dataset":
        caption += f"\ncolumns with texts that people wrote: {', '.join(PERSONAL)}"
    rows = [
        {"file": name, "bytes": size, "repository": repository, "public": public} for name, size in plan.files
    ]
    lines = [(name, f"{size:,}") for name, size in plan.files]
    columns = [t.name("file"), t.number("bytes")]
    screen.show(screen.table("", columns, lines, caption), rows, format)
    if not dry_run:
        screen.out.print(f"sent      {send(plan)}", soft_wrap=True, markup=False)
