"""repair: set aside what is damaged in a results folder, so that the rest goes on; deletes nothing"""

from __future__ import annotations

from pathlib import Path

from blockzoo.cli.store._screen import show
from blockzoo.cli.store.check import Source


def repair(source: Source = Path("results"), /) -> None:
    """Move damaged records to a quarantine, make counts, columns and the CSV anew, and store what a killed sweep had finished.

    A record in quarantine is run again where its trial is asked for.

    Examples:
        blockzoo store repair
        blockzoo store repair results
    """
    from blockzoo.core.export import export
    from blockzoo.core.outputs import Outputs
    from blockzoo.core.repair import repair as repair_folder
    from blockzoo.execution.queue import collect, only_writer

    outputs = Outputs.at(source)
    with only_writer(outputs):
        report = repair_folder(outputs)
        store = outputs.store()
        collect(outputs, store)
        table = export(outputs, store, anew=not report.is_sound)
    show(outputs, report)
    if not report.is_sound:
        from blockzoo.cli import screen

        screen.out.print(f"{table} is written anew", soft_wrap=True, markup=False)
