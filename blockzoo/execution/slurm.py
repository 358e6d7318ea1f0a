"""SLURM, through submitit: each job is a job of the cluster, in files of a shared folder."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from blockzoo.core import consent
from blockzoo.core.errors import Damaged, StoreError, UsageError
from blockzoo.core.extras import how_to_install
from blockzoo.core.record import Record, now
from blockzoo.core.safe_path import safe_path
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.execution.jobs import Job, Listener, Silent, outcome
from blockzoo.execution.spool import read_spool, set_aside, write_spool
from blockzoo.execution.watch import Watch

OF_SEVERAL = ("setup", "teardown", "srun_args", "additional_parameters")
"""Ends of the names of options that are no single values."""
LOOK = 1.0
"""Seconds between two looks at what ends."""


@EXECUTORS.register("slurm")
class SlurmJobs:
    """Runs up to `workers` jobs at a time as jobs of SLURM; the results folder is shared by its machines.

    Records come back as spool files, as from local processes, so that those of a supervisor that was killed are collected by
    the next one. submitit's own files are pickles: they lie in the spool folder's `submitit`, in a folder of a random name, so
    that none is read that lay there before.

    Args:
        spool: folder for the records of finished jobs until they are stored, seen by all machines.
        workers, threads: jobs at a time, and processors of each.
        devices: where there are accelerators, each job asks for as many as the first of these names.
        listener: hears of starts.
        watch: limits of each job, and whether all are asked to stop, which ends them at once.
        options: NAME=VALUE of `submitit.AutoExecutor`, such as slurm_partition=gpu or mem_gb=16; cluster=local runs processes
            here.

    Raises:
        UsageError: submitit is not installed, or an option cannot be.
    """

    def __init__(
        self,
        spool: Path,
        *,
        workers: int,
        threads: int,
        devices: Sequence[str] = (),
        listener: Listener | None = None,
        watch: Watch | None = None,
        options: Sequence[str] = (),
    ) -> None:
        if importlib.util.find_spec("submitit") is None:
            raise UsageError(f"executor slurm needs the package submitit: {how_to_install('slurm')}")
        self._spool, self._workers, self._threads = spool, workers, threads
        self._listener, self._watch = listener or Silent(), watch or Watch()
        self._gpus = devices[0].count(",") + 1 if devices else 0
        if wrong := [option for option in options if "=" not in option]:
            raise UsageError(f"slurm {' '.join(wrong)}: give NAME=VALUE, as in slurm_partition=gpu")
        if wrong := [o for o in options if o.partition("=")[0].endswith(OF_SEVERAL)]:
            raise UsageError(
                f"slurm {' '.join(wrong)}: submitit takes several values there, some of them commands for a shell: put them into "
                "the cluster's own settings"
            )
        self._options = {name: _value(text) for name, _, text in (o.partition("=") for o in options)}

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Yield the records of each job as it ends.

        A record's spool file is removed when the next one is asked for, so store each before going on.

        Raises:
            KeyboardInterrupt: it was asked to stop.
        """
        self._spool.mkdir(parents=True, exist_ok=True)
        executor = self._executor()
        waiting = list(reversed(jobs))
        running: list[Any] = []
        seat = (consent.granted(), str(Path.cwd()), safe_path(), self._threads)
        try:
            while (waiting or running) and not self._watch.look():
                if waiting and len(running) < self._workers and not self._watch.may_start():
                    waiting.clear()
                while waiting and len(running) < self._workers:
                    job = waiting.pop()
                    path = (self._spool / f"{job.name}.json").absolute()
                    running.append(
                        (executor.submit(_work, seat, job, str(path)), job, path, time.monotonic())
                    )
                    self._listener.started(job)
                for entry in [entry for entry in running if entry[0].done()]:
                    running.remove(entry)
                    yield from _records(*entry[:3])
                    entry[2].unlink(missing_ok=True)
                for entry in self._overdue(running):
                    running.remove(entry)
                    entry[0].cancel()
                    reason = f"it took more than the {self._watch.timeout:g} s of --timeout"
                    yield replace(entry[1].stub, status="timed out", reason=reason, timestamp=now())
                time.sleep(LOOK)
        finally:
            for submitted, *_ in running:
                submitted.cancel()
        if self._watch.asked:
            raise KeyboardInterrupt

    def _overdue(self, running: list[Any]) -> list[Any]:
        limit = self._watch.timeout
        return [] if limit is None else [entry for entry in running if time.monotonic() - entry[3] > limit]

    def _executor(self) -> Any:
        import submitit

        options = dict(self._options)
        try:
            executor = submitit.AutoExecutor(
                folder=self._spool / "submitit" / secrets.token_hex(8) / "%j",
                cluster=options.pop("cluster", "slurm"),
            )
            common = {"cpus_per_task": self._threads, "gpus_per_node": self._gpus, "timeout_min": 24 * 60}
            executor.update_parameters(**{**common, **options})
        except (RuntimeError, ValueError, NameError, TypeError, AssertionError) as error:
            raise UsageError(f"submitit: {error}") from error
        return executor


def _value(text: str) -> Any:
    """A number where the text is one."""
    for kind in (int, float) if text.replace(".", "", 1).isdecimal() and text.isascii() else ():
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _records(submitted: Any, job: Job, path: Path) -> list[Record]:
    if path.is_file():
        try:
            return read_spool(path)
        except Damaged as error:
            return [replace(job.stub, status="failed", reason=set_aside(path, error), timestamp=now())]
    exc = submitted.exception()
    reason = (
        "its job ended without an error message" if exc is None else str(exc).strip().splitlines()[-1][:200]
    )
    return [replace(job.stub, status="killed", reason=reason, timestamp=now())]


def _work(seat: tuple[tuple[str, ...] | None, str, list[str], int], job: Job, path: str) -> None:
    """The body of a job of the cluster."""
    granted, place, modules, threads = seat
    consent.close(granted)
    sys.path += [folder for folder in modules if folder not in sys.path]
    if Path(place).is_dir():
        os.chdir(place)
    records = outcome(job, threads, lambda step, values: None)
    try:
        write_spool(Path(path), records)
    except StoreError as error:
        raise SystemExit(str(error)) from None
