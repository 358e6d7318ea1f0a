"""Training beyond single networks, on the images of a benchmark: supernets, teachers. Each is one call of the command line."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.progress import followed
from blockzoo.data import ImageData
from blockzoo.data.batches import Chances, ResidentBatches, pixels_of
from blockzoo.nas.benchmark.dataset import Dataset
from blockzoo.nas.options import PUBLISHED_WIDTH, Sharing, Teaching
from blockzoo.nas.ranking.studies import Correlation, rank_correlation
from blockzoo.nas.training.distillation import Lesson, accuracy, run_scenario, train_network
from blockzoo.nas.training.networks import build
from blockzoo.nas.training.supernet import Supernet, search_by_gradient, shared_accuracy, train_paths
from blockzoo.trials.request import load_data

Report = Callable[[int, float], None]
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Images:
    """Training and validation images as batches.

    Args:
        data: the dataset.
        batch_size: of training.
        limit_train: use only N training images, a stratified draw.
        seed: of order and augmentation.
    """

    data: ImageData
    batch_size: int = Teaching.batch_size
    limit_train: int | None = None
    seed: int = 0

    @classmethod
    def of(
        cls,
        benchmark: Dataset,
        dataset: str | None,
        data_dir: Path | None,
        batch_size: int,
        limit_train: int | None,
        seed: int,
    ) -> Images:
        """The images that a benchmark was trained on, at its size; or others where they are named."""
        setting = benchmark.setting
        data = load_data(dataset or setting.get("dataset"), data_dir, setting.get("image_size"))
        return cls(data, batch_size, limit_train or setting.get("limit_train"), seed)

    def train(self, part: int = 0, parts: int = 1) -> ResidentBatches:
        """All training images, or one of several parts of them."""
        split = self.data.limited(self.limit_train).train
        own = split._replace(images=split.images[part::parts], labels=split.labels[part::parts])
        chances = Chances(self.seed, flip=self.data.flip, pad_mode="reflect")
        return ResidentBatches(own, self.batch_size, pixels=pixels_of(self.data), training=chances)

    def validation(self, limit: int | None = None) -> ResidentBatches:
        """All validation images, or a stratified draw of so many."""
        val = self.data.limited(val=limit).val
        return ResidentBatches(val, EVALUATION_BATCH, pixels=pixels_of(self.data))


def rank_by_supernet(
    benchmark: Dataset,
    images: Images,
    *,
    networks: int = 100,
    epochs: int = Sharing.epochs,
    width: int | None = None,
    report: Report | None = None,
) -> Correlation:
    """Train shared weights by single paths; the rank correlation of networks under them with their test accuracy.

    Args:
        benchmark: its space is trained, and its test accuracies are compared with.
        images: to train and to validate on; their seed draws the weights and the paths.
        networks: of the benchmark, evenly over its indices.
        epochs: of training the shared weights.
        width: channels of the first stage; by default as the benchmark's networks have.
        report: told the epoch (from 1) and its mean loss.
    """
    torch.manual_seed(images.seed)
    supernet = Supernet(benchmark.space, images.data.num_classes, width or benchmark.width)
    train_paths(supernet, images.train(), epochs, seed=images.seed, report=report)
    chosen = benchmark.indices[:: max(1, len(benchmark.indices) // networks)][:networks]
    calibration = list(itertools.islice(images.train(), 4))
    validation = list(images.validation(4 * EVALUATION_BATCH))
    each = followed(chosen, "evaluating", len(chosen), "networks")
    accuracies = [shared_accuracy(supernet, int(index), calibration, validation) for index in each]
    return rank_correlation("shared weights", accuracies, benchmark.test_acc(chosen, seed="mean"))


def search_by_supernet(
    benchmark: Dataset,
    images: Images,
    *,
    epochs: int = Sharing.epochs,
    width: int | None = None,
    report: Report | None = None,
) -> int | None:
    """Search by gradient in the mixture; half of the training images train the weights, half the architecture.

    Returns:
        The index that the logits prefer; None where it has no path from input to output.
    """
    torch.manual_seed(images.seed)
    supernet = Supernet(benchmark.space, images.data.num_classes, width or benchmark.width)
    return search_by_gradient(supernet, images.train(0, 2), images.train(1, 2), epochs, report=report)


USUAL = Lesson(epochs=Teaching.epochs)


def teach(
    student: int,
    teacher: int | None,
    scenario: str,
    images: Images,
    lesson: Lesson = USUAL,
    *,
    width: int = PUBLISHED_WIDTH,
) -> dict[str, float]:
    """Train a network of the space in one of the scenarios of `distillation`; validation accuracies, 0..1.

    Args:
        student: index of the network.
        teacher: trained on labels first, for as many epochs; for `finetune` the student itself is.
        scenario: `scratch`, `logits`, `blocks` or `finetune`, see `run_scenario`.
        images: to train and to validate on; their seed draws the weights.
        lesson: how, and how long, each of them learns.
        width: channels of the first stage, of student and teacher.

    Raises:
        UsageError: the scenario needs a teacher, or another name.
    """
    classes = images.data.num_classes
    network = build(student, classes, width=width, seed=images.seed)
    train, validation, accuracies = images.train(), images.validation(), {}
    teaching = None
    if teacher is not None:
        teaching = build(teacher, classes, width=width, seed=images.seed + 1)
        train_network(teaching, train, lesson)
        accuracies["teacher"] = accuracy(teaching, validation)
    elif scenario in ("blocks", "logits"):
        raise UsageError(f"scenario {scenario} needs --teacher INDEX")
    if scenario == "finetune":
        train_network(network, train, lesson)
        accuracies["before"] = accuracy(network, validation)
    accuracies["student"] = run_scenario(scenario, network, teaching, train, validation, lesson)
    return accuracies
