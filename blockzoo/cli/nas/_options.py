"""Options that the nas commands share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

AllowPickle = Annotated[
    bool,
    Parameter(
        name="--allow-pickle",
        negative=(),
        help="open pickles too, with a reader that builds plain values only",
    ),
]
Overwrite = Annotated[bool, Parameter(name="--overwrite", negative=(), help="replace files that are there")]
Benchmark = Annotated[
    str, Parameter(name="--benchmark", help="mini, mini-surrogate, or a folder of dataset files")
]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative=(), help="say what would be done, and stop")]
