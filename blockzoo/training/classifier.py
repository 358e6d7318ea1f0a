"""The Lightning module: one network, one protocol, sums kept on the device and read once an epoch."""

from __future__ import annotations

import contextlib
import math
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import Diverged
from blockzoo.core.outcomes import Outcomes
from blockzoo.data.epochs import check_each_image_once
from blockzoo.models.outputs import main_output
from blockzoo.training.averaging import Average, copied, take_statistics
from blockzoo.training.optimizers import optimizer_of, schedule_of
from blockzoo.training.protocols import Protocol
from blockzoo.training.resolution import scale_in_epoch, shrunk
from blockzoo.training.synchronised import SynchronisedBatchNorms
from blockzoo.training.together import ALONE, Ranks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


CHECK_EVERY = 50  # steps between looks at the loss on a GPU, where looking waits for the device


class History:
    """One value per epoch and quantity."""

    def __init__(self) -> None:
        self.curves: dict[str, list[float]] = defaultdict(list)

    def add(self, **values: float) -> None:
        """Append one epoch's values."""
        for name, value in values.items():
            self.curves[name].append(value)

    def latest(self) -> dict[str, float]:
        """The last epoch's values."""
        return {name: values[-1] for name, values in self.curves.items()}


class Means(NamedTuple):
    """Means over the images of an epoch."""

    loss: float
    acc: float
    top5: float


def _named(split: str, means: Means) -> dict[str, float]:
    """As loggers and callbacks know them."""
    return {f"{split}_{name}": value for name, value in means._asdict().items()}


class _Sums:
    """Loss, hits among the first and the first five, and count of an epoch, on the device."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(4, device=device)

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> Bool[torch.Tensor, " B"]:
        """Count a batch; returns whether the first guess for each image is right."""
        hits = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        n = torch.full_like(loss, len(labels))
        sums = [loss.detach().float() * n, hits[:, 0].sum().float(), hits.sum().float(), n]
        self._sums += torch.stack(sums).to(self._sums)
        return hits[:, 0]

    def means(self, ranks: Ranks) -> tuple[Means, int]:
        """Over the images of all ranks, and how many they are; this waits for the device."""
        *sums, n = ranks.summed(self._sums).tolist()
        return Means(*(value / max(n, 1) for value in sums)), int(n)


class Classifier(L.LightningModule):
    """Trains `network` by `protocol`, with the peak learning rate `lr`; together with other ranks, where there are.

    With `micro_batches`, a batch goes through in so many parts, and the step is that of the mean loss of the whole: the same
    up to rounding, but for what a layer takes from the images together, as a batch norm its statistics.
    """

    def __init__(
        self,
        network: nn.Module,
        protocol: Protocol,
        lr: float,
        seed: int,
        *,
        ranks: Ranks = ALONE,
        sync_batch_norm: bool = False,
        micro_batches: int = 1,
    ) -> None:
        super().__init__()
        self._micro_batches = micro_batches
        self.ranks = ranks
        self._norms = SynchronisedBatchNorms if sync_batch_norm else contextlib.nullcontext
        self.network, self.protocol, self.lr, self.seed = network, protocol, lr, seed
        self.history = History()
        self.tested = Means(*3 * [float("nan")])
        self.outcomes: dict[str, str] = {}
        self._each: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._best: dict[str, torch.Tensor] = {}
        self._sums = _Sums(torch.device("cpu"))
        self._began = 0.0
        self._scale = 1.0  # of the side of training images, in the present epoch
        self._average = None if protocol.ema_decay is None else Average(network, protocol.ema_decay)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = optimizer_of(self.network, self.protocol, self.lr)
        scheduler, how = schedule_of(optimizer, self.protocol, int(self.trainer.estimated_stepping_batches))
        both: Any = {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **how}}
        return both  # type: ignore[no-any-return]

    def on_train_epoch_start(self) -> None:
        batches: Any = self.trainer.train_dataloader
        batches.set_epoch(self.current_epoch)
        # dropout and the like start from (seed, epoch), so a resumed run is the uninterrupted one
        torch.manual_seed(self.seed * 100_003 + self.current_epoch + 1_000_000_007 * self.ranks.rank)
        self._sums = _Sums(self.device)
        epochs = int(self.trainer.max_epochs or 1)
        self._scale = scale_in_epoch(self.protocol.initial_scale, self.current_epoch, epochs)
        self._began = time.perf_counter()

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> Float[torch.Tensor, ""]:
        batch = shrunk(batch[0], self._scale), batch[1]
        parts = min(self._micro_batches, max(1, len(batch[1]) // 2))  # a batch norm needs two images
        if parts == 1:
            return self._loss(batch, index)
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.zero_grad()
        *earlier, last = zip(*(tensor.tensor_split(parts) for tensor in batch), strict=True)
        for part in earlier:
            loss = self._loss(part, index) * (len(part[1]) / len(batch[1]))
            with torch.autocast(self.device.type, enabled=False):
                loss.backward()
        return self._loss(last, index) * (len(last[1]) / len(batch[1]))

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Before the backward pass of a batch; of one in parts the gradients of the earlier parts are kept."""
        if self._micro_batches == 1:
            optimizer.zero_grad()

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        if self._average is not None:
            self._average.update()

    def _loss(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        images, labels = batch
        with self._norms():
            logits = main_output(self.network(images)).tensor
        loss = F.cross_entropy(logits, labels, label_smoothing=self.protocol.label_smoothing)
        self._sums.add(loss, logits, labels)
        if (self.device.type == "cpu" or index % CHECK_EVERY == 0) and not torch.isfinite(loss):
            self._diverge(
                f"the training loss became {loss.item():g} in epoch {self.current_epoch + 1}, step {index + 1}"
            )
        return loss

    def _diverge(self, what: str) -> None:
        raise Diverged(f"{what}, at learning rate {self.lr:g}; try a smaller --lr")

    def on_validation_epoch_start(self) -> None:
        self.ranks.share_statistics(self.network)
        if self._average is not None:
            self._put_average_in_place(self._average)
        self._training_means, _ = self._sums.means(self.ranks)
        self._sums = _Sums(self.device)

    def _put_average_in_place(self, average: Average) -> None:
        """The network is the average from now on, with its own batch norm statistics, the same on all ranks."""
        average.exchange()
        batches: Any = self.trainer.train_dataloader
        batches.set_epoch(self.current_epoch)
        with self.trainer.precision_plugin.val_step_context(), self._norms():
            take_statistics(self.network, batches, self.ranks.count)
        self.network.eval()
        self.ranks.share_statistics(self.network)

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        self._evaluate(*batch)

    def on_validation_epoch_end(self) -> None:
        train, val = self._training_means, self._evaluated(self.trainer.val_dataloaders)
        self.log_dict(_named("train", train) | _named("val", val))
        if self.protocol.tested == "best" and val.acc > max(self.history.curves["val_acc"], default=-1.0):
            self._best = copied(self.network.state_dict())
        if self._average is not None:
            self._average.exchange()
        self.history.add(
            train_loss=train.loss,
            train_acc=train.acc,
            train_top5=train.top5,
            val_loss=val.loss,
            val_acc=val.acc,
            val_top5=val.top5,
            seconds=time.perf_counter() - self._began,
        )
        if not (math.isfinite(train.loss) and math.isfinite(val.loss)):
            self._diverge(
                f"the loss became {train.loss:g} (validation {val.loss:g}) in epoch {self.current_epoch + 1}"
            )

    def on_test_epoch_start(self) -> None:
        if self._best:
            self.network.load_state_dict(self._best)
        elif self._average is not None:
            self._average.exchange()  # for good: what is tested is what the training made
        self._sums, self._each = _Sums(self.device), []

    def test_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        logits, hits = self._evaluate(*batch)
        self._each.append((hits, F.cross_entropy(logits, batch[1], reduction="none")))

    def on_test_epoch_end(self) -> None:
        self.tested = self._evaluated(self.trainer.test_dataloaders)
        self.log_dict(_named("test", self.tested))
        self.outcomes = self._of_each().to_texts() if math.isfinite(self.tested.loss) else {}

    def _of_each(self) -> Outcomes:
        """What each image of the split came to, in its order: rank r has the images r, r + count, ..."""
        own = [torch.cat(parts).cpu().numpy() for parts in zip(*self._each, strict=True)]
        parts = self.ranks.gathered(own)
        hits, losses = (np.empty(sum(len(part[i]) for part in parts), own[i].dtype) for i in (0, 1))
        for rank, (of_hits, of_losses) in enumerate(parts):
            hits[rank :: len(parts)], losses[rank :: len(parts)] = of_hits, of_losses
        return Outcomes(hits, losses)

    def _evaluated(self, batches: Any) -> Means:
        """Means over the images of all ranks, each of them once."""
        means, count = self._sums.means(self.ranks)
        check_each_image_once(self.ranks.summed(batches.handed_out), count)
        return means

    def _evaluate(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[Float[torch.Tensor, "B classes"], Bool[torch.Tensor, " B"]]:
        """Logits, and whether the first guess is right."""
        logits = main_output(self.network(images)).tensor.float()
        if self.protocol.flip_average:
            logits = (logits + main_output(self.network(images.flip(-1))).tensor.float()) / 2
        return logits, self._sums.add(F.cross_entropy(logits, labels), logits, labels)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Of averaged weights, `state_dict` is the average: it is what was validated, and what others start from."""
        checkpoint["curves"] = dict(self.history.curves)
        checkpoint["best"] = self._best
        if self._average is not None:
            checkpoint["trained"], checkpoint["averaged_steps"] = (
                copied(self.state_dict()),
                self._average.steps,
            )
            self._average.exchange()
            checkpoint["state_dict"] = copied(self.state_dict())
            self._average.exchange()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history.curves.update(checkpoint.get("curves", {}))
        self._best = checkpoint.get("best", {})
        if "trained" in checkpoint:
            average, checkpoint["state_dict"] = checkpoint["state_dict"], checkpoint["trained"]
            if self._average is not None:
                own = {name.removeprefix("network."): value for name, value in average.items()}
                self._average.go_on_from(own, checkpoint["averaged_steps"])
