"""The results store, its spool and its table: what is left out is told, and the sentence names the file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blockzoo.core.csv_file import read_csv
from blockzoo.core.errors import Damaged
from blockzoo.core.export import export
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.record_file import read_records, write_records
from blockzoo.core.said import forget_what_was_said
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.text import csv_text
from blockzoo.execution.spool import read_spool, write_spool
from tests.fuzz.formats import fuzzed


def records() -> list[Record]:
    """Trials of two blocks and two seeds, one of them repeated, and the times of one network."""
    made = []
    for subject, seed in (("ResNetBasicBlock/mid", 0), ("EdgeResidual/late", 0), ("ResNetBasicBlock/mid", 1)):
        spec = TrialSpec(network=NetworkSpec(subject), seed=seed)
        values: dict[str, float | int | str | None] = {
            "val_acc": 0.5 + seed / 7,
            "image_size": 32,
            "macs": 12345,
        }
        made.append(
            Record(
                "trial",
                spec.fingerprint(),
                subject,
                spec.to_json(),
                values=values,
                samples={"val_acc": [0.25, 0.5]},
                environment={"cpu": "x", "threads": 2},
                notes='ä, "b"\nc',
                timestamp="2026-11-29T00:00:00+00:00",
            )
        )
    key = NetworkSpec("ResNetBasicBlock/mid").timing_key(32)
    samples = {"network_batch1_ms": [1.0, 1.5, 1.25, 2.0]}
    made.append(
        Record("latency", key, "ResNetBasicBlock/mid", {}, samples=samples, environment={"timed_on": "x"})
    )
    return [*made, made[0]]


def told(path: Path, read: Callable[[], Any]) -> Any:
    """What is read; what is said of it, as an error."""
    sentences: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: sentences.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("blockzoo")
    quiet, logger.propagate = logging.root.manager.disable, False
    logging.disable(logging.NOTSET)
    logger.addHandler(handler)
    forget_what_was_said()
    try:
        content = read()
    finally:
        logger.removeHandler(handler)
        logging.disable(quiet)
        logger.propagate = True
    if sentences:
        raise Damaged("; ".join(sentences))
    return content


@fuzzed("results-store", checksum=True)
class Database:
    @staticmethod
    def write(folder: Path) -> list[Path]:
        store = Store(folder / "results.sqlite")
        store.add(*records())
        return [store.path]

    @staticmethod
    def read(path: Path) -> Any:
        def content() -> Any:
            store = Store(path, create=False)
            by_kind = [store.records(kind, history=True) for kind in ("trial", "latency")]
            return [[record.to_json() for record in kind] for kind in by_kind], list(store.rows())

        return told(path, content)


@fuzzed("spool", checksum=True, text=True)
class Spool:
    @staticmethod
    def write(folder: Path) -> list[Path]:
        write_spool(folder / "one.json", records()[:2])
        return [folder / "one.json"]

    @staticmethod
    def read(path: Path) -> Any:
        return [record.to_json() for record in read_spool(path)]


@fuzzed("record-file", checksum=True, text=False)
class RecordFile:
    @staticmethod
    def write(folder: Path) -> list[Path]:
        write_records(folder / "some.jsonl.gz", records())
        return [folder / "some.jsonl.gz"]

    @staticmethod
    def read(path: Path) -> Any:
        return [record.to_json() for record in read_records(path)]


def _table(folder: Path) -> Path:
    outputs = Outputs.at(folder)
    store = outputs.store()
    store.add(*records())
    return export(outputs, store)


@fuzzed("results-csv", checksum=True, text=True)
class Table:
    @staticmethod
    def write(folder: Path) -> list[Path]:
        return [_table(folder)]

    @staticmethod
    def read(path: Path) -> Any:
        return told(path, lambda: read_csv(path))


@fuzzed("results-csv-alone", text=True)
class TableAlone:
    @staticmethod
    def write(folder: Path) -> list[Path]:
        text = csv_text(read_csv(_table(folder / "made")))
        (folder / "table.csv").write_text(text)
        return [folder / "table.csv"]

    @staticmethod
    def read(path: Path) -> Any:
        return read_csv(path, verify=False)
