"""A results folder exported: as a data set of Parquet files, or in the format of another collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_lines, write_text
from blockzoo.core.outputs import is_table, open_store
from blockzoo.core.record import now
from blockzoo.core.store import Store
from blockzoo.core.table import Row
from blockzoo.publish import citation, croissant, schema_file
from blockzoo.publish.about import USUAL, About, Wishes
from blockzoo.publish.card import card_text
from blockzoo.publish.every_eval import eval_files
from blockzoo.publish.parquet import write_tables
from blockzoo.publish.timm import timm_files
from blockzoo.publish.walk import walking

Form = Literal["dataset", "timm", "every-eval-ever"]
CARD = "README.md"


def export_results(
    source: str | Path, output: str | Path, form: Form = "dataset", wishes: Wishes = USUAL
) -> list[tuple[Path, int | None]]:
    """Write the results of a store for others.

    Args:
        source: a results folder, or its store.
        output: the folder to write to.
        form: dataset: Parquet tables, card, schema, Croissant metadata and citation; timm: its tables of results;
            every-eval-ever: a JSON for each block and protocol.
        wishes: title, licence and so on.

    Returns:
        The files, of a table with its number of rows.

    Raises:
        UsageError: a CSV table, which has no samples; pyarrow is not installed; nothing is there to write.
        StoreError: the store cannot be read, or a file not be written.
    """
    if is_table(source):
        raise UsageError(
            f"{source} is a table, which has no samples: give the results folder or its .sqlite store"
        )
    store, folder = open_store(source), Path(output)
    makers: dict[Form, Callable[[Store, Path, Wishes], list[tuple[Path, int | None]]]] = {
        "dataset": _dataset,
        "timm": _timm,
        "every-eval-ever": _evaluations,
    }
    written = makers[form](store, folder, wishes)
    if not written:
        raise UsageError(f"{source} has no training with a test accuracy: there is nothing to write")
    return written


def _dataset(store: Store, folder: Path, wishes: Wishes) -> list[tuple[Path, int | None]]:
    with walking(store) as walk:
        tables = write_tables(walk, folder)
        others = dict(walk.others)
    about = About(**vars(wishes), tables=tables, others=others)
    texts = {
        schema_file.FILE: schema_file.schema_text(about),
        croissant.FILE: croissant.croissant_text(about),
        citation.FILE: citation.citation_text(about),
        CARD: card_text(about),
    }
    for name, text in texts.items():
        write_text(folder / name, text, durable=False)
    return [*((table.path, table.rows) for table in tables), *((folder / name, None) for name in texts)]


def _rows(store: Store) -> Iterator[Row]:
    return store.rows()


def _timm(store: Store, folder: Path, wishes: Wishes) -> list[tuple[Path, int | None]]:
    with walking(store) as walk:
        top5 = {
            record.fingerprint: value
            for _, record in walk.each_trial()
            if isinstance(value := record.values.get("test_top5"), float)
        }
    written = []
    for name, lines in timm_files(_rows(store), top5):
        write_lines(folder / name, lines, durable=False)
        written.append((folder / name, None))
    return written  # type: ignore[return-value]


def _evaluations(store: Store, folder: Path, wishes: Wishes) -> list[tuple[Path, int | None]]:
    written = []
    for name, text in eval_files(_rows(store), author=wishes.author, url=wishes.url, made=now()):
        write_text(folder / name, text, durable=False)
        written.append((folder / name, None))
    return written  # type: ignore[return-value]
