"""merge: the records of other results folders copied into one, each verified; nothing is altered where they came from"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from blockzoo.cli import screen

if TYPE_CHECKING:
    from blockzoo.core.store import Store


def merge(
    *sources: Annotated[
        Path, Parameter(help="results folders, their .sqlite stores, or files of records (.jsonl.gz)")
    ],
    output: Annotated[
        Path, Parameter(("--output", "-o"), help="the results folder that they are copied to")
    ] = Path("results"),
) -> int:
    """Copy what is not there yet, in the order of the sources; a result that is there stays the one that counts.

    Exit code 1 where a record is not as it was written: it is left out, and `blockzoo store check` of its folder names it.

    Examples:
        blockzoo store merge laptop server --output results
        blockzoo store merge records.jsonl.gz --output results
    """
    from blockzoo.core.errors import UsageError
    from blockzoo.core.export import export
    from blockzoo.core.merging import merge as merge_stores
    from blockzoo.core.outputs import Outputs
    from blockzoo.execution.queue import only_writer

    if not sources:
        raise UsageError(
            "name the results folders to copy from, as in blockzoo store merge a b --output results"
        )
    outputs = Outputs.at(output)
    with only_writer(outputs), TemporaryDirectory() as folder:
        stores = [_store_of(source, Path(folder, str(number))) for number, source in enumerate(sources)]
        target = outputs.store()
        copied = merge_stores(target, *stores)
        for source, merged in zip(sources, copied, strict=True):
            left = [
                f"{count:,} {why}"
                for count, why in (
                    (merged.there, "there already"),
                    (merged.answered, "of requests that have a result"),
                    (merged.damaged, "DAMAGED, left out"),
                )
                if count
            ]
            message = f"{source}: {merged.copied:,} records copied{'; ' if left else ''}{', '.join(left)}"
            screen.out.print(message, soft_wrap=True, markup=False)
        table = export(outputs, target)
    screen.out.print(f"table     {table}", soft_wrap=True, markup=False)
    return int(any(merged.damaged for merged in copied))


def _store_of(source: Path, folder: Path) -> Store:
    from blockzoo.core.outputs import Outputs
    from blockzoo.core.record_file import as_store, is_record_file

    return as_store(source, folder) if is_record_file(source) else Outputs.at(source).store(create=False)
