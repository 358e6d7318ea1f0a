"""cite: what to cite for what was used, as BibTeX: of names, of results, of a file of options"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core.progress import working
from blockzoo.core.typeset import HIGH, KEY, name, prose


def cite(
    *what: Annotated[
        str,
        Parameter(
            help="names of blocks, datasets, protocols, search algorithms, libraries; results folders, tables, files of options"
        ),
    ],
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="also write the BibTeX to this file")
    ] = None,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> None:
    """Print BibTeX of blockzoo and of all that was used.

    Of authors the family names are known; complete them from the papers. What has no source is named at the end.

    Examples:
        blockzoo cite InvertedResidual+eca cifar10 fast-v1 evolution torch
        blockzoo cite results -o used.bib
    """
    from blockzoo.cite import bibliography
    from blockzoo.cite import cite as used_in
    from blockzoo.core.citations import of_this_package
    from blockzoo.core.files import write_text

    with working("reading"):
        used = used_in(*what)
    text = f"% this package\n{of_this_package()}"
    if used:
        text += f"\n{bibliography(used)}"
    rows = [{"kind": one.kind, "name": one.name, "source": one.source} for one in used]
    rows.append({"kind": "package", "name": "blockzoo", "source": of_this_package()})
    lines = [(row["kind"], row["name"], row["source"] or "-") for row in rows[:-1]]
    if format == "table":
        screen.write([text])
    elif format in ("markdown", "latex"):
        columns = [name("what", HIGH), name("name", KEY), prose("source", KEY)]
        screen.show(screen.table("", columns, lines), rows, format)
    else:
        screen.write(screen.text_lines(rows, format))
    if output is not None:
        write_text(output, text)
        screen.say(f"written   {output}")
