"""Training scenarios with a teacher: block by block from its features, as a whole from its logits, and fine-tuning.

The student's blocks and the teacher's must be equally many and pass on equal shapes, as networks of one space and width do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import UsageError
from blockzoo.core.progress import followed
from blockzoo.nas.options import Teaching

if TYPE_CHECKING:
    from jaxtyping import Float


class Batches(Protocol):
    """Inputs (B, C, H, W) and labels (B,), gone through once an epoch: a list of such pairs, or a loader."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]: ...


Report = Callable[[int, float], None]
SCENARIOS = ("scratch", "blocks", "logits", "finetune")


def noise_to_signal(
    student: Float[torch.Tensor, "B C ..."], teacher: Float[torch.Tensor, "B C ..."]
) -> Float[torch.Tensor, ""]:
    """Mean over channels of the squared error of a channel divided by the teacher's variance in it.

    A channel that hardly varies counts as if it had a twentieth of the mean variance, or it would drown all others.

    Source: Moons et al., DONNA, ICCV 2021. Features (B, C, H, W), or logits (B, classes).
    """
    dims = [0, *range(2, teacher.ndim)]
    error = (student - teacher).square().mean(dims)
    variance = teacher.var(dims, unbiased=False)
    return (error / variance.clamp_min(float(variance.mean()) / 20 + 1e-12)).mean()


def distil_blocks(
    student: nn.Module,
    teacher: nn.Module,
    batches: Batches,
    epochs: int,
    *,
    lr: float = 0.01,
    report: Report | None = None,
) -> list[float]:
    """Train every block of the student to turn the teacher's input of that block into the teacher's output of it.

    Blocks learn side by side and independently: no gradient crosses a border.

    Returns:
        The noise-to-signal ratio of each block in the last epoch.

    Raises:
        UsageError: blocks of the two do not correspond.
    """
    _check_pair(student, teacher, next(iter(batches))[0][:2])
    teacher.eval().requires_grad_(False)
    blocks = list(student.blocks)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(
        student.parameters(), lr
    )  # blocks differ by orders of magnitude in their gradients
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    losses = [0.0] * len(blocks)
    for epoch in followed(range(epochs), "learning block by block", epochs, "epochs"):
        losses, n = [0.0] * len(blocks), 0
        student.train()
        for x, _ in batches:
            with torch.no_grad():
                _, features = teacher(x, return_features=True)
            each = [noise_to_signal(b(i), o) for b, (i, o) in zip(blocks, features, strict=True)]
            optimizer.zero_grad()
            torch.stack(each).sum().backward()
            optimizer.step()
            schedule.step()
            losses = [total + float(loss.detach()) for total, loss in zip(losses, each, strict=True)]
            n += 1
        losses = [total / n for total in losses]
        if report is not None:
            report(epoch + 1, sum(losses) / len(losses))
    return losses


@dataclass(frozen=True)
class Lesson:
    """How a network learns from labels, and from a teacher.

    Args:
        epochs: of training.
        lr: learning rate; a small one makes it fine-tuning.
        finetune_epochs: on labels, after a training block by block.
        temperature: both logits are divided by it.
        share: weight of the teacher's part of the loss. Source: Hinton et al., 2015.
        report: told the epoch (from 1) and its loss.
    """

    epochs: int
    lr: float = Teaching.lr
    finetune_epochs: int = Teaching.finetune_epochs
    temperature: float = 4.0
    share: float = 0.9
    report: Report | None = None


def train_network(
    network: nn.Module, batches: Batches, lesson: Lesson, *, teacher: nn.Module | None = None
) -> None:
    """Train on labels; with a teacher also on its softened logits."""
    epochs, temperature, share = lesson.epochs, lesson.temperature, lesson.share
    if teacher is not None:
        teacher.eval().requires_grad_(False)
    optimizer = torch.optim.SGD(
        network.parameters(), lesson.lr, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    for epoch in followed(range(epochs), "training", epochs, "epochs"):
        network.train()
        total, n = 0.0, 0
        for x, y in batches:
            logits = network(x)
            loss = F.cross_entropy(logits, y)
            if teacher is not None:
                with torch.no_grad():
                    soft = (teacher(x) / temperature).softmax(1)
                divergence = F.kl_div((logits / temperature).log_softmax(1), soft, reduction="batchmean")
                loss = (1 - share) * loss + share * temperature**2 * divergence
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total, n = total + float(loss.detach()), n + 1
        if lesson.report is not None:
            lesson.report(epoch + 1, total / max(1, n))


@torch.no_grad()
def accuracy(network: nn.Module, batches: Batches) -> float:
    """Top-1 accuracy, 0..1."""
    network.eval()
    return float(torch.cat([(network(x).argmax(1) == y).float() for x, y in batches]).mean())


def run_scenario(
    scenario: str,
    student: nn.Module,
    teacher: nn.Module | None,
    train: Batches,
    validation: Batches,
    lesson: Lesson,
) -> float:
    """Train `student` in one of four ways; returns its validation accuracy, 0..1.

    Args:
        scenario: `scratch` on labels; `logits` on labels and the teacher's logits; `blocks` block by block from the teacher's
            features, then `finetune_epochs` on labels; `finetune` on labels at a tenth of `lr`, from the weights it has.
        student: the network that learns, in place.
        teacher: a trained network, which `logits` and `blocks` need and freeze; other scenarios ignore it.
        train: batches to learn from.
        validation: batches that the accuracy is of.
        lesson: learning rate, epochs and what else the training needs.

    Raises:
        UsageError: another name, or a teacher is needed.
    """
    if scenario not in SCENARIOS:
        raise UsageError(f"scenario {scenario!r}: choose {', '.join(SCENARIOS)}")
    if teacher is None and scenario in ("blocks", "logits"):
        raise UsageError(f"scenario {scenario} needs a teacher")
    if scenario == "blocks":
        assert teacher is not None
        gentle = replace(lesson, lr=lesson.lr / 10)
        distil_blocks(student, teacher, train, lesson.epochs, lr=gentle.lr, report=lesson.report)
        if lesson.finetune_epochs:
            train_network(student, train, replace(gentle, epochs=lesson.finetune_epochs))
    elif scenario == "finetune":
        train_network(student, train, replace(lesson, lr=lesson.lr / 10))
    else:
        train_network(student, train, lesson, teacher=teacher if scenario == "logits" else None)
    return accuracy(student, validation)


def _check_pair(student: nn.Module, teacher: nn.Module, x: torch.Tensor) -> None:
    for name, network in (("student", student), ("teacher", teacher)):
        if not hasattr(network, "blocks"):
            raise UsageError(f"the {name} has no .blocks: networks of the space and scaffolds have")
    with torch.no_grad():
        shapes = [
            [tuple(out.shape) for _, out in network.eval()(x, return_features=True)[1]]
            for network in (student, teacher)
        ]
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"student and teacher do not correspond block by block: they pass on {shapes[0]} and {shapes[1]}"
        )
