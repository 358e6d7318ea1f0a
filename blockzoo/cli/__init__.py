"""The command line: one file per command, each a parser, an adapter and a call of the function of that name.

Nothing here imports torch until a command runs, so `--help`, listing and reporting answer at once.
"""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    from blockzoo.cli.app import run
    from blockzoo.core.began import process_age
    from blockzoo.core.safe_path import be_a_command

    if argv is not None:
        return run(argv)
    be_a_command()
    return run(sys.argv[1:], process_age())
