"""Processes that do one job together (ranks): started, heard, and ended as one."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeVar

from blockzoo.core.errors import BlockzooError, RankLost
from blockzoo.execution.children import body
from blockzoo.execution.local import PRELOADED, die_with_supervisor, without_main

PATIENCE = 600.0
"""Seconds that a rank waits for the others before a rank that hangs ends the run; one that dies ends it at once."""
GRACE = 5.0
"""Seconds that a rank has to end itself when all is done, before it is killed."""

Result = TypeVar("Result")
Report = Callable[[int, dict[str, float]], None]


class EndsAll(Exception):
    """Raised by a rank to end the others too: what it carries is the outcome of the whole."""

    def __init__(self, outcome: object) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def run_together(
    function: Callable[..., Result],
    count: int,
    *,
    threads: int,
    gpus: bool = False,
    report: Report = lambda step, values: None,
    patience: float = PATIENCE,
    **arguments: object,
) -> Result:
    """What the first rank returns of `function(rank=..., count=..., report=..., **arguments)`, run in `count` processes.

    They form one process group of torch.distributed: nccl on GPUs, one each, gloo on processors. All end when one of
    them raises, is killed, or does not answer the others for `patience` seconds; and when this process ends.

    Args:
        function: one at the top of a module; its arguments and results are plain values that can be pickled.
        count: of processes.
        threads: of each, on the processor.
        gpus: give each rank the visible GPU of its number.
        report: told what the first rank reports.
        patience: see above.
        arguments: given to `function` by name, in every rank.

    Raises:
        BlockzooError: as a rank raised it.
        RankLost: a rank ended without an error message, hung, or met an error of another kind.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    ranks: list[_Rank] = []
    with tempfile.TemporaryDirectory(prefix="blockzoo-ranks-") as folder:
        seat = _Seat(str(Path(folder) / "meeting"), count, threads, gpus, patience, dict(os.environ))
        try:
            for number in range(count):
                ranks.append(_Rank(context, number, seat, function, arguments))
            outcome: Result = _outcome(ranks, report)
            for rank in ranks:
                rank.release()
            return outcome
        finally:
            for rank in ranks:
                rank.end()


class _Seat:
    """What each rank must know to join the others."""

    def __init__(
        self, meeting: str, count: int, threads: int, gpus: bool, patience: float, environment: dict[str, str]
    ) -> None:
        self.meeting, self.count, self.threads, self.gpus = meeting, count, threads, gpus
        self.patience, self.environment = patience, environment


class _Rank:
    """One of the processes, as the one that started it sees it."""

    def __init__(
        self,
        context: Any,
        number: int,
        seat: _Seat,
        function: Callable[..., Any],
        arguments: dict[str, Any],
    ) -> None:
        self.number = number
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            **body(_take_part, number, seat, function, arguments, theirs), daemon=True
        )
        with without_main():
            self.process.start()
        theirs.close()

    def release(self) -> None:
        """All have their results: the process group may end."""
        try:
            self.pipe.send(None)
        except OSError:
            pass
        self.process.join(GRACE)

    def end(self) -> None:
        """Killed if it still runs: what it writes is whole or not there at all, and SIGTERM would wait for its step."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _outcome(ranks: list[_Rank], report: Report) -> Any:
    results: dict[int, Any] = {}
    talking = {rank.pipe: rank for rank in ranks}
    while len(results) < len(ranks):
        for pipe in connection.wait(list(talking)):
            rank = talking[pipe]
            try:
                kind, value = rank.pipe.recv()
            except (EOFError, OSError):
                raise RankLost(_epitaph(rank, len(ranks))) from None
            if kind == "report":
                report(*value)
            elif kind == "ends":
                return value
            elif kind == "refused":
                reason = _dead(ranks) if isinstance(value, RankLost) else None
                raise RankLost(reason) if reason else value
            elif kind == "failed":
                raise RankLost(_dead(ranks) or f"rank {rank.number} of {len(ranks)}: {value}")
            else:
                results[rank.number] = value
                del talking[pipe]
    return results[0]


def _dead(ranks: list[_Rank]) -> str | None:
    """Another rank's failure often follows the end of one: that one's story."""
    dead = connection.wait([rank.process.sentinel for rank in ranks], timeout=1)
    return next((_epitaph(rank, len(ranks)) for rank in ranks if rank.process.sentinel in dead), None)


def _epitaph(rank: _Rank, count: int) -> str:
    rank.process.join(GRACE)
    code = rank.process.exitcode
    how = f"signal {-code} ({signal.Signals(-code).name})" if code and code < 0 else f"exit code {code}"
    memory = "; the system may have run out of memory" if code == -signal.SIGKILL else ""
    return (
        f"rank {rank.number} of {count} was ended by {how}{memory}. The others were ended too; the last "
        "checkpoint is whole, and a run that is resumed goes on from it"
    )


def _take_part(
    number: int, seat: _Seat, function: Callable[..., Any], arguments: dict[str, Any], pipe: Any
) -> None:
    """The body of a rank."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started the ranks to answer
    threading.Thread(target=die_with_supervisor, daemon=True).start()
    multiprocessing.current_process().daemon = False  # it may have processes of its own, to load images
    os.environ.clear()  # the fork server's is older than that of the process that started the ranks
    os.environ.update(seat.environment, LOCAL_RANK=str(number), NODE_RANK="0", PYTHONSAFEPATH="1")

    def report(step: int, values: dict[str, float]) -> None:
        if number == 0:
            pipe.send(("report", (step, values)))

    try:
        _join(number, seat)
        outcome = ("done", function(rank=number, count=seat.count, report=report, **arguments))
    except EndsAll as end:
        outcome = ("ends", end.outcome)
    except BlockzooError as error:
        outcome = ("refused", error)
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        outcome = ("failed", what)
    try:
        pipe.send(outcome)
        pipe.recv()  # a group that one rank leaves early can end another one's last exchange
    except (EOFError, OSError):
        return
    if outcome[0] == "done":
        import torch.distributed as dist

        dist.destroy_process_group()


def _join(number: int, seat: _Seat) -> None:
    import torch
    import torch.distributed as dist

    # Imported once a group exists, its functions' defaults would hold that group, and its threads, until the end.
    importlib.import_module("torch.distributed.nn")
    torch.set_num_threads(seat.threads)
    if seat.gpus:
        torch.cuda.set_device(number)
    dist.init_process_group(
        "nccl" if seat.gpus else "gloo",
        init_method=f"file://{seat.meeting}",  # no port that another process could take
        rank=number,
        world_size=seat.count,
        timeout=timedelta(seconds=seat.patience),
    )
