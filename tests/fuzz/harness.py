"""Mutations read in a child process, one after the other, and judged: right content, or an error of our own that says where.

The child has a limit of memory, and its parent a clock: a reader that hangs, dies or takes more than its format promises is
an outcome too.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import resource
import select
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blockzoo.core.errors import BlockzooError
from tests.fuzz.formats import MIB, Format, content_digest
from tests.fuzz.mutations import mutated

LIBC = ctypes.CDLL(None)
RIGHT, OTHER, REFUSED = "right", "other", "refused"
"""Good ends: the content that was written, another where no checksum tells, an error that names the file."""
NO_CORPUS = "no corpus"
HANGS_AFTER_S = 60
MARGIN = 512 * MIB
"""Address space beyond what a file may take: threads reserve some. What wants more is seen even where the system swaps."""
LONGEST_MESSAGE = 4000


@dataclass
class Tally:
    """What came of the mutations of one format.

    Args:
        counts: by outcome.
        faults: what should not be: number of the mutation, and what happened.
        peak_mib, slowest_s: of a single file.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str]] = field(default_factory=list)
    peak_mib: float = 0.0
    slowest_s: float = 0.0

    def add(self, number: int, outcome: str, said: str, mib: float, seconds: float) -> None:
        """One more."""
        self.counts[outcome] += 1
        self.peak_mib, self.slowest_s = max(self.peak_mib, mib), max(self.slowest_s, seconds)
        if outcome not in (RIGHT, OTHER, REFUSED):
            self.faults.append((number, f"{outcome}: {said}"))


def run(kind: Format, numbers: range) -> Tally:
    """Read the mutations with these numbers."""
    tally, at = Tally(), 0
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{kind.name}-") as folder:
        while at < len(numbers):
            for number, *outcome in _in_child(kind, numbers[at:], Path(folder) / str(at)):
                tally.add(number, *outcome)
                at += 1
            if tally.counts[NO_CORPUS]:
                break
    return tally


def _in_child(kind: Format, numbers: range, folder: Path) -> Iterator[tuple[Any, ...]]:
    """Outcomes until the child is through, dies or hangs."""
    folder.mkdir()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            _child(kind, numbers, folder, writing)
            code = 0
        except BaseException as error:  # the corpus itself cannot be read
            _tell(writing, [numbers[0], NO_CORPUS, f"{type(error).__name__}: {error}", 0, 0])
        finally:
            os._exit(code)
    os.close(writing)
    number, ended = numbers[0], "died"
    with os.fdopen(reading, "rb") as answers:
        for line in _lines(answers):
            if line is None:
                os.kill(child, signal.SIGKILL)
                ended = "hangs"
                break
            answer = json.loads(line)
            yield tuple(answer)
            if answer[1] == NO_CORPUS:
                ended = ""
            number = answer[0] + numbers.step
    _, status = os.waitpid(child, 0)
    if ended and number in numbers:
        yield number, ended, f"wait status {status}", 0.0, 0.0


def _lines(answers: Any) -> Iterator[bytes | None]:
    """Lines of a pipe; None where the next one does not come in time."""
    left = b""
    while True:
        ready, _, _ = select.select([answers], [], [], HANGS_AFTER_S)
        if not ready:
            yield None
            return
        piece = os.read(answers.fileno(), 1 << 16)
        if not piece:
            return
        *lines, left = (left + piece).split(b"\n")
        yield from lines


def _child(kind: Format, numbers: range, folder: Path, writing: int) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    (corpus := folder / "corpus").mkdir()
    paths = list(kind.write(corpus))
    contents = [path.read_bytes() for path in paths]
    right = [content_digest(kind.read(path)) for path in paths]  # and all modules are loaded now
    gc.collect()
    gc.freeze()  # collecting what one file left is then cheap
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in numbers:
        turn = number % len(paths)
        path, content = paths[turn], contents[turn]
        damaged = mutated(content, kind.name, number, text=kind.text)
        path.write_bytes(damaged)
        expected = right[turn] if damaged != content else None
        _tell(writing, [number, *judged(kind, path, expected, right[turn])])
        path.write_bytes(content)


def judged(kind: Format, path: Path, expected: str | None, right: str) -> tuple[str, str, float, float]:
    """Outcome, what was said, MiB and seconds of reading one file."""
    gc.collect()  # an error of the file before may hold its memory, which would count as there already
    LIBC.malloc_trim(0)  # as would what was freed and is kept by the allocator
    _forget_peak()
    before, begin = _status_kib("VmRSS"), time.process_time()
    allowed = kind.floor + kind.multiple * path.stat().st_size
    with _address_space(allowed + MARGIN):
        outcome, said = _read(kind, path, right)
    seconds, mib = time.process_time() - begin, max(0, _status_kib("VmHWM") - before) / 1024
    if mib > allowed / MIB:
        outcome, said = "memory", f"{mib:.0f} MiB, allowed {allowed / MIB:.0f}; {outcome} {said}"
    elif seconds > kind.seconds:
        outcome, said = "slow", f"{seconds:.1f} s; {outcome} {said}"
    elif expected is None and outcome != RIGHT:
        outcome, said = "undamaged file", f"{outcome} {said}"
    return outcome, said[:600], round(mib, 1), round(seconds, 3)


def _read(kind: Format, path: Path, right: str) -> tuple[str, str]:
    try:
        digest = content_digest(kind.read(path))
    except MemoryError as error:
        return "memory", f"{error}"
    except BlockzooError as error:
        return _judged_message(str(error), path)
    except BaseException as error:
        trace, where = error.__traceback__, ""
        while trace is not None:
            where, trace = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}", trace.tb_next
        return "raw", f"{type(error).__name__} at {where}: {str(error)[:200]}"
    if digest == right:
        return RIGHT, ""
    return ("wrong content" if kind.checksum else OTHER), ""


def _judged_message(said: str, path: Path) -> tuple[str, str]:
    """An error names the file, fits a screen, and carries nothing that a terminal obeys."""
    if path.name not in said:
        return "names no file", said
    if len(said) > LONGEST_MESSAGE:
        return "long message", said
    if any(not (c.isprintable() or c == "\n") for c in said):
        return "unprintable message", repr(said)
    return REFUSED, said


def _tell(writing: int, answer: list[Any]) -> None:
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(writing, data) :]


@contextmanager
def _address_space(beyond: int) -> Iterator[None]:
    """A limit on the address space of this process beyond what it has now, in bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status_kib("VmSize") * 1024 + beyond, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status_kib(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split(None, 1)[0])
