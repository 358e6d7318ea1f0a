"""What others hand in: records, each checked by itself, marked with where they come from, then merged. Nothing of them runs.

A record that is taken is `reported` by whoever handed it in, until a rerun agrees (`blockzoo verify`). Times keep apart from own
ones: how they were taken says by whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import fsum, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blockzoo.core.checksums import file_digest
from blockzoo.core.contracts import BLOCKS, PROTOCOLS
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.merging import Merged, merge
from blockzoo.core.outcomes import check_outcomes
from blockzoo.core.outputs import is_table, open_store
from blockzoo.core.record import FINAL, Record
from blockzoo.core.record_file import is_record_file, read_records
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.subject import as_stored
from blockzoo.core.table import DECIDED_BY_DATA, REPORTED, REPORTED_BY, SAID_ELSEWHERE, impossible, trial_row
from blockzoo.core.text import plain

KINDS = ("trial", "latency")
"""That are taken: what answers requests here (as widths for budgets do) is measured here."""
MARKS = ("tier", "submitted_by", "submission")
"""Values that say where a record comes from; what is handed in says nothing of it itself."""
LONGEST = 10_000
"""Characters of a remark, or of any text of a record."""
NEEDED = ("torch", "blockzoo")
"""Facts of an environment without which nobody can make the record again."""
SHOWN = 10
AT_A_TIME = 200


@dataclass
class Taken:
    """What came of a submission.

    Args:
        merged: of its records that are of a kind that is taken.
        left_out: records of other kinds, or that did not end, by kind.
        unchecked: trials of code that is not here, whose fingerprints nobody can check.
        digest: of the submission.
    """

    merged: Merged
    left_out: Mapping[str, int] = field(default_factory=dict)
    unchecked: int = 0
    digest: str = ""


def submit(source: str | Path, target: Store, by: str) -> Taken:
    """Check all records of a submission, and merge them into a store as reported: all or none.

    Args:
        source: a file of records (.jsonl.gz), a results folder or its store.
        target: the store that they are merged into.
        by: who hands them in.

    Raises:
        UsageError: nobody is named; a table; a record that cannot be right, with the reasons of the first.
        Damaged: the file is not as it was written.
    """
    path = Path(source)
    if not by.strip() or len(by) > 200 or plain(by, lines=False) != by:
        raise UsageError(
            f"--by {by[:40]!r}: say who hands the records in, in one line of at most 200 characters"
        )
    if is_table(path):
        raise UsageError(f"{path} is a table; hand in records: blockzoo store export --records NAME.jsonl.gz")
    digest, left_out, unchecked = _digest(path)[:16], Counter[str](), 0
    with TemporaryDirectory(prefix="blockzoo-submission-") as folder:
        own = Store(Path(folder) / "results.sqlite")
        wrong: dict[str, list[str]] = {}
        waiting: list[Record] = []
        for number, record in enumerate(_records(path), 1):
            if record.kind not in KINDS or record.status not in FINAL:
                left_out[
                    record.kind if record.kind not in KINDS else f"{record.kind} that {record.status}"
                ] += 1
                continue
            if faults := faults_of(record):
                wrong[f"record {number}, {record.kind} {record.fingerprint[:40]}"] = faults
                continue
            unchecked += record.kind == "trial" and not is_known(record)
            waiting.append(marked(record, by, digest))
            if len(waiting) == AT_A_TIME:
                own.add(*waiting)
                waiting.clear()
        _refuse(path, wrong)
        own.add(*waiting)
        (merged,) = merge(target, own)
    return Taken(merged, dict(left_out), unchecked, digest)


def _refuse(path: Path, wrong: Mapping[str, list[str]]) -> None:
    if wrong:
        lines = [f"  {which}: {'; '.join(faults)}" for which, faults in wrong.items()]
        more = f"\n  and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        raise UsageError(
            f"{path} is not taken, for {len(lines)} of its records cannot be right:\n"
            + "\n".join(lines[:SHOWN])
            + more
        )


def _records(path: Path) -> Iterator[Record]:
    if is_record_file(path):
        yield from read_records(path)
        return
    yield from open_store(path).each_record()


def _digest(path: Path) -> str:
    """Of what is handed in: of the file, or of the store of a folder."""
    if is_record_file(path):
        if not path.is_file():
            raise UsageError(f"there is no file {path}")
        return file_digest(path)
    return file_digest(open_store(path).path)


def marked(record: Record, by: str, digest: str) -> Record:
    """The record as one that others report; whatever it said of that itself is gone."""
    if record.kind == "trial":
        values = {name: value for name, value in record.values.items() if name not in MARKS}
        return replace(record, values={**values, **dict(zip(MARKS, (REPORTED, by, digest), strict=True))})
    way = f"{record.environment.get('timed_on')}{REPORTED_BY}{by}"
    return replace(record, environment={**record.environment, "timed_on": way})


def is_known(record: Record) -> bool:
    """Whether all that a trial names is part of this package, so that its fingerprint can be checked."""
    with as_stored():
        network = TrialSpec.from_json(record.spec).network
        blocks = [network.parsed.innermost, *network.parsed.stages]
    names = [one.name.partition("+")[0] for one in blocks if one.prefix == "block"]
    ours = all(name in BLOCKS and BLOCKS.own_origin(name) is None for name in names)
    codes = [one for one in blocks if one.prefix == "code"]
    protocol = str(record.spec.get("protocol"))
    return ours and not codes and protocol in PROTOCOLS and record.spec.get("code_digest") is None


def faults_of(record: Record) -> list[str]:
    """Why a record cannot be right; nothing where it can. It is read, and nothing of it runs."""
    try:
        with as_stored():
            faults = [*_faults_of_any(record)]
            return faults or [
                *(_faults_of_trial(record) if record.kind == "trial" else _faults_of_times(record))
            ]
    except (BlockzooError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        return [
            str(error)
            if isinstance(error, BlockzooError)
            else f"it cannot be read: {type(error).__name__}: {error}"
        ]


def _faults_of_any(record: Record) -> Iterator[str]:
    texts = {
        "subject": record.subject,
        "notes": record.notes,
        "experiment_name": record.experiment_name,
        "reason": record.reason,
    }
    texts |= {
        name: text
        for name, text in (*record.values.items(), *record.environment.items())
        if isinstance(text, str)
    }
    for name, text in texts.items():
        if len(text) > LONGEST:
            yield f"{name[:40]} has {len(text):,} characters"
    for name in NEEDED:
        if not record.environment.get(name):
            yield f"its environment does not say {name}"
    try:
        datetime.fromisoformat(record.timestamp)
    except ValueError:
        yield f"{record.timestamp[:40]!r} is no time of day"
    for name, samples in record.samples.items():
        if not all(value is None or (_is_number(value) and isfinite(value)) for value in samples):
            yield f"the series {name[:40]} holds what is no number"


def _faults_of_trial(record: Record) -> Iterator[str]:
    spec = TrialSpec.from_json(record.spec)
    if spec.subject != record.subject:
        yield f"it is of {record.subject[:80]} and its request of {spec.subject[:80]}"
    if is_known(record):
        own = spec.with_(micro_batches=1).fingerprint()
        if own != record.fingerprint:
            yield f"its request has the fingerprint {own}, not {record.fingerprint[:40]}"
    yield from _said_elsewhere(record, spec)
    yield from impossible(trial_row(record))
    if record.status != "ok":
        return
    values, series = record.values, record.samples
    for name, samples in series.items():
        if len(samples) != spec.epochs:
            yield f"the series {name[:40]} has {len(samples)} values for {spec.epochs} epochs"
        elif samples and name in values and values[name] != samples[-1]:
            yield f"{name[:40]} is {values[name]}, and the last of its epochs is {samples[-1]}"
    missing = [name for name in ("test_acc", "val_acc") if not _is_number(values.get(name))]
    yield from (f"it has no {name}" for name in missing)
    if not missing and series.get("val_acc") and values.get("best_val_acc") != max(series["val_acc"]):
        yield f"best_val_acc is {values.get('best_val_acc')}, and the best of its epochs {max(series['val_acc'])}"
    if "seconds" in series and values.get("training_time") != sum(series["seconds"]):
        yield f"training_time is {values.get('training_time')}, and its epochs took {fsum(series['seconds'])}"
    if record.outcomes and not missing:
        try:
            check_outcomes(record.outcomes, values["test_acc"], values["test_loss"])  # type: ignore[arg-type]
        except BlockzooError as error:
            yield str(error)


def _said_elsewhere(record: Record, spec: TrialSpec) -> Iterator[str]:
    """Values that stand for what the request, or the record of the times, says."""
    values = record.values
    for name in sorted(values.keys() & SAID_ELSEWHERE - {*DECIDED_BY_DATA}):
        yield f"it says {name} of itself, which its request, its environment or a record of times says"
    size = values.get("image_size")
    if spec.image_size not in (None, size):
        yield f"image_size is {size}, and its request says {spec.image_size}"
    if is_known(record) and values.keys() & {"code"}:
        yield "it is of code of its own, and its request is of none"
    if is_known(record) and "timing_key" in values:
        own = spec.network.timing_key(size if isinstance(size, int) else None)
        if values["timing_key"] != own:
            yield f"its times would be those of another network: timing_key is not {own}"


def _faults_of_times(record: Record) -> Iterator[str]:
    network = NetworkSpec(**record.spec)
    if network.subject != record.subject:
        yield f"it is of {record.subject[:80]} and its request of {network.subject[:80]}"
    if record.status == "ok" and not record.samples:
        yield "it has no samples"
    for name, samples in record.samples.items():
        if not samples or any(value is None or not value > 0 for value in samples):
            yield f"the series {name[:40]} holds no time, or one that is not positive"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
