"""cancel: ask a running sweep to stop; what runs goes on to the end of its epoch, which is saved"""

from __future__ import annotations

from pathlib import Path

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.core.errors import UsageError


def cancel(output: o.Output = Path("results"), *, plugins: o.Plugins = ()) -> int:
    """Ask the sweep that runs in a folder to stop, also from another machine; `blockzoo sweep resume` goes on with it.

    Examples:
        blockzoo sweep cancel
        blockzoo sweep cancel results
    """
    from blockzoo.core.files import write_text
    from blockzoo.core.outputs import Outputs
    from blockzoo.execution.journal import is_alive

    outputs = Outputs.at(output)
    if not is_alive(outputs):
        raise UsageError(f"no sweep runs in {outputs.folder}")
    write_text(outputs.cancel, "stop\n")
    screen.out.print("it is asked to stop, and does when its running trials have finished their epochs")
    return 0
