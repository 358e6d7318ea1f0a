"""A row trained again: does what was reported agree with what comes out here?

The first rerun has the seed of the row. Where it is the same to the last bit, that is all there is to say. Else the request is
run with further seeds, and the reported accuracy is held against what one more training would come to: the interval of the
difference of one new value from the mean of n, by Student's t with n - 1 degrees of freedom.

Source: the prediction interval of a normal distribution, Hahn and Meeker, Statistical Intervals, 4.7.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Literal

from blockzoo.core import consent
from blockzoo.core.errors import UsageError
from blockzoo.core.export import export
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.spec import TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.table import OWN, REPORTED, REPRODUCED
from blockzoo.report.estimates import LEAST_SEEDS, deviation, student_t
from blockzoo.trials.options import Verifying
from blockzoo.trials.preflight import known_before
from blockzoo.trials.training import circumstances, train_spec

log = logging.getLogger(__name__)
Verdict = Literal["agrees", "disagrees", "cannot say"]
OF_ENVIRONMENT = ("hostname", "revision", "environment_id")
"""Facts that may differ between two runs that come to the same bits."""
COUNTED = ("params_total", "params_trainable", "macs", "flops")
"""Costs that a network has whatever counts them."""
LAST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Agreement:
    """What reruns say of a reported accuracy.

    Args:
        verdict: agrees, disagrees, or cannot say.
        why: in words.
        reported: the accuracy, a fraction.
        reruns: theirs, fractions; the first has the seed of the row.
        interval: of reported less rerun, fractions; None where there is none.
        equal: the first rerun is the same to the last bit.
    """

    verdict: Verdict
    why: str
    reported: float
    reruns: Sequence[float]
    interval: tuple[float, float] | None = None
    equal: bool = False

    @property
    def sentence(self) -> str:
        """The verdict with its figures."""
        n = len(self.reruns)
        spread = f"{100 * fmean(self.reruns):.2f} % in {n} rerun{'s' * (n != 1)}"
        ends = ""
        if self.interval is not None:
            low, high = (100 * end for end in self.interval)
            ends = f"; 95 % interval of the difference {low:+.2f} to {high:+.2f} points"
        return f"{self.verdict}: {100 * self.reported:.2f} % reported, {spread}{ends} (n = {n}): {self.why}"


def agreement(
    reported: float,
    reruns: Sequence[float],
    *,
    equal: bool = False,
    same_environment: bool = False,
    within: float = Verifying.within,
) -> Agreement:
    """Judge a reported accuracy by reruns of its request.

    Args:
        reported: a fraction.
        reruns: fractions; the first has the seed of the row, the others seeds of their own.
        equal: the first rerun is the same to the last bit, in all its figures.
        same_environment: it ran where and by what the row says, on a processor: then it should be.
        within: points; a wider interval to either side cannot say that they agree.

    Examples:
        One more training would differ from the mean of these by up to 4.30 s sqrt(1 + 1/3), here 0.0497.

        >>> agreement(0.60, [0.58, 0.59, 0.60]).verdict, agreement(0.70, [0.58, 0.59, 0.60]).verdict
        ('agrees', 'disagrees')
        >>> agreement(0.60, [0.50, 0.60, 0.70]).verdict, agreement(0.60, [0.59]).verdict
        ('cannot say', 'cannot say')
    """
    n = len(reruns)
    if equal:
        return Agreement("agrees", "equal to the last bit", reported, reruns, equal=True)
    if n < LEAST_SEEDS:
        return Agreement("cannot say", f"an interval needs {LEAST_SEEDS} reruns", reported, reruns)
    difference = reported - fmean(reruns)
    half = student_t(n - 1) * deviation(list(reruns)) * math.sqrt(1 + 1 / n)
    interval = (difference - half, difference + half)
    if not interval[0] <= 0 <= interval[1]:
        return Agreement("disagrees", "the interval leaves no room for chance", reported, reruns, interval)
    if same_environment:
        why = "the interval holds 0, but in the same environment the same seed should come to the same bits, and does not"
        return Agreement("cannot say", why, reported, reruns, interval)
    if 100 * half > within:
        why = f"the interval holds 0, but is wider than {within:g} points to either side: give more --reruns"
        return Agreement("cannot say", why, reported, reruns, interval)
    return Agreement("agrees", "the interval holds 0", reported, reruns, interval)


@dataclass(frozen=True)
class Reruns:
    """How a row is rerun.

    Args:
        most: trainings at most; one alone where it is the same to the last bit.
        within: points, see `agreement`.
        device: cpu, cuda or auto.
        data_dir: the folder with the datasets.
        plugins: files and modules of the user's own that the row's code is in.
    """

    most: int = Verifying.reruns
    within: float = Verifying.within
    device: str = "auto"
    data_dir: str | None = None
    plugins: tuple[str, ...] = ()


def verify(source: str | Path, row: str, how: Reruns = Reruns()) -> tuple[Record, Agreement]:
    """Train a row of a results folder again, store what came out, and judge the row by it.

    A reported row with which a rerun agrees is of the tier `reproduced` from then on; with which one disagrees, or whose costs
    are others when they are counted here, `reported`.

    Args:
        source: the results folder.
        row: its fingerprint, or the beginning of it.
        how: see `Reruns`.

    Raises:
        UsageError: no such row, or several; it did not end; it rests on weights or callbacks that are not in it; it names code
            that the user did not; its images are others here.
    """
    from blockzoo.data import load_dataset

    outputs = Outputs.at(source)
    store = outputs.store(create=False)
    record = row_of(store, row)
    spec = spec_of(record)
    where = circumstances(how.device, how.data_dir, how.plugins)
    data = load_dataset(spec.dataset, how.data_dir, image_size=spec.image_size, images=spec.images)
    reruns = _rerun(spec, record, data, where, how)
    equal = is_equal(record, reruns[0])
    judged = agreement(
        float(record.values["test_acc"]),  # type: ignore[arg-type]
        [float(rerun.values["test_acc"]) for rerun in reruns],  # type: ignore[arg-type]
        equal=equal,
        same_environment=_same_environment(record, reruns[0]),
        within=how.within,
    )
    if wrong := wrong_costs(record, known_before(spec.network, data.shape).values):
        judged = replace(judged, verdict="disagrees", why=wrong)
    writable = outputs.store()
    writable.add(verification_of(record, reruns, judged), *promoted(record, judged))
    export(outputs, writable)
    return record, judged


def row_of(store: Store, row: str) -> Record:
    """The newest record of a trial, by the beginning of its fingerprint.

    Raises:
        UsageError: there is none, or there are several; it has no test accuracy.
    """
    hits = [print_ for print_ in store.statuses("trial") if row and print_.startswith(row)]
    if len(hits) != 1:
        reason = f"{len(hits)} rows begin so" if hits else "no row has it"
        raise UsageError(f"fingerprint {row!r}: {reason}; `blockzoo results --format csv` lists them")
    (record,) = store.records("trial", fingerprint=hits[0])
    if record.status != "ok" or not isinstance(record.values.get("test_acc"), float):
        raise UsageError(f"row {hits[0]} has no test accuracy ({record.status}): there is nothing to verify")
    return record


def spec_of(record: Record) -> TrialSpec:
    """What a row asks for, to be run: code in it must have been named by the user.

    Raises:
        UsageError: it was not; or the row is of another request than it says, or starts from weights of a file.
    """
    with consent.text_of(f"row {record.fingerprint}"):
        spec = TrialSpec.from_json(record.spec)
        own = spec.with_(micro_batches=1).fingerprint()
    if spec.lacks:
        raise UsageError(
            f"row {record.fingerprint} rests on {spec.lacks}, not in the row: it cannot be rerun"
        )
    if own != record.fingerprint:
        raise UsageError(
            f"row {record.fingerprint} asks for {own} here: its code is another one, or it is of another request than it says"
        )
    return spec


def wrong_costs(record: Record, counted: Mapping[str, object]) -> str:
    """What a row says of its network's size and multiply-adds, and counting it here does not; empty where they are the same."""
    wrong = [
        f"{name} is {record.values[name]:,} in the row and {counted[name]:,} here"
        for name in (f"{part}{name}" for part in ("", "stage_") for name in COUNTED)
        if record.values.get(name) is not None and counted.get(name) not in (None, record.values[name])
    ]
    return "; ".join(wrong)


def _rerun(spec: TrialSpec, record: Record, data: Any, where: Any, how: Reruns) -> list[Record]:
    """Trainings: with the seed of the row, then, unless that is the same to the last bit, with the seeds that follow."""
    reruns: list[Record] = []
    with TemporaryDirectory(prefix="blockzoo-verify-") as folder:
        for number in range(how.most):
            own = spec.with_(seed=(spec.seed + number) % (LAST_SEED + 1))
            checkpoint = Path(folder) / f"{number}.ckpt"
            rerun = train_spec(own, data, where, checkpoint, "fail", lambda epoch, values: None)
            if rerun.values.get("split") != record.values.get("split"):
                raise UsageError(
                    f"the images of {spec.dataset} are split as {rerun.values.get('split')} here, and as "
                    f"{record.values.get('split')} in the row: it cannot be rerun"
                )
            if rerun.status == "ok":
                reruns.append(rerun)
            else:
                log.warning("seed %d: the rerun %s: %s", own.seed, rerun.status, rerun.reason)
            if number == 0 and (not reruns or is_equal(record, rerun)):
                break
    if not reruns:
        raise UsageError(
            f"row {record.fingerprint} ended well, and its rerun here did not: {rerun.status}, {rerun.reason}"
        )
    return reruns


def is_equal(record: Record, rerun: Record) -> bool:
    """Whether a rerun is the same in all that follows from the request: test accuracy and loss, every epoch."""
    alike = all(record.values.get(name) == rerun.values.get(name) for name in ("test_acc", "test_loss"))
    series = [name for name in rerun.samples if name != "seconds"]
    alike = alike and record.outcomes in ({}, rerun.outcomes)
    return alike and all(record.samples.get(name) == rerun.samples[name] for name in series)


def _same_environment(record: Record, rerun: Record) -> bool:
    facts = [
        {name: value for name, value in one.environment.items() if name not in OF_ENVIRONMENT}
        for one in (record, rerun)
    ]
    return facts[0] == facts[1] and facts[0].get("device") == "cpu"


def verification_of(record: Record, reruns: Sequence[Record], judged: Agreement) -> Record:
    """The record of a verification: the reruns' accuracies, where they ran, and the verdict."""
    low, high = judged.interval or (None, None)
    values: dict[str, float | int | str | None] = {
        "verdict": judged.verdict, "why": judged.why, "reported": judged.reported, "difference_low": low,
        "difference_high": high, "n": len(reruns), "equal": int(judged.equal), "of_timestamp": record.timestamp,
        "submission": record.values.get("submission"),
    }  # fmt: skip
    samples = {
        "test_acc": list(judged.reruns),
        "test_loss": [float(rerun.values["test_loss"]) for rerun in reruns],  # type: ignore[arg-type]
        "training_time": [float(rerun.values["training_time"]) for rerun in reruns],  # type: ignore[arg-type]
    }
    return Record("verification", record.fingerprint, record.subject, record.spec, values=values, samples=samples,
                  environment=reruns[0].environment)  # fmt: skip


def promoted(record: Record, judged: Agreement) -> list[Record]:
    """The row with its new tier, where it has another one now; what it says of itself stays."""
    tier = record.values.get("tier") or OWN
    wanted = {"agrees": REPRODUCED, "disagrees": REPORTED}.get(judged.verdict)
    if tier == OWN or wanted in (None, tier):
        return []
    return [replace(record, values={**record.values, "tier": wanted})]
