"""Checkpoints that survive a kill at any moment, and run no code when they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import CheckpointIO

from blockzoo.core.documents import checked, first_line
from blockzoo.core.errors import DataError, StoreError, UsageError
from blockzoo.core.files import write_atomically
from blockzoo.core.progress import Task
from blockzoo.training.archives import read_saved


class DurableCheckpoints(CheckpointIO):
    """Lightning's own save ends in a move without fsync, so a kill can leave a torn file; this one cannot."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        try:
            write_atomically(Path(path), lambda temporary: torch.save(checkpoint, temporary))
        except RuntimeError as error:  # torch's own writer has no other word for a full disk
            what = str(error).strip().splitlines()[0]
            raise StoreError(f"cannot write {path}: {what}; the earlier checkpoint is intact") from error

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        try:
            checkpoint: dict[str, Any] = checked(dict[str, Any], read_saved(Path(path)), f"checkpoint {path}")
            return checkpoint
        except DataError:
            raise
        except Exception as error:
            raise UsageError(
                f"checkpoint {path} cannot be read ({first_line(error)}); delete it to start anew"
            ) from error

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


TRAINING = 0.9
"""Share of an epoch's time that is training, about; the rest is validation. Only displays depend on it."""


class AfterEachEpoch(L.Callback):
    """Saves a checkpoint and reports the epoch, after its validation."""

    def __init__(
        self, path: Path | None, report: Callable[[int, dict[str, float]], None], task: Task | None = None
    ) -> None:
        self._path, self._report, self._task = path, report, task

    def on_train_batch_end(
        self, trainer: L.Trainer, module: object, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """A step is done."""
        if self._task is not None:
            self._task.at(
                trainer.current_epoch + TRAINING * min(1.0, (batch_idx + 1) / trainer.num_training_batches)
            )

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        module: object,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """So much of the split is read."""
        if self._task is not None:
            if batch_idx == 0:
                self._task.now("evaluating", sum(trainer.num_test_batches), "batches")
            self._task.at(batch_idx + 1)

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        if self._path is not None:
            trainer.save_checkpoint(self._path)
        self._report(trainer.current_epoch + 1, module.history.latest())
