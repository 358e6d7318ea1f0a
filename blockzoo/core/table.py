"""Rows: records flattened into the columns people know."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any

from blockzoo.core.checked import columns_of, texts_of
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.quantity import OnTheClock, quantities
from blockzoo.core.record import Record
from blockzoo.core.settings import Data, Recipe, Scaffold, Seeded
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.subject import as_stored
from blockzoo.core.times import doubts, median_interval, p90, throughput

Row = dict[str, Any]

OF_TRIALS = columns_of(Scaffold, Recipe, Data, Seeded)
"""The settings that are columns."""
STORED = {quantity.name: quantity for quantity in quantities().values() if quantity.stored}
"""The quantities that are."""
OF_STAGE = [
    quantity.name
    for quantity in sorted(STORED.values(), key=lambda q: isinstance(q, OnTheClock))
    if quantity.of_stage
]
"""Those that are columns for the stage under test alone too; what is timed comes last."""


def of_setting(name: str) -> dict[str, str]:
    """The column of a setting."""
    return {name: OF_TRIALS[name]}


def of_quantities(*names: str) -> dict[str, str]:
    """The columns of quantities."""
    return {name: STORED[name].sentence for name in names}


COLUMNS: dict[str, str] = {
    "timestamp": "end of the trial, UTC, ISO 8601",
    "block": "the block under test (or the whole network), as a subject without its position",
    **of_setting("dataset"),
    "position": "stage of the scaffold that holds the block: early, mid or late; empty for a whole network",
    **of_setting("epochs"),
    **of_setting("batch_size"),
    **of_setting("lr"),
    "val_loss": "cross-entropy on the validation split after the last epoch",
    "val_acc": "accuracy on the validation split after the last epoch, a fraction in 0..1",
    "training_time": "seconds of training and validation, set-up not counted",
    **of_quantities("params_total", "params_trainable", "flops", "memory_mb", "latency_ms"),
    "latency_std": "standard deviation of the samples behind latency_ms, milliseconds",
    **of_quantities("throughput"),
    "device": "cpu or cuda: where it trained",
    **of_setting("num_blocks"),
    **of_setting("base_channels"),
    "out_dim": "number of classes",
    "experiment_name": "the user's name for the run",
    "notes": "the user's remark",
    "best_val_acc": "highest val_acc of any epoch; test_acc is of the last epoch, in blox-v1 of the best",
    "test_acc": "accuracy on the test split, read once after the last epoch, a fraction in 0..1",
    "test_loss": "cross-entropy on the test split, read once after the last epoch",
    "train_loss": "mean training loss of the last epoch (with label smoothing where the protocol has it)",
    "train_acc": "accuracy on the augmented training images during the last epoch, a fraction in 0..1",
    **of_setting("seed"),
    **of_setting("protocol"),
    "lr_among": "the learning rates that the search for lr began with, by validation accuracy; empty: it was given",
    "callbacks": "the Lightning callbacks that it was handed, which can change its numbers; empty: none",
    "start": "what the weights are that training started from: a digest of their file, or the fingerprint of the trial that made "
    "them; empty: drawn",
    "split": "the train / validation / test split, name and version; of images that their name does not tell, a digest too",
    **of_setting("image_size"),
    **of_setting("limit_train"),
    **of_setting("images"),
    **of_setting("devices"),
    **of_setting("filler"),
    **of_setting("active_blocks"),
    **of_setting("active_width"),
    "budget": "what width and depth of the stage under test were chosen for: a track and how much of it; empty: nothing",
    "budget_ratio": "what the stage costs so, as a multiple of that budget",
    "status": "ok, diverged, failed, killed, out of memory or timed out",
    "reason": "why, where the status is not ok; else which columns could not be had (costs, times), and why",
    "said": "of a block or network that is not of the zoo: how it was built, what its test found, which output is trained; "
    "of a block on tiles: how many of its layers are",
    **of_quantities("params_trained", "macs"),
    "uncounted_operations": "operations whose multiply-adds nobody knows, so that macs and flops lack them; empty: none",
    **of_quantities(*STORED),  # the others: those above keep their places
    **{f"stage_{name}": f"{name} of the stage under test alone" for name in OF_STAGE},
    "latency_p90_ms": "90th percentile of the samples behind latency_ms, milliseconds",
    "latency_low_ms": "lower end of the 95 % interval of latency_ms, from order statistics; empty below 6 samples",
    "latency_high_ms": "upper end of that interval",
    "latency_n": "samples behind latency_ms",
    "latency_doubt": "why latency_ms should not be taken as sure: few or wild samples, an A/A reference that is off",
    "stage_latency_low_ms": "lower end of the 95 % interval of stage_latency_ms",
    "stage_latency_high_ms": "upper end of that interval",
    "stage_latency_doubt": "the same of stage_latency_ms",
    "throughput_doubt": "the same of the times behind throughput",
    "checked": "largest difference that the checks of the training found (images read from files, weights of the ranks); "
    "empty: nothing to compare",
    "latency_checked": "largest difference of the deployed network, which is timed, from the one that is trained, relative to "
    "the largest output; empty: nothing was folded or merged",
    "stage_latency_checked": "the same of the stage under test alone",
    "latency_device": "how the latency columns were taken: hardware, dtype, layout, runtime, threads; one way a table",
    "dtype": "dtype of training: float32, or bfloat16 for autocast",
    "cpu": "processor",
    "gpu": "accelerator",
    "threads": "threads used for training",
    "torch": "version of torch",
    "blockzoo": "version of blockzoo",
    "environment_id": "equal where training times may be compared",
    "comparable": "equal where accuracies may be compared: same protocol, data and overrides",
    "fingerprint": "identity of the trial: the same request has the same fingerprint everywhere",
    "tier": "own; reported: handed in by others and not rerun; reproduced: handed in, and a rerun agreed",
    "submitted_by": "who handed the record in; empty: own",
    "submission": "digest of the file that it was handed in with",
    "code": "digest of your own code that the block is made of, as it was when it trained; an edited file is another block",
}
COLUMNS |= {name: meaning for name, meaning in OF_TRIALS.items() if name not in COLUMNS}
"""Every column of the results table and what it means. docs/results.md is made from this."""
_OTHER_TEXTS = (
    "block position device split said uncounted_operations latency_doubt stage_latency_doubt throughput_doubt latency_device "
    "dtype cpu gpu torch blockzoo environment_id comparable tier submitted_by submission code"
)
"""Columns of texts that no field of a setting, a spec or a record has."""
TEXTS = COLUMNS.keys() & {
    *_OTHER_TEXTS.split(),
    *texts_of(Scaffold, Recipe, Data, Seeded, NetworkSpec, TrialSpec, Record),
}
"""Columns that are never read as numbers."""
OF_RECORD = ("timestamp", "status", "reason", "experiment_name", "notes", "fingerprint")
"""Columns that are fields of a record."""
DECIDED_BY_DATA = ("image_size", "limit_train")
"""Settings of which the data say what they came to: their own size, or fewer images than asked for."""
OF_ENVIRONMENT = ("device", "dtype", "cpu", "gpu", "threads", "torch", "blockzoo", "environment_id")
"""Columns that are facts of its environment."""
SAID_ELSEWHERE = COLUMNS.keys() & {
    *OF_TRIALS,
    *"block position out_dim comparable lr_among budget budget_ratio".split(),
    *OF_RECORD,
    *OF_ENVIRONMENT,
    *(name for name in COLUMNS if name.removeprefix("stage_").startswith(("latency_", "throughput"))),
}
"""Columns that a trial's request says, its record's fields, its environment or the record of the times: no value of a training
stands for them."""
OWN, REPORTED, REPRODUCED = TIERS = ("own", "reported", "reproduced")
"""Of a record: made here; handed in by others; handed in, and a rerun agreed."""
REPORTED_BY = ", reported by "
"""Within how times were taken that others handed in: before their name."""
FRACTIONS = ("val_acc", "best_val_acc", "test_acc", "train_acc")
"""Columns that are 0 to 1."""
OF_ANY_SIGN = ("val_loss", "test_loss", "train_loss")
"""Those that may be any number, infinity where a training diverged."""


def impossible(row: Row) -> list[str]:
    """What cannot be in a row, each with the remedy: accuracies that are no fractions, negative or infinite costs and times.

    Args:
        row: whose numbers are numbers; NaN is a value that is missing.
    """
    faults = []
    for name in COLUMNS:
        value = row.get(name)
        if not isinstance(value, int | float) or name in OF_ANY_SIGN or value != value:
            continue
        if name in FRACTIONS and not 0 <= value <= 1:
            faults.append(f"{name} {value:g} (a fraction of 0 to 1: percent are divided by 100)")
        elif not 0 <= value < float("inf"):
            faults.append(f"{name} {value:g} (it is finite and not negative)")
    return faults


def rows(
    trials: Iterable[Record], latencies: Iterable[Record] = (), *, timed_on: str | None = None
) -> list[Row]:
    """One row per trial, with the newest latency of its network among those that were taken in one way, or why there is none.

    This is how a row is defined. A store keeps what each record gives (`core/columns.py`) and need not read records for it.

    Args:
        trials: of any kind.
        latencies: of any networks, oldest first, in any number of ways.
        timed_on: words of the way that is wanted ("bf16, channels_last"); default the one that has times of the most trials,
            of two the newer.

    Raises:
        UsageError: no times were taken in the way that is wanted.
    """
    trials, latencies = list(trials), list(latencies)
    reasons = {r.fingerprint: r.reason for r in latencies}
    with as_stored():
        keys = [timing_key(trial) for trial in trials]
        ways: dict[str, dict[str, Record]] = {}
        for record in latencies:
            if record.status == "ok":
                newest = ways.pop(way_of(record), {})
                newest[record.fingerprint] = record
                ways[way_of(record)] = newest  # the way of the newest record stands last
        chosen = ways.get(one_way(ways, Counter(keys), timed_on) or "", {})
        return [
            with_times(trial_row(trial), chosen.get(key), reasons.get(key, ""))
            for trial, key in zip(trials, keys, strict=True)
        ]


def way_of(latency: Record) -> str:
    """How its times were taken: hardware, dtype, layout, runtime, threads."""
    return str(latency.environment.get("timed_on") or "")


def one_way(
    ways: Mapping[str, Container[str]], keys: Mapping[str, int], timed_on: str | None = None
) -> str | None:
    """The way whose times a table shows: that of the most trials, of two the newer; None where there are no times.

    Args:
        ways: the networks that have times in each, by timing key; the way of the newest record last.
        keys: how many trials each network has.
        timed_on: see `rows`, and so is the error.
    """
    if timed_on is not None:
        wanted = [word.strip() for word in timed_on.split(",")]
        fitting = {way: networks for way, networks in ways.items() if all(word in way for word in wanted)}
        if not fitting:
            known = "; ".join(way or "unknown" for way in ways) or "none"
            raise UsageError(f"no times were taken on {timed_on!r}; there are times on: {known}")
        ways = fitting
    return max(
        reversed(list(ways)),
        key=lambda way: sum(n for key, n in keys.items() if key in ways[way]),
        default=None,
    )


def trial_row(trial: Record) -> Row:
    """What a trial's own record says of it; call it within `as_stored`."""
    row: Row = {
        "tier": OWN,
        **{name: value for name, value in trial.values.items() if name not in SAID_ELSEWHERE},
        **asked_of(trial),
        **{name: trial.environment.get(name) for name in OF_ENVIRONMENT},
        **{name: getattr(trial, name) for name in OF_RECORD},
    }
    return {name: row.get(name) for name in COLUMNS}


def asked_of(trial: Record) -> Row:
    """The columns that a trial's request says, and what the data made of those that they decide."""
    spec = TrialSpec.from_json(trial.spec)
    network: NetworkSpec = spec.network
    subject = network.parsed
    row: Row = {
        **{name: getattr(spec, name) for name in columns_of(Recipe, Data, Seeded)},
        **{name: trial.values[name] for name in DECIDED_BY_DATA if trial.values.get(name) is not None},
        "block": subject.label,
        "position": subject.position,
        "out_dim": network.out_dim,
        "comparable": spec.comparable(),
        "lr_among": spec.lr_among,
        "callbacks": spec.callbacks,
        "start": spec.start_identity,
    }
    if subject.is_block:
        row |= {name: getattr(network, name) for name in columns_of(Scaffold)}
        row |= {
            "filler": network.filler_name,
            "active_blocks": network.active_blocks or network.num_blocks,
            "budget": network.budget,
            "budget_ratio": network.budget_ratio,
        }
    elif subject.stages:
        row |= {name: getattr(network, name) for name in ("num_blocks", "base_channels", "transition")}
    return row


def with_times(row: Row, latency: Record | None, why_no_times: str) -> Row:
    """The row of a trial with the times of its network, or with why there are none."""
    if latency is not None:
        row |= time_columns(latency)
    if reason := latency.reason if latency is not None else why_no_times:
        row["reason"] = with_reason(row["reason"], reason)
    return row


def with_reason(own: str | None, of_times: str) -> str:
    """What the column `reason` says where the times have a reason too."""
    return "; ".join(filter(None, (own, f"times: {of_times}")))


def timing_key(trial: Record) -> str:
    """Which latency belongs to a trial: as stored with it, since the user's own block need not be here any more."""
    stored, size = trial.values.get("timing_key"), trial.values.get("image_size")
    if isinstance(stored, str):
        return stored
    return TrialSpec.from_json(trial.spec).network.timing_key(size if isinstance(size, int) else None)


def stored_timing_key(trial: Record) -> str:
    """The same of any record, also an older one, which does not say it; empty where its spec cannot be read."""
    with as_stored():
        try:
            return timing_key(trial)
        except (BlockzooError, TypeError):
            return ""


def time_columns(record: Record) -> Row:
    """What the record of a network's times gives to the rows of its trials."""
    whole = record.samples.get("network_batch1_ms", [])
    stage = record.samples.get("stage_batch1_ms", [])
    batches = [
        int(k.removeprefix("network_batch").removesuffix("_ms")) for k in record.samples if "network_" in k
    ]
    columns: Row = {"latency_device": record.environment.get("timed_on")}
    if whole:
        columns["latency_std"] = statistics.stdev(whole) if len(whole) > 1 else 0.0
        columns |= {"latency_p90_ms": p90(whole), "latency_n": len(whole)}
    for prefix, part, samples in (("", "network", whole), ("stage_", "stage", stage)):
        if samples:
            low, high = median_interval(samples) or (None, None)
            columns[f"{prefix}latency_ms"] = statistics.median(samples)
            columns |= {f"{prefix}latency_low_ms": low, f"{prefix}latency_high_ms": high}
            columns[f"{prefix}latency_doubt"] = _doubt(record, f"{part}_batch1")
            columns[f"{prefix}latency_checked"] = record.values.get(f"{part}_checked")
    if batches:
        largest = f"network_batch{max(batches)}"
        columns["throughput"] = throughput(record.samples[f"{largest}_ms"], max(batches))
        columns["throughput_doubt"] = _doubt(record, largest)
    return columns


def _doubt(record: Record, which: str) -> Any:
    """Why a time is doubtful: as its run judged it; of older records from their samples."""
    stored = record.values.get(f"{which}_doubt")
    return ", ".join(doubts(record.samples[f"{which}_ms"])) if stored is None else stored
