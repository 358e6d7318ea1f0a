"""distil: train a network with a teacher, block by block or from its logits, or fine-tune it"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import With


def distil(
    student: Annotated[int, Parameter(help="index of the network to train")],
    *,
    teacher: Annotated[int | None, Parameter(help="index of the teacher, which is trained first")] = None,
    scenario: Annotated[
        str, Parameter(help="scratch, blocks (features, NSR loss), logits (KD) or finetune")
    ] = "blocks",
    width: Annotated[int, Parameter(help="channels of the first stage of both")] = 32,
    epochs: Annotated[int, Parameter(help="of the student, and of the teacher")] = 5,
    finetune_epochs: Annotated[
        int, Parameter(help="on labels, after learning block by block"), With("--scenario blocks")
    ] = 1,
    batch_size: Annotated[int, Parameter(help="images per step")] = 64,
    lr: Annotated[float, Parameter(help="peak learning rate")] = 0.05,
    dataset: o.Dataset = None,
    data_dir: o.DataDir = None,
    image_size: o.ImageSize = None,
    limit_train: o.LimitTrain = None,
    seed: o.Seed = 0,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> None:
    """Train a network of the space beside a teacher of the space and print both validation accuracies.

    Examples:
        blockzoo nas distil 1234 --teacher 4321 --dataset digits --epochs 2
        blockzoo nas distil 1234 --scenario scratch --dataset digits
    """
    from blockzoo.nas.training.distillation import Lesson
    from blockzoo.nas.training.lessons import Images, teach
    from blockzoo.trials.request import load_data

    images = Images(load_data(dataset, data_dir, image_size), batch_size, limit_train, seed)
    lesson = Lesson(epochs, lr, finetune_epochs)
    accuracies = teach(student, teacher, scenario, images, lesson, width=width)
    summary = "\n".join(f"{name:8s}  validation accuracy {value:.4f}" for name, value in accuracies.items())
    rows = [{"network": name, "val_acc": value} for name, value in accuracies.items()]
    screen.answer(summary, rows, format)
