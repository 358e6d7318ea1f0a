"""The spool: the records of a finished job in one durable file, until its supervisor has stored them.

A file is JSON: the records, each as its own text, and a digest of them, so that a torn or altered file is known. One that cannot
be read, or whose spec no trial could have, is set aside beside the others as `NAME.json.quarantine`: the rest goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from blockzoo.core.errors import Damaged, UsageError
from blockzoo.core.files import write_text
from blockzoo.core.record import Record, plain
from blockzoo.core.spec import TrialSpec, fingerprint_of
from blockzoo.core.subject import as_stored

log = logging.getLogger(__name__)

QUARANTINE = ".quarantine"
"""What a file that is set aside is called in addition."""
MOST_BYTES = 2**28
"""A spool file of more is none: a record of 100,000 samples has 2 MB."""


def write_spool(path: Path, records: Sequence[Record]) -> None:
    """Leave the records of a job, durable."""
    texts = [record.to_json() for record in records]
    write_text(path, json.dumps({"digest": fingerprint_of(texts), "records": texts}))


def read_spool(path: Path) -> list[Record]:
    """The records of one finished job.

    Raises:
        Damaged: the file is not as it was written; the message names it and says why.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Damaged(f"it has more than {MOST_BYTES >> 20} MiB")
        return [_record(text) for text in _texts(path.read_bytes())]
    except (OSError, UnicodeDecodeError, Damaged) as error:
        raise Damaged(f"spool file {path}: {getattr(error, 'strerror', None) or error}") from None


def _texts(content: bytes) -> list[str]:
    if not content:
        raise Damaged("it is empty")
    document = plain(content.decode())
    texts = (
        document.get("records") if isinstance(document, dict) else document
    )  # earlier versions wrote the list alone
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise Damaged("it is no list of records")
    if isinstance(document, dict) and document.get("digest") != fingerprint_of(texts):
        raise Damaged("its digest does not fit: it was altered")
    return texts


def _record(text: str) -> Record:
    record = Record.from_json(text)
    if record.kind == "trial":
        try:
            with as_stored():
                TrialSpec.from_json(record.spec)
        except UsageError as error:
            raise Damaged(f"trial {record.fingerprint}: {error}") from None
    return record


def leftovers(spool: Path) -> Iterator[tuple[Path, list[Record]]]:
    """What a killed supervisor left behind: finished jobs whose records may not be stored yet. Damaged files are set aside."""
    for path in sorted(spool.glob("[!.]*.json")) if spool.is_dir() else []:
        try:
            records = read_spool(path)
        except Damaged as error:
            log.warning("%s", set_aside(path, error))
        else:
            yield path, records


def damaged(spool: Path) -> list[str]:
    """What cannot be read in a spool; nothing is set aside."""
    faults = []
    for path in sorted(spool.glob("[!.]*.json")) if spool.is_dir() else []:
        try:
            read_spool(path)
        except Damaged as error:
            faults.append(str(error))
    return faults


def set_aside(path: Path, error: Exception) -> str:
    """Rename a file that cannot be read, over none that is there already; what to tell of it."""
    target, number = path.with_name(path.name + QUARANTINE), 1
    while target.exists():
        target, number = path.with_name(f"{path.name}{QUARANTINE}-{number}"), number + 1
    try:
        path.rename(target)
    except OSError as failure:
        return f"{error}; it cannot be set aside either: {failure.strerror}"
    return f"{error}; it is set aside as {target.name}, and its trial is run again where it is asked for"
