"""Ray: jobs on the machines of a cluster, or on this one where there is none."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from blockzoo.core import consent
from blockzoo.core.contracts import EXECUTORS
from blockzoo.core.errors import RequestError
from blockzoo.core.record import Record, now
from blockzoo.core.safe_path import VARIABLE, safe_path
from blockzoo.execution.children import elsewhere
from blockzoo.execution.jobs import Job, Listener, Silent, outcome


@EXECUTORS.register("ray")
class RayCluster:
    """Runs up to `workers` jobs at a time on the Ray cluster that RAY_ADDRESS names, or on one started here.

    The machines need blockzoo, the plugins and the data at the same places as this one, and a shared folder for checkpoints.
    Epochs are not reported as they happen; a job whose machine is lost is a row that says so.

    Args:
        spool: not needed: results come back through Ray.
        workers, threads: jobs at a time, and cores of each.
        devices: where there are accelerators, each job asks Ray for as many as the first of these names.
        listener: hears of starts.

    Raises:
        RequestError: Ray is not installed.
    """

    def __init__(
        self,
        spool: Path,
        *,
        workers: int,
        threads: int,
        devices: Sequence[str] = (),
        listener: Listener | None = None,
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise RequestError("executor ray needs the package ray: pip install 'blockzoo[ray]'")
        self._workers, self._threads, self._listener = workers, threads, listener or Silent()
        self._devices = list(devices)

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Yield the records of each job as it ends."""
        import ray

        own = None if ray.is_initialized() else self._join()
        task = ray.remote(_work).options(
            num_cpus=self._threads,
            num_gpus=self._devices[0].count(",") + 1 if self._devices else 0,
            max_retries=0,
        )
        waiting, running = list(reversed(jobs)), {}  # type: ignore[var-annotated]
        place = str(Path.cwd())
        try:
            while waiting or running:
                while waiting and len(running) < self._workers:
                    job = waiting.pop()
                    running[task.remote(consent.granted(), place, safe_path(), job, self._threads)] = job
                    self._listener.started(job)
                (done, *_), _ = ray.wait(list(running), num_returns=1)
                job = running.pop(done)
                try:
                    yield from (Record.from_json(line) for line in ray.get(done))
                except ray.exceptions.RayError as error:
                    reason = f"Ray lost it: {str(error).strip().splitlines()[0][:200]}"
                    yield replace(job.stub, status="killed", reason=reason, timestamp=now())
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            if own is not None:
                ray.shutdown()

    def _join(self) -> Any:
        import ray

        address = os.environ.get("RAY_ADDRESS")  # else not one that a file in /tmp names, as Ray has it
        here = {} if address else {"num_cpus": self._workers * self._threads, "include_dashboard": False}
        variables = {"env_vars": {VARIABLE: "1"}}
        with elsewhere():  # Ray puts the current folder first on the path of its workers
            return ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env=variables,
                **here,
            )


def _work(granted: tuple[str, ...] | None, place: str, path: list[str], job: Job, threads: int) -> list[str]:
    """The body of a task: it runs the code that its driver may run, in the folder where that stands if this machine has it."""
    consent.close(granted)
    sys.path += [folder for folder in path if folder not in sys.path]
    if Path(place).is_dir():
        os.chdir(place)
    return [record.to_json() for record in outcome(job, threads, lambda step, values: None)]
