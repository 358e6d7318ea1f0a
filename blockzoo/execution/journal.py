"""What a sweep writes down for those who ask about it: its request, its trials, and what runs at the moment.

The outcomes are in the store, and nowhere else: the journal is not needed to go on.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from blockzoo.core.errors import Damaged, StoreError, UsageError
from blockzoo.core.files import write_text
from blockzoo.core.locks import Held, locked
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record, plain
from blockzoo.execution.jobs import Job
from blockzoo.execution.progress import Planned, Progress

EVERY = 2.0
"""Seconds between two notes of what runs."""
LOST = 15.0
"""Seconds without a note after which a sweep on another machine counts as gone."""


class Journal:
    """Progress that is also written down; it tells `heard` all that it hears.

    A trial is queued, leased (given to a worker that has not spoken yet), running (its epochs are heard), and then what its
    record says. A worker that falls silent is ended by its executor, so a lease is as alive as the sweep itself.
    """

    def __init__(
        self, heard: Progress, outputs: Outputs, request: dict[str, Any] | None, kind: str = "trial"
    ) -> None:
        self._heard, self._outputs, self._request, self._kind = heard, outputs, request, kind
        self._running: dict[str, dict[str, Any]] = {}
        self._noted = 0.0

    def planned(self, plan: Planned, eta_seconds: float | None) -> None:
        trials = [[trial.fingerprint(), trial.subject, trial.seed, trial.steps] for trial in plan.trials]
        manifest = {"version": 1, "kind": self._kind, "request": self._request, "trials": trials}
        write_text(self._outputs.sweep, json.dumps(manifest, separators=(",", ":")) + "\n")
        self._heard.planned(plan, eta_seconds)

    def started(self, job: Job) -> None:
        self._running[job.stub.fingerprint] = {"state": "leased", "since": time.time()}
        self._heard.started(job)

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None:
        self._running.setdefault(job.stub.fingerprint, {"since": time.time()}).update(
            state="running", epoch=step
        )
        self._heard.progressed(job, step, values)

    def finished(self, record: Record) -> None:
        self._running.pop(record.fingerprint, None)
        self._heard.finished(record)

    def phase(self, name: str) -> None:
        self._running.clear()
        self._heard.phase(name)

    def preparing(self, what: str, done: int, total: int) -> None:
        self._heard.preparing(what, done, total)

    def tick(self) -> None:
        """Note what runs, at most every `EVERY` seconds. What a reader may miss needs no fsync."""
        if time.monotonic() - self._noted < EVERY:
            return
        self._noted = time.monotonic()
        note = {"process": os.getpid(), "host": platform.node(), "at": time.time(), "running": self._running}
        try:
            write_text(self._outputs.running, json.dumps(note), durable=False)
        except StoreError:  # a full disk is for the records to notice
            pass

    def close(self) -> None:
        """Nothing runs any more, and nobody need be asked to stop."""
        for path in (self._outputs.running, self._outputs.cancel):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Standing:
    """Where a sweep stands.

    Args:
        alive: whether a process works at it.
        trials: each as (state, subject, seed, what is to be said of it).
    """

    alive: bool
    trials: list[tuple[str, str, int, str]]

    @property
    def counts(self) -> dict[str, int]:
        """How many trials are in each state."""
        return dict(Counter(state for state, *_ in self.trials))


def standing(outputs: Outputs) -> Standing:
    """Where the last sweep of a folder stands; nothing is written.

    Raises:
        UsageError: there was none, or its journal cannot be read.
    """
    running = _running(outputs)
    store = outputs.store(create=False) if outputs.database.is_file() else None
    records = [] if store is None else store.records(asked(outputs).get("kind", "trial"))
    states = {record.fingerprint: (record.status, record.reason) for record in records}
    trials = []
    for fingerprint, subject, seed, epochs in asked(outputs)["trials"]:
        status, reason = states.get(fingerprint, ("queued", ""))
        if fingerprint in running:
            now = running[fingerprint]
            epoch = f"epoch {now['epoch']} of {epochs}" if "epoch" in now else "not heard yet"
            status, reason = (
                str(now.get("state")),
                f"{epoch}, for {max(0.0, time.time() - now['since']):.0f} s",
            )
        trials.append(("done" if status == "ok" else status, subject, seed, reason))
    return Standing(bool(running) or is_alive(outputs), trials)


def asked(outputs: Outputs) -> dict[str, Any]:
    """What the last sweep of a folder was asked for: its `request` (None of a study's) and its `trials`.

    Raises:
        UsageError: there was none, or its journal cannot be read.
    """
    try:
        journal = plain(outputs.sweep.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"no sweep has been started in {outputs.folder}; name its folder with --output"
        ) from None
    except (OSError, UnicodeDecodeError, Damaged) as error:
        raise UsageError(
            f"{outputs.sweep} cannot be read ({error}); start the sweep anew with its own command"
        ) from None
    trials = journal.get("trials") if isinstance(journal, dict) else None
    if (
        not isinstance(trials, list)
        or not all(_is_trial(trial) for trial in trials)
        or journal.get("version") != 1
        or not isinstance(journal.get("kind", "trial"), str)
    ):
        raise UsageError(
            f"{outputs.sweep} is not what a sweep writes; start the sweep anew with its own command"
        )
    return dict(journal)


def _is_trial(value: Any) -> bool:
    kinds = (str, str, int, int)
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(v, k) for v, k in zip(value, kinds, strict=True))
    )


def is_alive(outputs: Outputs) -> bool:
    """Whether a process works at a sweep here: on the same machine the system is asked, on others its last note tells.

    The number of a process alone says little: since then another one may have got it. So the folder's lock is to be held too.
    """
    note = _note(outputs)
    if not note or note["host"] != platform.node():
        return bool(note) and abs(time.time() - note["at"]) < LOST
    try:
        os.kill(note["process"], 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    try:
        with locked(outputs.lock, shared=True):
            return False
    except Held:
        return True
    except StoreError:  # there is none, or the file system has no locks
        return outputs.lock.exists()


def _running(outputs: Outputs) -> dict[str, dict[str, Any]]:
    return _note(outputs)["running"] if is_alive(outputs) else {}


def _note(outputs: Outputs) -> dict[str, Any]:
    """What was noted last; nothing where nothing readable is there."""
    try:
        note = plain(outputs.running.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, Damaged):
        return {}
    kinds: dict[str, type | tuple[type, ...]] = {
        "process": int,
        "host": str,
        "at": (int, float),
        "running": dict,
    }
    fits = isinstance(note, dict) and all(isinstance(note.get(name), kind) for name, kind in kinds.items())
    fits = fits and note["process"] > 0
    fits = fits and all(
        isinstance(v, dict) and isinstance(v.get("since"), (int, float)) for v in note["running"].values()
    )
    return note if fits else {}
