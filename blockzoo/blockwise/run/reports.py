"""What a block-wise run writes: one folder, whole at every moment.

parameters.json     what was asked for, and the environment
progress.jsonl      one line per report: round, losses, costs so far; lines that were damaged go to progress.jsonl.damaged
measurements.jsonl  one line per measurement; large arrays lie beside it in arrays/
status.json         running, finished, diverged, failed, interrupted; with the reason
checkpoint.pt       to go on from
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from blockzoo.blockwise.run.reading import read_lines, split_lines
from blockzoo.core.arrays import add_sums
from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.extras import how_to_install
from blockzoo.core.files import append_text, remove, write_atomically, write_text
from blockzoo.core.locks import Held, Lock
from blockzoo.core.record import Record, now
from blockzoo.core.text import file_name

if TYPE_CHECKING:
    from blockzoo.blockwise.run.config import RunConfig

LARGEST_INLINE = 4096
"""Numbers of an array that still go into the line itself."""

WRITTEN = (
    "checkpoint.pt",
    "status.json",
    "parameters.json",
    "progress.jsonl",
    "measurements.jsonl",
    "arrays",
    "tensorboard",
)
"""What a run leaves in its folder; first what says that it can be gone on with."""


class Reporter(Protocol):
    """Hears of a run as it goes."""

    def progress(self, values: dict[str, Any]) -> None:
        """One report."""

    def measured(self, round: int, unit: str, values: dict[str, Any]) -> None:
        """One measurement."""

    def status(self, status: str, reason: str = "", **values: object) -> None:
        """The state of the run has changed."""


class Nothing:
    """The reporter that writes nothing."""

    def progress(self, values: dict[str, Any]) -> None: ...

    def measured(self, round: int, unit: str, values: dict[str, Any]) -> None: ...

    def status(self, status: str, reason: str = "", **values: object) -> None: ...


class ReportFolder:
    """Writes the files above. One process at a time holds a folder, until it is closed.

    Args:
        folder: made if need be.
        tensorboard: also write event files for TensorBoard, in tensorboard/.

    Raises:
        StoreError: it cannot be written, or another run is writing to it.
    """

    def __init__(self, folder: Path, tensorboard: bool = False) -> None:
        self.folder = folder
        self._writer = _summary_writer() if tensorboard else None
        self._board: Any = None  # opened by the first value: a restart sets earlier events aside before
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(folder / ".lock")  # held as long as the run
        except Held:
            raise StoreError(
                f"another run is writing to {folder}; wait for it, or change the request"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from error

    def __enter__(self) -> ReportFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what TensorBoard has not written yet, and let others have the folder."""
        self._close_board()
        self._lock.release()

    @property
    def checkpoint(self) -> Path:
        """Where the run goes on from."""
        return self.folder / "checkpoint.pt"

    def parameters(self, values: dict[str, Any]) -> None:
        """What was asked for."""
        write_text(self.folder / "parameters.json", json.dumps(_plain(values), indent=2) + "\n")

    def progress(self, values: dict[str, Any]) -> None:
        """One line."""
        self._append("progress.jsonl", values)
        self._to_board("", values, values["round"])

    def measured(self, round: int, unit: str, values: dict[str, Any]) -> None:
        """One line; large arrays go to files of their own, whose names the line holds."""
        plain_values = {name: self._aside(round, unit, name, value) for name, value in values.items()}
        self._append("measurements.jsonl", {"round": round, "unit": unit, "values": plain_values})
        self._to_board(f"{unit}/", plain_values, round)

    def status(self, status: str, reason: str = "", **values: object) -> None:
        """Replaces the one before."""
        state = {"status": status, "reason": reason, "time": now(), "process": os.getpid(), **values}
        write_text(self.folder / "status.json", json.dumps(_plain(state), indent=2) + "\n")

    def go_back_to(self, round: int) -> None:
        """Forget what was reported after a round: a resumed run reports it again."""
        for name in ("progress.jsonl", "measurements.jsonl"):
            path = self.folder / name
            if path.exists():
                lines, damaged = split_lines(path)
                if damaged:  # the file is written anew, without them
                    self._keep(path.with_name(f"{name}.damaged"), damaged)
                kept = [line for line in lines if line["round"] <= round]
                write_text(path, "".join(json.dumps(line) + "\n" for line in kept))

    def _keep(self, path: Path, lines: list[bytes]) -> None:
        earlier = path.read_bytes() if path.is_file() else b""
        new = [line for line in lines if line not in earlier]
        write_atomically(path, lambda temporary: temporary.write_bytes(earlier + b"".join(new)))

    @contextmanager
    def afresh(self) -> Iterator[None]:
        """Within, the run starts anew; the earlier one is forgotten at the end.

        Until then it lies in `.earlier/`, and it comes back where the new one ends by an error before its first
        checkpoint: a bad request costs nothing.
        """
        earlier = self.folder / ".earlier"
        if earlier.is_symlink() or self.checkpoint.exists():
            remove(
                earlier
            )  # the checkpoint is the first to be set aside, the last to come back: this run has taken the place
        earlier.mkdir(exist_ok=True)
        for name in WRITTEN:
            if (earlier / name).exists():  # of a restart that was killed: what is here came after it
                remove(self.folder / name)
            elif (self.folder / name).exists():
                (self.folder / name).rename(earlier / name)
        try:
            yield
        except BaseException:
            if not self.checkpoint.exists() and any(earlier.iterdir()):
                self._close_board()
                for name in reversed(WRITTEN):
                    remove(self.folder / name)
                    if (earlier / name).exists():
                        (earlier / name).rename(self.folder / name)
            remove(earlier)
            raise
        remove(earlier)

    def _append(self, name: str, values: dict[str, Any]) -> None:
        append_text(self.folder / name, json.dumps(_plain(values)) + "\n")

    def _aside(self, round: int, unit: str, name: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.size <= LARGEST_INLINE:
            return value
        path = self.folder / "arrays" / f"{file_name(unit)}-{file_name(name)}-{round}.npy"
        path.parent.mkdir(exist_ok=True)

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.save(file, np.ascontiguousarray(value))
            add_sums(temporary)

        write_atomically(path, save)
        return {"file": f"arrays/{path.name}", "shape": list(value.shape)}

    def _to_board(self, prefix: str, values: dict[str, Any], round: int) -> None:
        if self._writer is not None:
            if self._board is None:
                self._board = self._writer(str(self.folder / "tensorboard"))
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != "round":
                    self._board.add_scalar(prefix + name, value, round)
            self._board.flush()

    def _close_board(self) -> None:
        if self._board is not None:
            self._board.close()
            self._board = None


def by_unit(lines: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Measurements as series: `unit/name` for numbers, `unit/name/0`, ... for one number per block; tables are left out."""
    series: dict[str, list[float]] = {}
    for line in lines:
        for name, value in line["values"].items():
            key = f"{line['unit']}/{name}"
            parts = (
                {f"{key}/{i}": v for i, v in enumerate(value)} if isinstance(value, list) else {key: value}
            )
            for own, number in parts.items():
                if isinstance(number, (int, float)):
                    series.setdefault(own, []).append(number)
    return series


def record_of(
    config: RunConfig,
    status: str,
    reason: str,
    reports: list[dict[str, Any]],
    folder: Path | None,
    environment: dict[str, Any],
    checked: dict[str, float],
) -> Record:
    """A run that is over as a record of the results store: final values, and one sample per report and measurement.

    `checked` are the deviations that checks found, by their names: the largest is one of the values.
    """
    numbers = [
        n for n, v in (reports[0] if reports else {}).items() if v is None or isinstance(v, (int, float))
    ]
    series: dict[str, list[Any]] = {name: [report.get(name) for report in reports] for name in numbers}
    measured = folder / "measurements.jsonl" if folder else None
    lines = read_lines(measured) if measured and measured.exists() else []
    return Record(
        "blockwise",
        config.fingerprint(),
        config.model,
        config.to_json(),
        "ok" if status == "finished" else "diverged",
        reason,
        values={name: reports[-1].get(name) for name in numbers}
        | ({"checked": max(checked.values())} if checked else {}),
        samples=series | by_unit(lines),
        environment=environment,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        how = how_to_install("tensorboard")
        raise UsageError(f"--tensorboard needs the package tensorboard: {how}") from None
    return SummaryWriter
